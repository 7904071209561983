"""A fixed-size random sample of whole rows that does not depend on the order in which they are seen.

Each row has a priority, a hash of the seed, its source and its number; the sample is the rows with the smallest priorities (bottom-k
sampling, Cohen and Kaplan 2007), so two samples merge into the sample of both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

SIZE = 20_000
PRIORITY = "__priority__"


def priorities(seed: int, source: int, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 of (seed, source, row): one 64-bit priority a row."""
    with np.errstate(over="ignore"):
        x = rows + np.uint64(((seed + 1) * 0x9E3779B97F4A7C15 + (source + 1) * 0xD1342543DE82EF95) & 0xFFFFFFFFFFFFFFFF)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


@dataclass(slots=True)
class RowSample:
    """At most SIZE rows; `frames` hold them with their priority until `rows()` puts them in order."""

    seed: int = 0
    frames: list[pl.DataFrame] = field(default_factory=list)
    held: int = 0
    limit: int = 0xFFFFFFFFFFFFFFFF

    def update(self, frame: pl.DataFrame, source: int, rows: NDArray[np.uint64]) -> None:
        """Consider the rows of one block."""
        priority = priorities(self.seed, source, rows)
        chosen = np.flatnonzero(priority <= np.uint64(self.limit))
        if len(chosen):
            self._add(_owned(frame[chosen]).with_columns(pl.Series(PRIORITY, priority[chosen])))

    def merge(self, other: Self) -> None:
        """Take in the sample of other rows."""
        for frame in other.frames:
            self._add(frame)

    def _add(self, frame: pl.DataFrame) -> None:
        self.frames.append(frame)
        self.held += frame.height
        if self.held > SIZE + SIZE // 2:
            self._shrink()

    def _shrink(self) -> None:
        rows = pl.concat(self.frames, how="diagonal_relaxed").sort(PRIORITY)
        self.frames = [rows.head(SIZE).rechunk()]
        self.held = self.frames[0].height
        if rows.height > SIZE:
            self.limit = int(self.frames[0][PRIORITY][-1])

    def rows(self) -> pl.DataFrame:
        """The sampled rows in order of priority, which is a random order."""
        if not self.frames:
            return pl.DataFrame()
        self._shrink()
        return self.frames[0].drop(PRIORITY)


def _owned(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows with text of their own: a few rows taken from a block that was read from a file keep all of its text in memory."""
    return frame.with_columns(pl.col(pl.String) + pl.lit(""))
