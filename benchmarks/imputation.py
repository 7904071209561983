"""How well fill_missing fills: hides a share of the cells of complete tables, fills them, and compares.

    python benchmarks/imputation.py TABLE.csv … [--share 0.05] [--seed 0] [--rows 20000]

For each table one line on its nominal columns (exact matches; columns with more different values than half their rows are left out) and
one on its numbers and dates (mean distance by rank, 0 to 1). `mode` and `median` are what filling from the column alone would reach; `all`
is the option `everything`; `default` fills what the recipe `complete` fills; `sure` counts fills with a confidence of 0.8 and more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from data_sanitizer.pipeline.sanitize import sanitize
from data_sanitizer.recipe import load_recipe


def main() -> None:
    """Measure every table given."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20_000)
    options = parser.parse_args()
    for path in options.tables:
        table = read(path).head(options.rows)
        masked = hidden(table, options.share, options.seed)
        for line in measured(table, masked):
            print(f"{path.parent.name + '/' + path.stem:30.30s} {line}", flush=True)


def read(path: Path) -> pl.DataFrame:
    """A CSV file as text, blanks trimmed, empty cells null."""
    table = pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
    return table.select(pl.all().str.strip_chars().replace("", None))


def hidden(table: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """True for the filled cells that are hidden."""
    draw = np.random.default_rng(seed)
    return pl.DataFrame({c.name: pl.Series(draw.random(len(c)) < share) & c.is_not_null() for c in table.iter_columns()})


def measured(table: pl.DataFrame, masked: pl.DataFrame) -> Iterator[str]:
    """The two lines of one table."""
    start = time.perf_counter()
    forced, usual = (fills(table, masked, everything=e) for e in (True, False))
    seconds = time.perf_counter() - start
    cells = [c for name in table.columns if (c := judged(name, table, masked, forced, usual)) is not None]
    for kind, judge in (("nominal", exact), ("ordered", distance)):
        found = [c for c in cells if c["ordered"][0] == (kind == "ordered")]
        if found:
            yield f"{kind} {judge(pl.concat(found))} | {seconds:.1f} s"


def fills(table: pl.DataFrame, masked: pl.DataFrame, everything: bool) -> pl.DataFrame:
    """row, column, new, confidence of every fill of a hidden cell."""
    with tempfile.TemporaryDirectory() as work:
        holes = table.select(pl.when(~masked[c]).then(table[c]).alias(c) for c in table.columns)
        holes.write_csv(Path(work) / "table.csv")
        recipe = load_recipe({"steps": [{"fill_missing": {"everything": everything}}], "duplicates": {"remove": False}})
        sanitize([str(Path(work) / "table.csv")], Path(work) / "run", recipe)
        ledger = pl.read_parquet(Path(work) / "run" / "ledger.parquet")
    return ledger.filter(pl.col("action") == "set").select("row", "column", "new", "confidence", "evidence")


def judged(name: str, table: pl.DataFrame, masked: pl.DataFrame, forced: pl.DataFrame, usual: pl.DataFrame) -> pl.DataFrame | None:
    """One row for each hidden cell of a column: truth, fills, confidences; None for columns that nothing can be learned of."""
    truth, hole = table[name], masked[name]
    kept = truth.filter(~hole).drop_nulls()
    own = forced.filter(pl.col("column") == name)
    ordered = bool(own["evidence"].str.contains("^median").any())
    if not hole.any() or len(kept) < 50 or (not ordered and not 2 <= kept.n_unique() <= 0.5 * len(kept)):
        return None
    cells = pl.DataFrame({"truth": truth}).with_row_index("row").filter(hole).with_columns(pl.col("row").cast(pl.UInt64))
    cells = cells.join(own.select("row", "confidence", all="new"), on="row", how="left", maintain_order="left")
    default = usual.filter(pl.col("column") == name).select("row", default="new")
    cells = cells.join(default, on="row", how="left", maintain_order="left")
    alone = kept.value_counts().sort(["count", name], descending=[True, False])[name][0]
    far, median = distances(kept, cells) if ordered else (None, None)
    return cells.with_columns(ordered=pl.lit(ordered), mode=pl.lit(alone), far=pl.lit(far, pl.Float64), median=pl.lit(median, pl.Float64))


def distances(kept: pl.Series, cells: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """How far, by rank among the kept numbers, the fill is from the truth, and how far the median is."""
    known = np.sort(number(kept).drop_nulls().to_numpy())
    truth, fill = (place(known, number(cells[c])) for c in ("truth", "all"))
    return pl.Series(np.abs(fill - truth)), pl.Series(np.abs(0.5 - truth))


def number(texts: pl.Series) -> pl.Series:
    """Numbers as written with a decimal point; null for others."""
    return texts.str.replace_all(r"[$€£¥%, ]", "").cast(pl.Float64, strict=False)


def place(known: np.ndarray, numbers: pl.Series) -> np.ndarray:
    """The rank from 0 to 1 of each number among the sorted known ones."""
    low, high = (np.searchsorted(known, numbers.to_numpy(), side) for side in ("left", "right"))
    return np.where(np.isnan(numbers.to_numpy()), np.nan, (low + high) / 2 / max(len(known), 1))


def exact(cells: pl.DataFrame) -> str:
    """Shares of exact matches."""
    right, good = (pl.col(c).eq_missing(pl.col("truth")) for c in ("all", "default"))
    sure, filled = pl.col("confidence").fill_null(0) >= 0.8, pl.col("default").is_not_null()
    mode, all_, told = cells.select((pl.col("mode") == pl.col("truth")).mean(), right.mean().alias("all"), pl.mean("confidence")).row(0)
    covered, at = cells.select(sure.mean(), right.filter(sure).mean().alias("at").fill_null(float("nan"))).row(0)
    usual, fits = cells.select(filled.mean(), good.filter(filled).mean().alias("at").fill_null(float("nan"))).row(0)
    shown = f"cells {cells.height:6d} mode {mode:.3f} all {all_:.3f} (told {told:.3f}) | sure {covered:.0%} right {at:.3f}"
    return f"{shown} | default {usual:.0%} right {fits:.3f}"


def distance(cells: pl.DataFrame) -> str:
    """Mean distances by rank."""
    known = cells.filter(pl.col("far").is_not_nan() & pl.col("far").is_not_null())
    if known.is_empty():
        return f"cells {cells.height:6d} (dates, or numbers in another way of writing)"
    sure = pl.col("confidence").fill_null(0) >= 0.8
    median, far, covered, close = known.select(
        pl.mean("median"), pl.mean("far"), sure.mean(), (pl.col("far") <= 0.1).filter(sure).mean().alias("close").fill_null(float("nan"))
    ).row(0)
    shown = f"cells {known.height:6d} median off by {median:.3f} all off by {far:.3f}"
    return f"{shown} | sure {covered:.0%} within a tenth {close:.3f}"


if __name__ == "__main__":
    main()
