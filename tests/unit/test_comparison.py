"""What changed between two deliveries is found, named, and never told with a value of personal data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_sanitizer.comparison import compare
from data_sanitizer.comparison.contract import Contract, judged, summary
from data_sanitizer.comparison.difference import BREAKS, KINDS, Difference
from data_sanitizer.errors import RecipeError
from data_sanitizer.recipe import Recipe, load_recipe
from tests.property.test_comparison_laws import profile

N = 1500
_RNG = np.random.default_rng(7)
_DAYS = [dt.date(2015, 1, 1) + dt.timedelta(int(d)) for d in _RNG.integers(0, 3000, 2 * N)]
_WEIGHTS = _RNG.lognormal(4, 0.5, 2 * N)
_COUNTRIES = _RNG.choice(["Germany", "France", "Spain"], 2 * N, p=[0.5, 0.3, 0.2])
_NAMES = ["".join(_RNG.choice(list("abcdefgh"), 6)).title() for _ in range(2 * N)]
_CELSIUS = _RNG.normal(12, 8, 2 * N)


def table(second: bool = False, **other: Any) -> dict[str, Any]:
    """The profile of one half of a table, in which columns may be others; None leaves one out."""
    part = slice(N, None) if second else slice(N)
    columns: Mapping[str, Any] = {
        "id": [str(n) for n in range(2 * N)][part],
        "weight": [f"{x:.2f}" for x in _WEIGHTS[part]],
        "degrees": [f"{x:.1f}" for x in _CELSIUS[part]],
        "country": list(_COUNTRIES[part]),
        "day": [d.strftime("%d/%m/%Y") for d in _DAYS[part]],
        "mail": [f"{name}.{n}@mail.org" for n, name in enumerate(_NAMES[part])],
        "name": _NAMES[part],
        "score": [str(1 + n % 5) for n in range(N)],
    }
    made = {**columns, **other}
    return profile(pl.DataFrame({c: pl.Series(v, dtype=pl.String) for c, v in made.items() if v is not None}))


def changed(**other: Any) -> list[Difference]:
    return compare(table(), table(second=True, **other))


def second(values: Any) -> list[Any]:
    return list(values)[N:]


def test_the_next_part_of_a_table_is_no_surprise() -> None:
    assert changed() == []


def test_every_kind_of_difference_has_words() -> None:
    assert set(KINDS) >= BREAKS


@pytest.mark.parametrize(
    ("factor", "summand", "words"),
    [
        (1000, 0, "grams for kilograms"),
        (0.001, 0, "before a thousand"),
        (0.45359237, 0, "kilograms for pounds"),
        (3.1, 0, "about 3.1"),
    ],
)
def test_a_unit_is_found_by_a_common_factor(factor: float, summand: float, words: str) -> None:
    (found,) = changed(weight=[f"{x * factor + summand:.6f}" for x in second(_WEIGHTS)])
    assert (found.kind, found.column) == ("units", "weight")
    assert words in found.evidence


def test_degrees_have_a_zero_of_their_own() -> None:
    (found,) = changed(degrees=[f"{x * 1.8 + 32:.1f}" for x in second(_CELSIUS)])
    assert (found.kind, found.breaks) == ("units", True)
    assert "Fahrenheit for Celsius" in found.evidence


def test_a_shift_that_no_unit_explains_is_a_shift() -> None:
    (found,) = changed(weight=[f"{x + 40:.2f}" for x in second(_WEIGHTS)])
    assert (found.kind, found.breaks) == ("distribution", False)
    assert changed(weight=[f"{x * 1.03:.2f}" for x in second(_WEIGHTS)]) == []  # a price rise


def test_numbers_that_name_rows_may_be_others() -> None:
    assert changed(id=[str(10**6 + n) for n in range(N)]) == []


@pytest.mark.parametrize("pattern", ["%m/%d/%Y", "%Y-%m-%d", "%d-%m-%Y"])
def test_another_way_to_write_dates_is_found(pattern: str) -> None:
    (found,) = changed(day=[d.strftime(pattern) for d in second(_DAYS)])
    assert (found.kind, found.breaks) == ("dates", True)


def test_new_values_and_new_spellings_are_told_apart() -> None:
    country = ["germany" if n < 100 else "Peru" if n < 200 else c for n, c in enumerate(second(_COUNTRIES))]
    found = {d.kind: d.evidence for d in changed(country=country)}
    assert "'germany' for 'Germany' in 100 cells" in found["spellings"]
    assert "'Peru' in 100 cells" in found["new_values"]
    assert "gone_values" not in found


def test_a_category_that_is_gone_and_frequencies_that_moved() -> None:
    found = {d.kind: d.evidence for d in changed(country=["Germany" if c == "Spain" else c for c in second(_COUNTRIES)])}
    assert "'Spain', before in" in found["gone_values"]
    assert "'Spain'" in found["frequencies"] or "'Germany'" in found["frequencies"]


def test_columns_are_new_missing_and_renamed() -> None:
    before = table()
    moved = {
        "Weight (kg)": None,
        "country": None,
        "mail": None,
        "Country ": second(_COUNTRIES),
        "contact": [f"{n}.{i}@mail.org" for i, n in enumerate(second(_NAMES))],
    }
    now = table(second=True, name=None, **{**moved, "extra": ["x" * (1 + n % 9) for n in range(N)]})
    found = {d.column: d for d in compare(before, now)}
    assert (found["Country "].kind, found["Country "].was) == ("renamed_column", "country")
    assert (found["contact"].kind, found["contact"].was) == ("renamed_column", "mail")
    assert found["name"].kind == "missing_column"
    assert found["extra"].kind == "new_column"
    assert len(found) == 4


def test_two_columns_that_could_be_meant_are_not_guessed() -> None:
    twice = {"one": second(_COUNTRIES), "two": second(_COUNTRIES)}
    kinds = sorted(d.kind for d in compare(table(), table(second=True, country=None, **twice)))
    assert kinds == ["missing_column", "new_column", "new_column"]


def test_another_kind_of_values_and_none_at_all() -> None:
    (found,) = changed(score=["good" if n % 2 else "bad" for n in range(N)])
    assert (found.kind, found.breaks) == ("retyped", True)
    (found,) = changed(score=[None] * N)
    assert (found.kind, found.breaks) == ("emptied", True)
    (found,) = changed(score=[None if n % 4 == 0 else str(1 + n % 5) for n in range(N)])
    assert (found.kind, found.breaks, found.evidence) == ("missing", False, "0 % of the cells were missing, 25 % are")


def test_personal_data_is_compared_and_not_quoted() -> None:
    before, now = table(), table(second=True, mail=[f"secret{n % 3}@mail.org" if n % 2 else "call me maybe" for n in range(N)])
    found = compare(before, now)
    assert {d.column for d in found} == {"mail"}
    assert "secret" not in repr(found)
    assert "call me" not in repr(found)


def test_few_rows_prove_nothing_and_a_table_without_rows_does_not_fail() -> None:
    few = profile(pl.DataFrame({"a": ["1", "2", "x"], "b": [None, "q", "z"]}))
    other = profile(pl.DataFrame({"a": ["900", None, "7"], "b": ["true", None, None]}))
    none = profile(pl.DataFrame(schema={"a": pl.String, "b": pl.String}))
    assert compare(few, other) == compare(few, none) == compare(none, few) == []
    assert [d.kind for d in compare(none, profile(pl.DataFrame({"a": ["1"]})))] == ["missing_column"]


def test_a_profile_of_an_earlier_version_is_compared_by_what_it_has() -> None:
    before, now = table(), table(second=True, weight=[f"{x * 1000:.2f}" for x in second(_WEIGHTS)])
    quantiles = before["columns"]["weight"]["number"]["quantiles"]
    before["columns"]["weight"]["number"]["quantiles"] = {q: quantiles[q] for q in ("0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99")}
    assert [d.kind for d in compare(before, now)] == ["units"]
    assert compare({}, {"columns": {}}) == []


def test_a_contract_says_what_stops() -> None:
    found = [Difference("new_values", "a", "…"), Difference("units", "b", "…"), Difference("renamed_column", "c", "…", was="d")]

    def stops(contract: Contract) -> list[bool]:
        return [d["stops"] for d in judged({}, {}, found, contract)["differences"]]

    assert stops(Contract()) == [False, True, True]
    assert stops(Contract("evolve")) == [False, False, False]
    assert stops(Contract("freeze")) == [True, True, True]
    assert stops(Contract(columns={"a": "freeze", "b": "evolve", "d": "evolve"})) == [True, False, False]
    assert Contract("quarantine", {"a": "evolve"}).held(["a", "b"]) == ("b",)
    told = judged({"rows": 1}, {"rows": 2}, found, Contract())
    assert told["stopping"] == 2
    assert "stops  'c' (before 'd') column has another name" in summary(told)


@pytest.mark.parametrize(
    "contract",
    [
        "freeze",
        ["a"],
        {"columns": ["a"]},
        {"column": {"a": "freeze"}},
        {"default": "hold"},
        {"columns": {"a": "hold"}},
        {"columns": {"a": None}},
    ],
)
def test_a_contract_that_says_something_else_is_refused(contract: Any) -> None:
    with pytest.raises(RecipeError):
        load_recipe({"contract": contract})


def test_a_recipe_keeps_its_contract() -> None:
    recipe = load_recipe({"extends": "careful", "contract": {"default": "evolve", "columns": {"a": "freeze"}}})
    assert recipe.described()["contract"] == {"default": "evolve", "columns": {"a": "freeze"}}
    assert "contract" not in Recipe().described()
