"""Readings of columnar files: consecutive row slices with plain columns, and never more bytes at a time than the limits allow.

A dictionary of one long text stands for as many rows as one likes, so neither the size of the file nor its metadata say how much it holds:
the texts of each slice are measured before they are made plain, slices grow only as far as the last ones were small, and the sum counts
against the same limits as what compressed data unpacks to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import errors
from data_sanitizer.formats._bytes import must_be_unchanged, stamp
from data_sanitizer.formats._columns import checked_names, depth, flat, text_size
from data_sanitizer.formats._compression import Allowance
from data_sanitizer.formats._sizes import check, long_rows
from data_sanitizer.model import Block, Decision, ReadLimits

_CELLS = 1 << 19  # cells in one block: 40,000 rows of 13 columns; slices of whole row groups would hold several of them at once
_FIRST = 1 << 12  # rows of the first slice
_GROWTH = 4  # a slice is at most this many times longer than the one before it
DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)

Raw = Callable[[int], Iterator[pl.DataFrame]]


class Columnar:
    """A table whose file keeps types; `raw` gives its frames as they are in the file, of at most the given number of rows where it can."""

    schema: Mapping[str, pl.DataType]

    def __init__(self, format: str, name: str, path: Path, schema: pl.Schema, raw: Raw, limits: ReadLimits, rows: int | None) -> None:  # noqa: A002
        self.format, self.name = format, name
        self._path, self._stamp, self._raw, self._limits = path, stamp(path), raw, limits
        self._check_depth(schema)
        columns = flat(schema)
        checked_names([column for column, _, _ in columns], limits, name)
        self.schema = pl.Schema({column: kind for column, _, kind in columns})
        self.decisions = tuple(_changes(schema, self.schema))
        self._columns = [expression for _, expression, _ in columns]
        self._sizes = [text_size(pl.col(column), kind) for column, kind in schema.items()]
        self._rows = rows or max(1, _CELLS // max(1, len(columns)))

    def _check_depth(self, schema: pl.Schema) -> None:
        deepest = max(map(depth, schema.values()), default=0)
        if deepest > self._limits.depth:
            found = f"a column is nested {deepest} levels deep"
            raise errors.ParquetLimit(path=self.name, found=found, limit="depth", most=self._limits.depth)

    def blocks(self) -> Iterator[Block]:
        """Every row once, in order; raises the MalformedInput of the format where the file is damaged, InputChanged where it is new."""
        must_be_unchanged(self._path, self.name, self._stamp)
        allowance, first = Allowance(self._path.stat().st_size, self.name, self._limits), 0
        try:
            for raw in self._raw(self._rows):
                sizes = self._measured(raw)
                allowance.take(int(sizes.sum()))
                check(int(sizes.max(initial=0)), "row_bytes", "a row", self._limits, self.name)
                for start, stop in self._cuts(sizes):
                    frame = raw.slice(start, stop - start).select(self._columns)
                    rows = np.arange(first, first + frame.height, dtype=np.uint64)
                    yield Block(rows, frame, flagged=long_rows(frame, rows, self._limits, self.name))
                    first += frame.height
        except DAMAGE as error:
            raise damaged(self.format, self.name, f"the data after row {first} is damaged") from error

    def _measured(self, raw: pl.DataFrame) -> NDArray[np.int64]:
        """The bytes of text in each row."""
        sizes = [size for size in self._sizes if size is not None]
        if not sizes or not raw.height:
            return np.zeros(raw.height, np.int64)
        return np.asarray(raw.select(pl.sum_horizontal(s.fill_null(0) for s in sizes).cast(pl.Int64)).to_series().to_numpy(), np.int64)

    def _cuts(self, sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Where the rows are parted so that each part has at most `batch_bytes` of text, and as many rows as are given at once."""
        ends, start = np.cumsum(sizes), 0
        while start < len(sizes):
            before = int(ends[start - 1]) if start else 0
            stop = int(np.searchsorted(ends, before + self._limits.batch_bytes, side="right"))
            stop = min(max(stop, start + 1), start + self._rows, len(sizes))
            yield start, stop
            start = stop


def slices(table: pl.LazyFrame, limits: ReadLimits, schema: pl.Schema, format: str, name: str) -> Raw:  # noqa: A002
    """The rows of a scanned file: slices that begin small and grow as long as they hold little."""
    sizes = [size for column, kind in schema.items() if (size := text_size(pl.col(column), kind)) is not None]

    def raw(most: int) -> Iterator[pl.DataFrame]:
        count, first, rows = table.select(pl.len()).collect().item(), 0, min(most, _FIRST)
        while first < count:
            frame = table.slice(first, rows).collect()
            if not frame.height:
                raise damaged(format, name, f"it ends after row {first}, and says that it has {count}")
            yield frame
            first += frame.height
            held = frame.select(pl.sum_horizontal(s.fill_null(0).sum() for s in sizes)).item() if sizes else 0
            fits = int(limits.batch_bytes * rows / held) if held else most
            rows = max(1, min(most, _GROWTH * rows, fits))

    return raw


def damaged(format: str, name: str, why: str) -> errors.MalformedInput:  # noqa: A002
    """The error for a damaged file of a format."""
    if format == "parquet":
        return errors.MalformedParquet(path=name, format="Parquet", why=why)
    return errors.MalformedArrow(path=name, format="Arrow IPC", why=why)


def _changes(before: pl.Schema, after: Mapping[str, pl.DataType]) -> Iterator[Decision]:
    for name, kind in before.items():
        if name not in after:
            inner = [c for c in after if c.startswith(f"{name}.")]
            yield Decision("nested column", f"{name} as {', '.join(inner[:5])}", f"{len(inner)} fields in one column")
        elif after[name] != kind:
            yield Decision("column type", f"{name} as text", f"{kind.base_type()} in the file")
