"""What stands in place of an outlier after the recipe `complete`, and that a second run finds nothing left to cap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_sanitizer.errors import RecipeError
from data_sanitizer.pipeline.sanitize import read_cleaned, sanitize
from data_sanitizer.recipe import load_recipe


def run(tmp_path: Path, table: pl.DataFrame, recipe: Any = "complete", suffix: str = "csv") -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cleaned table and the ledger; no row is removed."""
    number = len(list(tmp_path.iterdir()))
    source, out = tmp_path / f"{number}.{suffix}", tmp_path / f"run{number}"
    getattr(table, "write_" + suffix)(source)
    sanitize([str(source)], out, load_recipe(recipe).keep_duplicates())
    return read_cleaned(out).collect(), pl.read_parquet(out / "ledger.parquet")


def capping(**options: Any) -> dict[str, Any]:
    return {"extends": "complete", "steps": {"cap_outliers": options}}


def capped(ledger: pl.DataFrame) -> pl.DataFrame:
    return ledger.filter((pl.col("rule") == "cap_outliers") & (pl.col("action") == "set"))


def column(*outliers: float, n: int = 500, seed: int = 0) -> list[int]:
    """Whole numbers around 1000, all within 20 deviations of 5, and some outliers at the front."""
    return [*map(int, outliers), *np.random.default_rng(seed).normal(1000, 5, n).round().astype(int).tolist()]


def test_what_is_capped_is_what_would_be_flagged(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": column(90_000, -4, 88_000)})
    _, careful = run(tmp_path, table, "careful")
    flagged = careful.filter((pl.col("rule") == "outliers") & (pl.col("action") == "flag"))["row"].to_list()
    cleaned, ledger = run(tmp_path, table)
    assert capped(ledger)["row"].to_list() == flagged == [0, 1, 2]
    assert ledger.filter(pl.col("action") == "flag").is_empty()
    assert cleaned["x"][3:].to_list() == table["x"][3:].to_list()


def test_the_cap_is_a_quantile_of_the_ordinary_numbers(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": column(90_000, -4)})
    ordinary = table["x"][2:].sort()
    cleaned, ledger = run(tmp_path, table)
    assert cleaned["x"].dtype == pl.Int64
    assert cleaned["x"][:2].to_list() == [ordinary[495], ordinary[4]]
    assert capped(ledger)["evidence"].to_list() == [f"outlier, set to the {q} % quantile of the ordinary numbers" for q in (99, 1)]
    assert capped(ledger)["old"].to_list() == ["90000", "-4"]
    assert (capped(ledger)["confidence"] < 1).all()


def test_the_quantiles_can_be_chosen(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": column(90_000, -4)})
    cleaned, ledger = run(tmp_path, table, capping(lower=0, upper=1))
    assert cleaned["x"][:2].to_list() == [table["x"][2:].max(), table["x"][2:].min()]
    assert capped(ledger)["evidence"][0] == "outlier, set to the 100 % quantile of the ordinary numbers"


def test_the_cap_is_written_as_the_column_writes(tmp_path: Path) -> None:
    texts = ["9.000.000,25 €", *(f"1.{500 + 20 * (v - 1000):03d},{10 + v % 80} €" for v in column())]
    cleaned, ledger = run(tmp_path, pl.DataFrame({"x": texts}))
    assert cleaned["x"].dtype == pl.Float64
    assert ledger.filter(pl.col("action") == "convert")["old"].to_list() == ["#.##0,00 €"]
    assert ledger.filter(pl.col("action") == "set").height == capped(ledger).height == 1
    assert 1600 < cleaned["x"][0] < 2000


def test_in_a_column_that_stays_text_the_numbers_are_capped_and_the_words_stay(tmp_path: Path) -> None:
    cleaned, ledger = run(tmp_path, pl.DataFrame({"x": ["90000", "about 9", *map(str, column())]}))
    assert cleaned["x"][1] == "about 9"
    assert 1000 <= int(cleaned["x"][0]) < 1020
    assert capped(ledger)["row"].to_list() == [0]


@pytest.mark.parametrize("dtype", [pl.Int32, pl.UInt32, pl.Float32, pl.Float64])
def test_typed_columns_keep_their_types(tmp_path: Path, dtype: pl.DataType) -> None:
    table = pl.DataFrame({"x": pl.Series(column(90_000), dtype=pl.Int64).cast(dtype)})
    cleaned, ledger = run(tmp_path, table, suffix="parquet")
    assert cleaned["x"].dtype == table["x"].dtype
    assert capped(ledger)["row"].to_list() == [0]
    assert cleaned["x"][0] in table["x"][1:].to_list()


def test_a_long_tail_is_no_outlier(tmp_path: Path) -> None:
    tail = [int(v) for v in np.random.default_rng(1).pareto(1, 2000) * 100]
    cleaned, ledger = run(tmp_path, pl.DataFrame({"x": tail}), capping(most=0.001))
    assert capped(ledger).is_empty()
    assert cleaned["x"].to_list() == tail


def test_identifiers_and_constant_columns_are_left_alone(tmp_path: Path) -> None:
    table = pl.DataFrame({"order_id": column(90_000), "same": [*[7] * 500, 9]})
    cleaned, ledger = run(tmp_path, table)
    assert capped(ledger).is_empty()
    assert cleaned.cast(pl.Int64).equals(table)


@pytest.mark.parametrize("seed", [4, 5, 11, 14, 29])
def test_a_second_run_finds_nothing_to_cap_though_fills_draw_the_numbers_together(tmp_path: Path, seed: int) -> None:
    """Long tails and two cells in five missing: filling them makes the median deviation smaller, and the fence narrower."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 3, 1500)
    numbers = (draw.lognormal(5, 0.4, 1500) * (1 + group * (seed % 2))).round().astype(int)
    numbers[:3] = 40, 5000, 3000
    table = pl.DataFrame({"x": numbers, "group": group}).with_columns(pl.col("group").replace_strict([0, 1, 2], ["a", "b", "c"]))
    table = table.with_columns(pl.when(pl.Series(draw.random(1500) > 0.4)).then("x"))
    once, ledger = run(tmp_path, table)
    assert capped(ledger).height
    twice, again = run(tmp_path, once)
    assert twice.equals(once)
    assert again.filter(pl.col("action").is_in(["set", "flag"])).is_empty()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_second_run_finds_nothing_to_cap_on_another_scale(tmp_path: Path, seed: int) -> None:
    """A skewed column is judged on a linear scale while it has a number below zero, and on the logarithm once that is capped."""
    skewed = np.random.default_rng(seed).lognormal(5, 0.8, 800).round().astype(int)
    once, ledger = run(tmp_path, pl.DataFrame({"x": [-90_000, *skewed, 99_000]}))
    assert capped(ledger).height >= 2
    _, again = run(tmp_path, once)
    assert again.filter(pl.col("action").is_in(["set", "flag"])).is_empty()


@pytest.mark.parametrize("options", [{"lower": 0.6}, {"upper": 2}, {"upper": "high"}, {"limit": None}, {"most": True}])
def test_an_option_that_means_nothing_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        run(tmp_path, pl.DataFrame({"x": column()}), capping(**options))
