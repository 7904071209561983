"""Cells and rows that are longer than the limits allow: the long ones are flagged, those beyond all measure refused."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import errors
from data_sanitizer.model import ReadLimits, RowIssue

LONG = "a value is longer than the limit field_bytes"


def long_rows(frame: pl.DataFrame, rows: NDArray[np.uint64], limits: ReadLimits, name: str) -> tuple[RowIssue, ...]:
    """A remark on each row with a long text; raises FieldTooLarge and RowTooLarge. One look at the lengths is enough for usual tables."""
    texts = [column for column, kind in frame.schema.items() if kind == pl.String]
    if not texts or not frame.height:
        return ()
    longest = frame.select(pl.col(texts).str.len_bytes().max()).row(0)
    check(max((size or 0 for size in longest), default=0), "longest_field", "a value", limits, name)
    if sum(size or 0 for size in longest) > limits.row_bytes:
        sizes = frame.select(pl.sum_horizontal(pl.col(texts).str.len_bytes().cast(pl.UInt64))).to_series()
        check(int(sizes.max() or 0), "row_bytes", "a row", limits, name)  # type: ignore[arg-type]
    long = [column for column, size in zip(texts, longest, strict=True) if (size or 0) > limits.field_bytes]
    if not long:
        return ()
    places = frame.select(pl.any_horizontal(pl.col(long).str.len_bytes() > limits.field_bytes).arg_true()).to_series().to_list()
    return tuple(RowIssue(int(rows[i]), LONG, "") for i in places)


def check(size: int, limit: str, what: str, limits: ReadLimits, name: str) -> None:
    """Raises the error of `longest_field` or `row_bytes` where the size is beyond it."""
    most = getattr(limits, limit)
    error = errors.FieldTooLarge if limit == "longest_field" else errors.RowTooLarge
    if size > most:
        raise error(path=name, found=f"{what} has {size} bytes", limit=limit, most=most)
