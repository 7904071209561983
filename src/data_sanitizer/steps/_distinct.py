"""Python functions on text, applied to each different value once and only where a fast test says that it can matter."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl


def on_distinct(column: str, where: str, function: Callable[[str], str | None]) -> pl.Expr:
    """The column with `function` applied to the cells that match the regular expression `where`; all other cells untouched."""

    def apply(cells: pl.Series) -> pl.Series:
        mask = cells.str.contains(where).fill_null(value=False)
        if not mask.any():
            return cells
        old = cells.filter(mask).unique().sort()
        new = pl.Series([function(v) for v in old], dtype=pl.String)
        changed = old.ne_missing(new)
        if not changed.any():
            return cells
        return cells.replace(old.filter(changed), new.filter(changed))

    return pl.col(column).map_batches(apply, return_dtype=pl.String)
