"""Every value of a column with its exact count, as long as there are few: 20,000 different values and 2 MB of text at most.

Beyond that the statistic is empty, whatever the order of the rows: whether a column has too many values does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.kernels import kernel
from data_sanitizer.profile._cells import Cells

MOST_VALUES = 20_000
MOST_BYTES = 2_000_000


@kernel
def _tally(hashes: Any, shapes: Any, slots: Any, counts: Any, rows: Any, most: int) -> int:
    """Count hashes in an open-addressing table; rows[slot] is the first cell of a new value. Returns the number of values, -1 beyond `most`."""
    used, mask = 0, len(slots) - 1
    for k in range(len(hashes)):
        if shapes[k] == 0:
            continue
        h = hashes[k]
        i = h & np.uint64(mask)
        while counts[i] > 0 and slots[i] != h:
            i = (i + np.uint64(1)) & np.uint64(mask)
        if counts[i] == 0:
            if used == most:
                return -1
            slots[i], rows[i] = h, k
            used += 1
        counts[i] += 1
    return used


def _block_counts(cells: Cells) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]] | None:
    size = 1 << 16
    slots, counts, rows = np.zeros(size, np.uint64), np.zeros(size, np.int64), np.zeros(size, np.int64)
    if _tally(cells.hash1, cells.shapes, slots, counts, rows, MOST_VALUES) < 0:
        return None
    taken = np.flatnonzero(counts)
    return slots[taken], counts[taken], rows[taken]


@dataclass(slots=True)
class Frequent:
    """`counts`: hash -> cells; `texts`: hash -> the value, blanks trimmed and collapsed; both None once there are too many values."""

    counts: dict[int, int] | None = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    bytes: int = 0

    def update(self, cells: Cells) -> None:
        """Add the cells of one block."""
        if self.counts is None:
            return
        block = _block_counts(cells)
        if block is None:
            self._give_up()
            return
        hashes, counts, rows = block
        new = [i for i, h in enumerate(hashes.tolist()) if h not in self.counts]
        for h, text in zip(hashes[new].tolist(), squeezed(cells.text.gather(rows[new])).to_list(), strict=True):
            self._remember(h, text)
        for h, n in zip(hashes.tolist(), counts.tolist(), strict=True):
            self.counts[h] = self.counts.get(h, 0) + n
        self._check()

    def merge(self, other: Self) -> None:
        """Take in another part of the column."""
        if self.counts is None or other.counts is None:
            self._give_up()
            return
        for h, n in other.counts.items():
            if h not in self.counts:
                self._remember(h, other.texts[h])
            self.counts[h] = self.counts.get(h, 0) + n
        self._check()

    def _remember(self, h: int, text: str) -> None:
        self.texts[h] = text
        self.bytes += len(text.encode())

    def _check(self) -> None:
        if self.counts is not None and (len(self.counts) > MOST_VALUES or self.bytes > MOST_BYTES):
            self._give_up()

    def _give_up(self) -> None:
        self.counts, self.texts, self.bytes = None, {}, 0

    def values(self) -> dict[str, int] | None:
        """Value -> count, most frequent first, ties by value; None where there are too many values."""
        if self.counts is None:
            return None
        pairs = ((self.texts[h], n) for h, n in self.counts.items())
        return dict(sorted(pairs, key=lambda p: (-p[1], p[0])))


def squeezed(texts: pl.Series) -> pl.Series:
    """The texts that the scan hashed: ASCII blanks trimmed, runs of them collapsed."""
    trimmed = texts.str.strip_chars(" \t\n\r\v\f").str.replace_all("\t", " ", literal=True)
    return trimmed.str.replace_all("  +", " ")


def frame(values: dict[str, int]) -> pl.DataFrame:
    """Columns `value` and `count` of a mapping."""
    return pl.DataFrame({"value": list(values), "count": list(values.values())}, schema={"value": pl.String, "count": pl.UInt32})
