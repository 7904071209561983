"""Generated tables of which a share of the customers live in one street of one city under one family name.

    python -m benchmarks.skewed --size 100k --output-dir FOLDER [--share 0.3] [--seed 0]

Such a table makes large groups of rows that agree in three columns and are no duplicates. It has the truth of the generated table of the
same size and seed: copies are still copies, and a cell with a typing error still has one, in the new text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from data_sanitizer.benchmark_data import damage, files
from data_sanitizer.benchmark_data.records import Dice
from data_sanitizer.benchmark_generator import STRETCH, parse_size

CITY, STREET, SURNAME = "Springfield", "12 Main Street", "Miller"
SHARED = {"city": pl.lit(CITY), "street": pl.lit(STREET), "full_name": pl.col("clean").str.strip_chars().str.replace(r"\S+$", SURNAME)}


def main() -> None:
    """Write a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skewed", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", default="100k")
    parser.add_argument("--output-dir", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(generate(parse_size(options.size), options.output_dir, options.share, options.seed))


def generate(rows: int, folder: Path, share: float = 0.3, seed: int = 0) -> Path:
    """Write customers.csv, truth.parquet and entities.parquet; gives the CSV."""
    dice = Dice(seed)
    folder.mkdir(parents=True, exist_ok=True)
    return files.write(skewed(damage.stretches(rows, dice, STRETCH), share, dice), ("csv",), folder, dice)["csv"]


def skewed(stretches: Iterator[damage.Written], share: float, dice: Dice) -> Iterator[damage.Written]:
    """The stretches with the cells of a share of the entities rewritten."""
    for written in stretches:
        chosen = dice.chance(written.entity, "skewed", share)
        yield replace(written, cells=written.cells.with_columns(_rewritten(written, column, chosen, dice) for column in SHARED))


def _rewritten(written: damage.Written, column: str, chosen: np.ndarray, dice: Dice) -> pl.Series:
    """The cells of a column, with the shared text in the chosen rows; missing cells stay so, typing errors are made anew."""
    hurt = written.truth.filter(pl.col("column") == column).select("row", "kind", clean="original")
    cells = pl.DataFrame({"row": written.rows, "cell": written.cells[column], "chosen": chosen}).join(
        hurt, on="row", how="left", maintain_order="left"
    )
    cells = cells.with_columns(clean=pl.when(pl.col("kind").is_null()).then("cell").otherwise("clean"))
    cells = cells.with_columns(pl.when(pl.col("chosen") & (pl.col("kind").fill_null("") != "missing")).then(SHARED[column]).alias("new"))
    wrong = (cells["kind"].fill_null("") == "typo") & cells["new"].is_not_null()
    typed = cells.filter(wrong)
    typed = typed.select("row", typo=damage.misspelt(typed["new"].alias(column), typed["row"].to_numpy(), dice))
    cells = cells.join(typed, on="row", how="left", maintain_order="left")
    return cells.select(pl.coalesce("typo", "new", "cell")).to_series().alias(column)


if __name__ == "__main__":
    main()
