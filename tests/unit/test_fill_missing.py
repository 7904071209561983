"""What stands in a missing cell after the recipe `complete`, how sure it is said to be, and what is left missing."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sanitizer.errors import RecipeError
from data_sanitizer.model import Action
from data_sanitizer.pipeline.sanitize import read_cleaned, sanitize
from data_sanitizer.profile import TableStatistics
from data_sanitizer.profile.column_profile import ColumnProfile, after_cleaning, summarise
from data_sanitizer.recipe import load_recipe
from data_sanitizer.steps import fill_missing

CITIES = ["Rome", "Bonn", "Paris", "Lyon", "Metz"]


def run(tmp_path: Path, table: pl.DataFrame, recipe: Any = "complete", suffix: str = "csv") -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cleaned table and the ledger; no row is removed. An empty text stands for a cell with nothing in it."""
    number = len(list(tmp_path.iterdir()))
    source, out = tmp_path / f"{number}.{suffix}", tmp_path / f"run{number}"
    holed = table.with_columns(pl.col(pl.String).replace("", None))
    getattr(holed, "write_" + suffix)(source)
    sanitize([str(source)], out, load_recipe(recipe).keep_duplicates())
    return read_cleaned(out).collect(), pl.read_parquet(out / "ledger.parquet")


def filling(**options: Any) -> dict[str, Any]:
    return {"extends": "complete", "steps": {"fill_missing": options}}


def fills(ledger: pl.DataFrame, column: str) -> pl.DataFrame:
    return ledger.filter((pl.col("column") == column) & (pl.col("action") == "set") & pl.col("rule").str.contains("fill_missing"))


def notes(ledger: pl.DataFrame) -> dict[str, str]:
    found = ledger.filter((pl.col("rule") == "fill_missing") & (pl.col("action") == "flag"))
    assert found["row"].null_count() == found.height
    return dict(found.select("column", "evidence").rows())


def planned(table: pl.DataFrame, column: str, **options: Any) -> tuple[Action | None, ColumnProfile]:
    """The action of the step for one column of a table as read."""
    statistics = TableStatistics()
    statistics.update(table, 0, np.arange(table.height, dtype=np.uint64), frozenset())
    profile = summarise(statistics, dict(table.schema))[column]
    return fill_missing.plan(column, profile, {**fill_missing.OPTIONS, **options}), profile


def places(n: int = 200, holes: Mapping[int, str] | None = None) -> pl.DataFrame:
    """Cities and their postcodes, one to one, beside a category that nothing tells."""
    rows = [{"city": CITIES[i % 5], "postcode": f"0{i % 5}123", "colour": ["red", "red", "blue"][i % 3]} for i in range(n)]
    for row, column in (holes or {}).items():
        rows[row][column] = ""
    return pl.DataFrame(rows)


def test_a_category_is_filled_with_what_the_related_column_says(tmp_path: Path) -> None:
    cleaned, ledger = run(tmp_path, places(holes={7: "city", 12: "city"}))
    assert cleaned["city"].gather([7, 12]).to_list() == ["Paris", "Paris"]
    entries = fills(ledger, "city")
    assert entries["row"].to_list() == [7, 12]
    assert entries["old"].to_list() == [None, None]
    assert entries["new"].to_list() == ["Paris", "Paris"]
    assert entries["evidence"].to_list() == ["conditional on postcode, 38 rows"] * 2
    assert (entries["confidence"] > 0.9).all()


def test_a_category_that_nothing_tells_gets_its_commonest_value_and_little_confidence(tmp_path: Path) -> None:
    cleaned, ledger = run(tmp_path, places(holes={9: "colour"}))
    assert cleaned["colour"][9] == "red"
    entry = fills(ledger, "colour").row(0, named=True)
    assert entry["evidence"] == "commonest value of 199 rows"
    assert 0.5 < entry["confidence"] < 0.67


def test_each_fill_has_its_own_confidence(tmp_path: Path) -> None:
    """The one parent speaks clearly for one of its values and is undecided for another."""
    rows = [("a", "x")] * 40 + [("b", "y")] * 25 + [("b", "x")] * 15 + [("a", ""), ("b", "")]
    _, ledger = run(tmp_path, pl.DataFrame(rows, schema=["parent", "child"], orient="row"))
    entries = fills(ledger, "child")
    assert entries["new"].to_list() == ["x", "y"]
    assert entries["confidence"][0] > 0.95
    assert entries["confidence"][1] < 0.625


def test_a_strong_parent_outvotes_two_weak_ones(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 600)
    parents = [np.where(draw.random(600) < wrong, draw.integers(0, 2, 600), truth) for wrong in (0.05, 0.5, 0.5)]
    names = [["x", "y"][k] for k in truth]
    table = pl.DataFrame({"child": names, **{f"p{i}": [f"{'mno'[i]}{v}" for v in p] for i, p in enumerate(parents)}})
    table = pl.concat([table, pl.DataFrame({"child": [""], "p0": ["m0"], "p1": ["n1"], "p2": ["o1"]})])
    cleaned, ledger = run(tmp_path, table)
    assert cleaned["child"][-1] == "x"
    assert fills(ledger, "child")["evidence"][0].startswith("conditional on p0, ")
    assert fills(ledger, "child")["confidence"][0] < 0.95


def test_of_several_columns_that_explain_a_number_the_best_speaks_alone(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    good = draw.integers(0, 4, 400)
    weak = np.where(draw.random(400) < 0.4, draw.integers(0, 4, 400), good)
    table = pl.DataFrame({"weak": [f"w{k}" for k in weak], "good": [f"g{k}" for k in good], "x": [str(100 * k + 3) for k in good]})
    table = pl.concat([table, pl.DataFrame({"weak": ["w3"] * 2, "good": ["g1", ""], "x": ["", ""]})])
    cleaned, ledger = run(tmp_path, table, filling(only=["x"]))
    assert cleaned["x"][-2:].to_list() == [103, 303]
    assert fills(ledger, "x")["evidence"].str.extract(r"median by (\w+),").to_list() == ["good", "weak"]


def test_outliers_take_no_part_in_a_median(tmp_path: Path) -> None:
    rows = [(f"g{i % 5}", str(200 + 10 * (i % 5) + i % 7)) for i in range(400)] + [
        ("odd", "90000"),
        ("odd", "90001"),
        ("odd", "90002"),
        ("odd", ""),
    ]
    cleaned, _ = run(tmp_path, pl.DataFrame(rows, schema=["group", "x"], orient="row"), {"steps": ["numbers", "fill_missing"]})
    assert 200 <= cleaned["x"][-1] < 260


def test_evidence_is_short_and_never_quotes_a_cell(tmp_path: Path) -> None:
    long = "the name of this column is rather long, as headers in exports are"
    rows = [(CITIES[i % 5] if i % 9 else "", f"0{i % 5}123", f"r{i % 5}", f"q{i % 5}") for i in range(200)]
    _, ledger = run(tmp_path, pl.DataFrame(rows, schema=["city", long, long + " indeed", "q"], orient="row"))
    entries = fills(ledger, "city")
    assert entries.height == 23
    assert entries["evidence"].str.len_chars().max() <= 80
    assert not entries["evidence"].str.contains("|".join([*CITIES, r"0\d123"])).any()


def test_numbers_get_the_median_of_their_group(tmp_path: Path) -> None:
    rows = [("small" if i % 2 else "large", str(10 + i % 5 if i % 2 else 900 + i % 5)) for i in range(100)]
    rows[20], rows[21] = ("large", ""), ("small", "")
    cleaned, ledger = run(tmp_path, pl.DataFrame(rows, schema=["size", "weight"], orient="row"))
    assert cleaned["weight"].dtype == pl.Int64
    assert cleaned["weight"].gather([20, 21]).to_list() == [902, 12]
    assert fills(ledger, "weight")["evidence"].to_list() == ["median by size, 49 rows"] * 2


def test_numbers_that_nothing_explains_get_the_median_of_the_column(tmp_path: Path) -> None:
    numbers = [str(v) for v in np.random.default_rng(3).permutation(101) * 7]
    cleaned, ledger = run(tmp_path, pl.DataFrame({"x": ["", *numbers], "y": ["k"] * 102}))
    assert cleaned["x"][0] == 350
    entry = fills(ledger, "x").row(0, named=True)
    assert entry["evidence"] == "median of 101 rows"
    assert 0.1 < entry["confidence"] < 0.3


def test_a_group_of_two_rows_has_no_median(tmp_path: Path) -> None:
    groups = [(f"g{i % 6}", str(100 * (i % 6) + i % 4)) for i in range(120)]
    rows = [*groups, ("rare", "9000"), ("rare", "9002"), ("rare", "")]
    _, ledger = run(tmp_path, pl.DataFrame(rows, schema=["group", "x"], orient="row"))
    assert fills(ledger, "x")["evidence"].str.starts_with("median of ").all()


def test_a_fill_is_written_as_the_column_writes(tmp_path: Path) -> None:
    """Thousands point, decimal comma, euro: the column still becomes numbers, and nothing else changes."""
    rows = [(f"g{i % 3}", f"{1 + i % 3}.{100 + i:03d},{i % 90 + 10} €") for i in range(90)]
    rows[30] = ("g0", "N/A")
    cleaned, ledger = run(tmp_path, pl.DataFrame(rows, schema=["group", "price"], orient="row"))
    assert cleaned["price"].dtype == pl.Float64
    assert ledger.filter(pl.col("action") == "convert")["old"].to_list() == ["#.##0,00 €"]
    assert ledger.filter(pl.col("action") == "set").select("row", "rule", "old").rows() == [(30, "null_tokens+fill_missing", "N/A")]
    assert 1100 <= cleaned["price"][30] < 1200


def test_dates_get_the_median_date(tmp_path: Path) -> None:
    days = [f"{1 + i % 28:02d}/03/2015" for i in range(140)]
    cleaned, ledger = run(tmp_path, pl.DataFrame({"day": [*days, ""], "k": ["v"] * 141}))
    assert cleaned["day"][140] == date(2015, 3, 14)
    assert fills(ledger, "day")["evidence"].to_list() == ["median of 140 rows"]


def test_dates_in_an_open_order_have_no_median(tmp_path: Path) -> None:
    days = [f"0{1 + i % 9}/0{1 + i % 7}/2015" for i in range(140)]
    cleaned, ledger = run(tmp_path, pl.DataFrame({"day": [*days, ""], "k": ["v"] * 141}))
    assert cleaned["day"][140] is None
    assert notes(ledger)["day"] == "not filled: it is open how its numbers or dates are to be read"


def test_what_has_no_honest_fill_stays_missing_and_says_why(tmp_path: Path) -> None:
    rows = [
        {"text": f"a remark of its own, {i}", "email": f"p{i % 9}@example.com", "count": str(i + 1), "nothing": "", "group": "ab"[i % 2]}
        for i in range(60)
    ]
    rows[5] = {"text": "", "email": "", "count": "", "nothing": "", "group": "a"}
    cleaned, ledger = run(tmp_path, pl.DataFrame(rows))
    assert cleaned.row(5) == (None, None, None, None, "a")
    assert notes(ledger) == {
        "text": "not filled: too many different values",
        "email": "not filled: the column holds personal data",
        "count": "not filled: its numbers count the rows",
        "nothing": "not filled: every cell is empty",
    }


def test_words_for_no_value_do_not_make_a_category_look_like_a_text(tmp_path: Path) -> None:
    rows = ["red"] * 5 + ["green", "blue", "N/A"] + [""] * 12
    once, ledger = run(tmp_path, pl.DataFrame({"colour": rows, "k": ["v"] * 20}))
    assert once["colour"].to_list() == [*rows[:7], *["red"] * 13]
    assert notes(ledger) == {}


def test_everything_fills_all_but_empty_columns(tmp_path: Path) -> None:
    rows = [{"text": f"a remark of its own, {i // 2}", "email": f"p{i % 9}@example.com", "nothing": ""} for i in range(60)]
    rows[5] = {"text": "", "email": "", "nothing": ""}
    cleaned, ledger = run(tmp_path, pl.DataFrame(rows), filling(everything=True))
    assert cleaned.null_count().row(0) == (0, 0, 60)
    assert set(notes(ledger)) == {"nothing"}


def test_an_identifier_that_comes_again_and_again_is_filled_like_a_category(tmp_path: Path) -> None:
    cleaned, ledger = run(tmp_path, places(holes={7: "postcode"}))
    assert cleaned["postcode"][7] == "02123"
    assert fills(ledger, "postcode")["evidence"].to_list() == ["conditional on city, 39 rows"]


def test_a_key_into_another_table_is_not_guessed(tmp_path: Path) -> None:
    """Two orders for each customer, whose name stands beside the number."""
    rows = [(f"0{700 + i // 2}", f"name {i // 2}") for i in range(100)]
    rows[10] = ("", "name 5")
    cleaned, ledger = run(tmp_path, pl.DataFrame(rows, schema=["customer_no", "client"], orient="row"))
    assert cleaned["customer_no"][10] is None
    assert notes(ledger) == {"customer_no": "not filled: too many different values"}


def test_below_the_least_confidence_a_cell_stays_missing(tmp_path: Path) -> None:
    table = places(holes={7: "city", 9: "colour"})
    cleaned, ledger = run(tmp_path, table, filling(min_confidence=0.8))
    assert (cleaned["city"][7], cleaned["colour"][9]) == ("Paris", None)
    assert fills(ledger, "city")["confidence"].min() >= 0.8
    assert "colour" in notes(ledger)


@pytest.mark.parametrize(("method", "expected"), [("mode", 5), ("median", 20), ("conditional", 40), ("auto", 40)])
def test_the_method_decides_what_fills(tmp_path: Path, method: str, expected: int) -> None:
    """Group a has 5 in half of its rows and 20 in the middle of the whole column; group b has 40."""
    rows = [("a", "5")] * 40 + [("a", str(v)) for v in range(10, 40)] + [("b", "40")] * 35 + [("b", "")]
    cleaned, _ = run(tmp_path, pl.DataFrame(rows, schema=["group", "x"], orient="row"), filling(method=method))
    middle = sorted(int(x) for _, x in rows if x)[(len(rows) - 2) // 2]
    assert cleaned["x"][-1] == (middle if method == "median" else expected)


def test_conditional_alone_leaves_what_nothing_tells(tmp_path: Path) -> None:
    cleaned, ledger = run(tmp_path, places(holes={9: "colour"}), filling(method="conditional"))
    assert cleaned["colour"][9] is None
    assert notes(ledger)["colour"] == "not filled: no column tells what stands here"


@pytest.mark.parametrize("options", [{"method": "best"}, {"min_confidence": "high"}, {"min_confidence": 2}, {"min_confidence": True}])
def test_an_option_that_means_nothing_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        run(tmp_path, places(), filling(**options))


def test_typed_columns_keep_their_types(tmp_path: Path) -> None:
    n = 60
    table = pl.DataFrame({
        "whole": pl.Series([i % 7 for i in range(n)], dtype=pl.Int16), "real": [i % 7 / 4 for i in range(n)],
        "exact": pl.Series([Decimal(i % 7) / 4 for i in range(n)], dtype=pl.Decimal(10, 2)), "truth": [i % 3 == 0 for i in range(n)],
        "day": [date(2020, 1, 1 + i % 7) for i in range(n)], "time": [datetime(2020, 1, 1, i % 7, 0, 0, 123) for i in range(n)],
    })  # fmt: skip
    holed = table.with_columns(pl.when(pl.int_range(n) != 11).then(pl.all()))
    cleaned, ledger = run(tmp_path, holed, suffix="parquet")
    assert cleaned.null_count().sum_horizontal().sum() == 0
    assert cleaned.schema == pl.read_parquet(tmp_path / "0.parquet").schema
    assert ledger.filter(pl.col("rule") == "fill_missing")["row"].to_list() == [11] * 6
    assert all(cleaned[c][11] in table[c].to_list() for c in table.columns)


def test_not_a_number_is_missing_in_a_column_of_numbers(tmp_path: Path) -> None:
    values = [float(i % 9) for i in range(60)]
    values[4] = float("nan")
    cleaned, _ = run(tmp_path, pl.DataFrame({"x": values}), suffix="parquet")
    assert cleaned["x"].is_nan().sum() == 0
    assert cleaned["x"][4] == 4.0


def test_a_word_for_no_value_is_never_a_fill(tmp_path: Path) -> None:
    rows = ["n/a"] * 50 + ["red"] * 20 + ["blue"] * 10 + [""]
    cleaned, _ = run(tmp_path, pl.DataFrame({"colour": rows, "k": ["v"] * 81}))
    assert set(cleaned["colour"]) == {"red", "blue"}


def test_a_table_without_gaps_is_left_alone(tmp_path: Path) -> None:
    cleaned, ledger = run(tmp_path, places())
    assert cleaned.equals(places())
    assert ledger.is_empty()


def test_the_sample_follows_the_steps_before() -> None:
    """What an earlier step removes from the sampled rows is neither counted nor filled in."""
    table = pl.DataFrame({"x": ["9999"] * 50 + ["red"] * 30 + ["blue"] * 10 + [None]})
    _, profile = planned(table, "x")
    left = after_cleaning({"x": profile}, {"x": pl.col("x").replace("9999", None)})["x"]
    action = fill_missing.plan("x", left, fill_missing.OPTIONS)
    assert action is not None
    assert table.select(fill_missing.clean(action))["x"][-1] == "red"
    assert left.kind == profile.kind


def test_a_plan_travels_and_does_not_depend_on_chunks() -> None:
    draw = np.random.default_rng(2)
    rows = [(CITIES[k], f"0{k}", str(100 * k + int(d))) for k, d in zip(draw.integers(0, 5, 300), draw.integers(0, 9, 300), strict=True)]
    table = pl.DataFrame(rows, schema=["city", "code", "x"], orient="row")
    table = table.with_columns(pl.when(pl.Series(draw.random(300) > 0.2)).then(pl.col(c)).alias(c) for c in table.columns)
    for column in ("city", "x"):
        action, _ = planned(table, column)
        travelled: Action = pickle.loads(pickle.dumps(action))
        told = [f(travelled).alias(n) for n, f in (("v", fill_missing.clean), ("c", fill_missing.confidence), ("e", fill_missing.evidence))]
        whole = table.select(told)
        assert whole.equals(pl.concat([part.select(told) for part in table.iter_slices(7)]))
        assert whole["v"].null_count() == 0
        blank = whole.filter(table[column].is_not_null())
        assert blank.select("c", "e").unique().rows() == [(1.0, "")]


WORDS = st.sampled_from(["red", "blue", "green", "", "N/A"])
ROWS = st.lists(
    st.tuples(WORDS, st.sampled_from(["x", "y", ""]), st.one_of(st.just(""), st.integers(-50, 999).map(str))), min_size=20, max_size=60
)


@settings(max_examples=25)
@given(ROWS)
def test_fills_are_values_of_the_column_and_a_second_run_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    table = pl.DataFrame(rows, schema=["colour", "size", "x"], orient="row")
    folder = tmp_path_factory.mktemp("fill")
    once, ledger = run(folder, table)
    for column in table.columns:
        new = set(fills(ledger, column)["new"])
        assert new <= set(table[column].to_list())
    said = once.cast(pl.String).with_columns(pl.all().fill_null(""))
    twice, again = run(folder, said)
    assert twice.cast(pl.String).with_columns(pl.all().fill_null("")).equals(said)
    assert again.filter(pl.col("action") == "set").is_empty()
