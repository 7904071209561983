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
_SLOTS = 1 << 15


@kernel
def _tally(hashes: Any, shapes: Any, slots: Any, counts: Any, rows: Any, most: int) -> int:
    """Count hashes in an open-addressing table; rows[slot] is the first cell of a value. Returns the number of values, -1 beyond `most`."""
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


@dataclass(slots=True)
class Frequent:
    """`hashes` ascending with `counts` and `texts` beside them, blanks trimmed and collapsed; all empty once there are too many values."""

    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    texts: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.String))
    too_many: bool = False

    def update(self, cells: Cells) -> None:
        """Add the cells of one block."""
        if self.too_many:
            return
        slots, counts, rows = np.zeros(_SLOTS, np.uint64), np.zeros(_SLOTS, np.int64), np.zeros(_SLOTS, np.int64)
        if _tally(cells.hash1, cells.shapes, slots, counts, rows, MOST_VALUES) < 0:
            self._give_up()
            return
        taken = np.flatnonzero(counts)
        taken = taken[np.argsort(slots[taken])]
        known = np.isin(slots[taken], self.hashes, assume_unique=True)
        new = taken[~known]
        texts = squeezed(cells.text.gather(rows[new])) if len(new) else self.texts[:0]
        self._take(slots[taken], counts[taken], slots[new], texts)

    def merge(self, other: Self) -> None:
        """Take in another part of the column."""
        if self.too_many or other.too_many:
            self._give_up()
            return
        new = ~np.isin(other.hashes, self.hashes, assume_unique=True)
        self._take(other.hashes, other.counts, other.hashes[new], other.texts.filter(pl.Series(new)))

    def _take(self, hashes: NDArray[np.uint64], counts: NDArray[np.int64], new: NDArray[np.uint64], texts: pl.Series) -> None:
        """Add counts of ascending hashes, of which `new` with `texts` are not known yet."""
        if len(new):
            joined = np.concatenate([self.hashes, new])
            order = np.argsort(joined, kind="stable")
            self.hashes = joined[order]
            self.counts = np.concatenate([self.counts, np.zeros(len(new), np.int64)])[order]
            self.texts = pl.concat([self.texts, texts]).gather(order)
        self.counts[np.searchsorted(self.hashes, hashes)] += counts
        if len(self.hashes) > MOST_VALUES or (len(new) and (self.texts.str.len_bytes().sum() or 0) > MOST_BYTES):
            self._give_up()

    def _give_up(self) -> None:
        self.__init__(too_many=True)  # type: ignore[misc]

    def values(self) -> dict[str, int] | None:
        """Value -> count, most frequent first, ties by value; None where there are too many values."""
        if self.too_many:
            return None
        pairs = zip(self.texts.to_list(), self.counts.tolist(), strict=True)
        return dict(sorted(pairs, key=lambda p: (-p[1], p[0])))


def squeezed(texts: pl.Series) -> pl.Series:
    """The texts that the scan hashed: ASCII blanks trimmed, runs of them collapsed."""
    trimmed = pl.first().str.strip_chars(" \t\n\r\v\f").str.replace_all("\t", " ", literal=True)
    return texts.to_frame().select(trimmed.str.replace_all("  +", " ")).to_series()


def frame(values: dict[str, int]) -> pl.DataFrame:
    """Columns `value` and `count` of a mapping."""
    return pl.DataFrame({"value": list(values), "count": list(values.values())}, schema={"value": pl.String, "count": pl.UInt32})
