"""Which columns tell another: strengths against their definition, votes against counting."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer.profile.dependencies import MOST_COLUMNS, explaining, related, vote_table, wilson

CELL = st.sampled_from(["a", "b", "c", None])
TABLES = st.lists(st.tuples(CELL, CELL), min_size=6, max_size=40)


def frame(rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
    names = [f"c{i}" for i in range(len(rows[0]))]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def by_definition(rows: list[tuple[str | None, str | None]]) -> float:
    """Strength of the first column for the second, pair by pair."""
    child = [b for _, b in rows if b is not None]
    base = float(np.mean([x == y for x, y in combinations(child, 2)]))
    agreements = []
    for i, (parent, value) in enumerate(rows):
        others = [b for j, (a, b) in enumerate(rows) if j != i and a == parent and b is not None]
        if parent is not None and value is not None and others:
            agreements.append(np.mean([value == other for other in others]))
    return (float(np.mean(agreements)) - base) / (1 - base) if agreements else 0.0


def strength(table: pl.DataFrame, parent: str, child: str) -> float:
    return next((d.strength for d in related(table)[child] if d.parent == parent), 0.0)


@given(TABLES)
def test_strength_is_what_its_definition_says(rows: list[tuple[str | None, str | None]]) -> None:
    table, filled = frame(rows), [[c for c in column if c is not None] for column in zip(*rows, strict=True)]
    if all(len(set(f)) > 1 and len(set(f)) <= 0.6 * len(f) for f in filled):
        expected = by_definition(rows)
        assert strength(table, "c0", "c1") == pytest.approx(expected if expected > 0.05 else 0.0)


@given(TABLES, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter_to_the_last_bit(rows: list[tuple[str | None, str | None]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert related(frame(rows)) == related(frame(shuffled))
    assert vote_table(frame(rows), "c0", "c1").equals(vote_table(frame(shuffled), "c0", "c1"))


def test_a_functional_dependency_is_one_way() -> None:
    table = frame([(f"zip{i % 30}", f"city{i % 10}") for i in range(300)])
    assert strength(table, "c0", "c1") == 1.0
    assert 0.05 < strength(table, "c1", "c0") < 0.5


def test_small_groups_do_not_tell_by_chance() -> None:
    draw = np.random.default_rng(5)
    table = pl.DataFrame({"many": draw.integers(0, 2000, 5000), "child": draw.integers(0, 4, 5000)}).cast(pl.String)
    assert related(table)["child"] == ()


def test_cover_is_the_share_of_the_childs_rows_that_have_company() -> None:
    rows = [("a", "x"), ("a", "x"), ("a", "x"), ("b", "y"), ("b", "y"), ("c", "y"), (None, "x"), (None, "y"), ("a", None), ("b", None)]
    found = {d.parent: d for d in related(frame(rows))["c1"]}["c0"]
    assert found.cover == pytest.approx(5 / 8)


def test_constant_and_nearly_unique_columns_take_no_part() -> None:
    table = frame([("same", f"id{i}", "ab"[i % 2], "xy"[i % 2]) for i in range(50)])
    found = related(table)
    assert found["c0"] == found["c1"] == ()
    assert [d.parent for d in found["c2"]] == ["c3"]


def test_equally_strong_parents_stand_in_order_of_the_size_of_their_groups() -> None:
    table = frame([(f"house{i % 60}", f"street{i % 12}", "ab"[i % 2]) for i in range(300)])
    assert [d.parent for d in related(table)["c2"]] == ["c1", "c0"]


def test_of_too_many_columns_those_with_most_entropy_are_looked_at() -> None:
    rich = {f"rich{i}": [str(r % 7) for r in range(60)] for i in range(MOST_COLUMNS)}
    table = pl.DataFrame({"poor": ["a"] * 58 + ["b"] * 2, **rich})
    assert related(table)["poor"] == ()
    assert related(table)["rich0"]


def test_a_vote_is_a_count() -> None:
    rows = [*[("a", "x")] * 3, *[("a", "y")] * 2, ("b", "z"), ("b", "y"), ("c", None), (None, "x")]
    table = vote_table(frame(rows), "c0", "c1")
    assert table.select("c0", "best", "runner_up", "support", "agree", "agree_next").rows() == [
        ("a", "x", "y", 5, 3, 2),
        ("b", "y", "z", 2, 1, 1),
    ]
    assert table["share"].to_list() == pytest.approx([wilson(3, 5), wilson(1, 2)])


def test_a_vote_by_two_columns_groups_by_both() -> None:
    table = vote_table(frame([("a", "1", "x"), ("a", "2", "y"), ("a", "2", "y")]), ["c0", "c1"], "c2")
    assert table.select("c0", "c1", "best", "support").rows() == [("a", "2", "y", 2), ("a", "1", "x", 1)]


def test_the_bound_grows_with_the_rows_and_stays_below_the_share() -> None:
    bounds = [wilson(n, n) for n in (1, 3, 10, 100, 10_000)]
    assert bounds == sorted(bounds)
    assert bounds[0] < 0.4
    assert 0.999 < bounds[-1] < 1
    assert wilson(0, 10) == pytest.approx(0)
    assert wilson(90, 100) == pytest.approx(0.8555, abs=1e-3)


def test_groups_explain_numbers_whatever_their_scale() -> None:
    draw = np.random.default_rng(0)
    group = draw.integers(0, 5, 400)
    numbers = pl.Series(group * 10 + draw.normal(0, 2, 400)).exp()
    table = pl.DataFrame({"group": group, "noise": draw.integers(0, 5, 400), "child": numbers}).cast(pl.String)
    found = explaining(table, "child", numbers)
    assert [d.parent for d in found] == ["group"]
    assert found[0].strength > 0.9
    assert found == explaining(table, "child", numbers.log())


def test_a_parent_of_single_rows_explains_nothing() -> None:
    table = pl.DataFrame({"parent": [str(i // 2) if i < 2 else str(i) for i in range(20)], "child": [str(i) for i in range(20)]})
    assert explaining(table, "child", pl.Series(range(20), dtype=pl.Float64)) == ()
