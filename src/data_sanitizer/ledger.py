"""The ledger: one entry for every changed cell, removed row, conversion and flag, and the comparison that writes it."""

from __future__ import annotations

from typing import Final

import polars as pl

SCHEMA: Final = {
    "source": pl.String(), "row": pl.UInt64(), "column": pl.String(), "action": pl.String(), "old": pl.String(), "new": pl.String(),
    "rule": pl.String(), "rule_version": pl.UInt16(), "evidence": pl.String(), "confidence": pl.Float32(), "sensitive": pl.Boolean(),
}  # fmt: skip
SET, CONVERT, REMOVE, QUARANTINE, FLAG = "set", "convert", "remove", "quarantine", "flag"


def entries(rows: int | pl.Series, **values: object) -> pl.DataFrame:
    """A piece of ledger: `rows` row numbers (or how many entries without one); a value is a Series, or one value for all entries."""
    n = rows if isinstance(rows, int) else len(rows)
    columns = {"row": None if isinstance(rows, int) else rows, "sensitive": False, "confidence": 1.0, **values}
    made = []
    for name, dtype in SCHEMA.items():
        value = columns.get(name)
        series = value.rename(name) if isinstance(value, pl.Series) else pl.repeat(value, n, dtype=dtype, eager=True).rename(name)
        made.append(series.cast(dtype))
    return pl.DataFrame(made)


def as_text(column: pl.Series) -> pl.Series:
    """Cells of any type as the ledger writes them."""
    return column if column.dtype == pl.String else column.cast(pl.String)
