"""How much of the duplicates that people know a run found: its merges held against rows that were labelled by hand.

A file of truth is CSV or Parquet and has one of two forms. `row` and `entity`: rows with one entity are one record; merges between rows
that are not listed are not judged. `row_a` and `row_b`: each line is a pair that is one record, and the list is complete. Rows count from
0; where a run has several inputs, `source` (or `source_a` and `source_b`) names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from data_sanitizer.errors import TruthUnusable

_ROW: Final = ["source", "row"]


def read(path: Path, sources: Sequence[str]) -> tuple[pl.DataFrame, bool]:
    """The labelled rows as `source`, `row`, `entity`, and whether rows that are not among them are known to have no duplicate. Raises
    TruthUnusable."""
    try:
        table = pl.read_parquet(path) if path.suffix.lower() == ".parquet" else pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TruthUnusable(path=path, why="it cannot be read as a table") from error
    if {"row", "entity"} <= set(table.columns):
        rows = _rows(path, table, "", sources).with_columns(table["entity"].cast(pl.String).alias("entity"))
        return _checked(path, rows, sources), False
    if {"row_a", "row_b"} <= set(table.columns):
        ends = [_checked(path, _rows(path, table, end, sources), sources) for end in ("_a", "_b")]
        return _joined(*ends), True
    raise TruthUnusable(path=path, why="it has neither the columns row and entity nor row_a and row_b")


def _rows(path: Path, table: pl.DataFrame, end: str, sources: Sequence[str]) -> pl.DataFrame:
    if f"source{end}" in table.columns:
        source = pl.col(f"source{end}").cast(pl.String)
    elif len(sources) == 1:
        source = pl.lit(sources[0])
    else:
        raise TruthUnusable(path=path, why=f"the run has {len(sources)} inputs, and the column source{end} is missing")
    try:
        return table.select(source.alias("source"), pl.col(f"row{end}").cast(pl.UInt64).alias("row"))
    except pl.exceptions.PolarsError as error:
        raise TruthUnusable(path=path, why=f"row{end} holds something other than row numbers") from error


def _checked(path: Path, rows: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    if rows.null_count().sum_horizontal().item():
        raise TruthUnusable(path=path, why="some of its cells are empty")
    if not rows["source"].is_in(list(sources)).all():
        raise TruthUnusable(path=path, why="it names an input that the run has not")
    if "entity" in rows.columns and rows.select(_ROW).is_duplicated().any():
        raise TruthUnusable(path=path, why="it names a row twice")
    return rows


def _joined(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Rows with their entity from pairs: what is paired with one row is paired with all of its pairs."""
    firsts: dict[tuple[str, int], tuple[str, int]] = {}

    def first(row: tuple[str, int]) -> tuple[str, int]:
        firsts.setdefault(row, row)
        while firsts[row] != row:
            firsts[row] = row = firsts[firsts[row]]
        return row

    for one, other in zip(a.iter_rows(), b.iter_rows(), strict=True):
        x, y = sorted((first(one), first(other)))
        firsts[y] = x
    rows = list(firsts)
    roots = {root: str(number) for number, root in enumerate(dict.fromkeys(first(row) for row in rows))}
    told = [(*row, roots[first(row)]) for row in rows]
    return pl.DataFrame(told, {"source": pl.String, "row": pl.UInt64, "entity": pl.String}, orient="row")


def judged(folder: Path, truth: pl.DataFrame, complete: bool) -> dict[str, Any]:
    """The merges of a run held against the truth, counted in pairs of rows: which share of the true pairs was merged (`found`) or at least
    put into one cluster (`found_or_asked`), and which share of the merged pairs is no true one (`false`)."""
    table = pl.read_parquet(folder / "duplicates.parquet", glob=False)
    merged = _against(truth, _merged(table), complete)
    seen = _against(truth, table.select(*_ROW, pl.col("cluster").alias("group")), complete)
    return {
        "rows_labelled": truth.height,
        "pairs_true": merged["true"],
        "pairs_merged": merged["together"],
        "pairs_right": merged["right"],
        "found": _share(merged["right"], merged["true"]),
        "found_or_asked": _share(seen["right"], merged["true"]),
        "false": _share(merged["together"] - merged["right"], merged["together"]),
    }


def _merged(table: pl.DataFrame) -> pl.DataFrame:
    """`source`, `row`, `group` of all rows that were merged, and of those that stand for them."""
    group = pl.struct(pl.col("survivor_source").alias("source"), pl.col("survivor_row").alias("row")).alias("group")
    removed = table.filter(decision="removed").select(*_ROW, group)
    kept = removed.select(pl.col("group").struct.field("source"), pl.col("group").struct.field("row"), "group").unique()
    return pl.concat([removed, kept])


def _against(truth: pl.DataFrame, groups: pl.DataFrame, complete: bool) -> Mapping[str, int]:
    joined = truth.join(groups, on=_ROW, how="full" if complete else "left", coalesce=True)
    both = joined.drop_nulls(["entity", "group"])
    return {
        "true": _pairs(joined.drop_nulls("entity"), "entity"),
        "together": _pairs(joined.drop_nulls("group"), "group"),
        "right": _pairs(both, "entity", "group"),
    }


def _pairs(rows: pl.DataFrame, *by: str) -> int:
    """How many pairs of rows are equal in these columns."""
    n = rows.group_by(by).len().get_column("len").cast(pl.Int64)
    return int((n * (n - 1) // 2).sum())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
