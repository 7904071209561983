"""Readings of columnar files: consecutive row slices with plain columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats._bytes import must_be_unchanged, stamp
from data_sanitizer.formats._columns import flat
from data_sanitizer.model import Block, Decision

_CELLS = 1 << 19  # cells in one block: 40,000 rows of 13 columns; slices of whole row groups would hold several of them at once


class Columnar:
    """A table whose file keeps types, read slice by slice, because only the slice is decoded (a streaming batch held 3 times as much)."""

    schema: Mapping[str, pl.DataType]

    def __init__(self, format: str, name: str, path: Path, table: pl.LazyFrame, rows: int | None) -> None:  # noqa: A002
        self.format, self.name = format, name
        self._path, self._stamp = path, stamp(path)
        schema = table.collect_schema()
        columns = flat(schema)
        self.schema = pl.Schema({column: kind for column, _, kind in columns})
        self.decisions = tuple(_changes(schema, self.schema))
        self._table = table.select(expression for _, expression, _ in columns)
        self._rows = rows or max(1, _CELLS // max(1, len(columns)))

    def blocks(self) -> Iterator[Block]:
        """Every row once, in order; raises MalformedInput where the file is damaged, InputChanged where it is new."""
        must_be_unchanged(self._path, self.name, self._stamp)
        first = 0
        try:
            count = self._table.select(pl.len()).collect().item()
            for first in range(0, count, self._rows):
                frame = self._table.slice(first, self._rows).collect()
                yield Block(np.arange(first, first + frame.height, dtype=np.uint64), frame)
        except (pl.exceptions.PolarsError, OSError) as error:
            why = f"the data after row {first} is damaged"
            raise errors.MalformedInput(path=self.name, format=self.format, why=why) from error


def _changes(before: pl.Schema, after: Mapping[str, pl.DataType]) -> Iterator[Decision]:
    for name, kind in before.items():
        if name not in after:
            inner = [c for c in after if c.startswith(f"{name}.")]
            yield Decision("nested column", f"{name} as {', '.join(inner[:5])}", f"{len(inner)} fields in one column")
        elif after[name] != kind:
            yield Decision("column type", f"{name} as text", f"{kind.base_type()} in the file")
