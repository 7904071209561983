"""What pass 1 learns of a table: one mergeable statistic a file, so that profile(a + b) == merge(profile(a), profile(b))."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel
from data_sanitizer.profile._cells import Cells, hash_bytes, odd_cells, scan_all
from data_sanitizer.profile._scan import finish
from data_sanitizer.profile.distinct import Distinct
from data_sanitizer.profile.frequent import Frequent
from data_sanitizer.profile.lengths import Lengths
from data_sanitizer.profile.numbers import Numbers
from data_sanitizer.profile.sample import RowSample
from data_sanitizer.profile.shapes import Shapes

Keys = NDArray[np.uint64]  # shape (rows, 2): 128 bits a row
OddCells = dict[str, NDArray[np.uint32]]  # column -> places in the block


@dataclass(slots=True)
class ColumnStatistics:
    """The statistics of one column while they are being collected."""

    rows: int = 0
    shapes: Shapes = field(default_factory=Shapes)
    distinct: Distinct = field(default_factory=Distinct)
    frequent: Frequent = field(default_factory=Frequent)
    lengths: Lengths = field(default_factory=Lengths)
    numbers: Numbers = field(default_factory=Numbers)

    def update(self, cells: Cells) -> None:
        """Add the cells of one block."""
        self.rows += len(cells.text)
        for statistic in (self.shapes, self.distinct, self.frequent, self.lengths, self.numbers):
            statistic.update(cells)

    def merge(self, other: Self) -> None:
        """Take in another part of the column."""
        self.rows += other.rows
        for name in ("shapes", "distinct", "frequent", "lengths", "numbers"):
            getattr(self, name).merge(getattr(other, name))


@dataclass(slots=True)
class TableStatistics:
    """The statistics of all columns, and a sample of whole rows."""

    columns: dict[str, ColumnStatistics] = field(default_factory=dict)
    sample: RowSample = field(default_factory=RowSample)
    rows: int = 0

    def update(self, frame: pl.DataFrame, source: int, rows: NDArray[np.uint64], key_columns: frozenset[str]) -> tuple[Keys, OddCells]:
        """Add a block; returns for each of its rows the key over the given columns, and the places of the odd cells."""
        keys, odd = np.zeros((frame.height, 2), np.uint64), {}
        for cells in scan_all(frame):
            name = cells.text.name
            self.columns.setdefault(name, ColumnStatistics()).update(cells)
            odd[name] = odd_cells(cells)
            if name in key_columns:
                add_to_keys(keys, name, cells)
        self.sample.update(frame, source, rows)
        self.rows += frame.height
        return keys, odd

    def merge(self, other: Self) -> None:
        """Take in the statistics of other rows; columns that one side lacks keep their own row count."""
        for name, statistics in other.columns.items():
            self.columns.setdefault(name, ColumnStatistics()).merge(statistics)
        self.sample.merge(other.sample)
        self.rows += other.rows


@kernel
def _mix_into(keys: Any, hash1: Any, hash2: Any, shapes: Any, salt1: Any, salt2: Any, sign: int) -> None:
    for k in range(len(hash1)):
        if shapes[k] != 0:
            a, b = finish(hash1[k] ^ salt1), finish(hash2[k] ^ salt2)
            if sign > 0:
                keys[k, 0] += a
                keys[k, 1] += b
            else:
                keys[k, 0] -= a
                keys[k, 1] -= b


def add_to_keys(keys: Keys, column: str, cells: Cells, sign: int = 1, part: slice = slice(None)) -> None:
    """Add (or with sign -1 take away) a column's cells, or a part of them, to the keys of their rows.

    A key is the sum, modulo 2^64 in each half, of a hash of every cell that is not missing, salted with the name of its column: equal for
    rows that say the same in every column, whatever the order of the columns, and corrected in place when a cell changes.
    """
    salt1, salt2 = hash_bytes(np.frombuffer(b"\1" + column.encode(), np.uint8))
    _mix_into(keys, cells.hash1[part], cells.hash2[part], cells.shapes[part], np.uint64(salt1), np.uint64(salt2), sign)
