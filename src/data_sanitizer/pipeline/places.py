"""Where a row stands, from its number: rows count through all sources of a run, and on through the rows of earlier deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.pipeline.pass1 import SourceRows

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """The sources of a run, and the rows of a dataset that came before: the source of each, by number of its label, and its row there."""

    sources: Sequence[SourceRows]
    labels: tuple[str, ...] = ()
    source: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    row: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))

    @property
    def height(self) -> int:
        """The rows of this run."""
        return sum(s.rows for s in self.sources)

    def of(self, rows: Rows) -> pl.DataFrame:
        """Source name and row number of rows counted over all."""
        firsts = np.array([s.first for s in self.sources])
        # A source without rows shares its first row with the next one; the last of them is the one that has the row.
        number = np.searchsorted(firsts, rows, side="right") - 1
        row = (rows - firsts[number]).astype(np.uint64)
        if len(earlier := np.flatnonzero(rows >= self.height)):
            before = rows[earlier] - self.height
            number[earlier], row[earlier] = len(firsts) + self.source[before], self.row[before]
        names = pl.Series("source", [*(s.name for s in self.sources), *self.labels], pl.String).gather(number)
        return pl.DataFrame({"source": names, "row": pl.Series(row, dtype=pl.UInt64)})
