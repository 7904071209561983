"""Candidates that may be duplicates, with their levels of agreement, in files: in memory is only the part that is worked on.

A pair takes 12 bytes of disk and one for each column. If there are more of them than can be judged, the bar rises for all by the same
step, so that which are left does not depend on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Levels = NDArray[np.int8]
LEAST: Final = -12.0  # bits: pairs that weigh no more are forgotten
_STEP: Final = 2.0  # bits by which the bar rises
_BARS: Final = np.arange(LEAST, LEAST + 64 * _STEP, _STEP, dtype=np.float32)
_PART: Final = 1 << 17  # pairs that are given at a time
_LOW: Final = np.uint64(0xFFFFFFFF)


@dataclass(slots=True)
class Hopeful:
    """Takes pairs of rows a < b with their levels in `width` columns and their weights in bits; keeps at most `most` of them."""

    folder: Path
    width: int
    most: int
    _above: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(_BARS), np.int64))  # pairs above each bar
    _written: int = 0
    _files: dict[str, BinaryIO] = field(default_factory=dict)

    @property
    def bar(self) -> float:
        """What a pair must weigh more than: the first bar that few enough pairs pass."""
        return float(_BARS[self._place()])

    def __len__(self) -> int:
        return int(self._above[self._place()])

    def _place(self) -> int:
        return min(int(np.argmax(self._above <= self.most)), len(_BARS) - 1)

    def add(self, a: Rows, b: Rows, levels: Levels, weights: NDArray[np.float32]) -> None:
        """Add pairs; those at or below the bar are left out."""
        kept = weights > self.bar
        a, b, levels, weights = a[kept], b[kept], levels[kept], weights[kept]
        passed = np.bincount(np.searchsorted(_BARS, weights), minlength=len(_BARS) + 1)
        self._above += passed[::-1].cumsum()[::-1][1:]
        self._written += len(a)
        pairs = a.astype(np.uint64) << np.uint64(32) | b.astype(np.uint64)
        for name, array in (("pairs", pairs), ("levels", np.ascontiguousarray(levels)), ("weights", weights)):
            if name not in self._files:
                self._files[name] = (self.folder / f"near-hopeful-{name}").open("w+b")
            array.tofile(self._files[name])

    def parts(self) -> Iterator[tuple[Rows, Rows, Levels]]:
        """The pairs above the bar with their levels, in the order in which they came; at least one part, which may be empty."""
        for file in self._files.values():
            file.seek(0)
        if not self._written:
            yield np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, self.width), np.int8)
        for first in range(0, self._written, _PART):
            size = min(_PART, self._written - first)
            pairs, weights = self._next("pairs", np.uint64, size), self._next("weights", np.float32, size)
            levels, kept = self._next("levels", np.int8, size * self.width).reshape(size, self.width), weights > self.bar
            pairs = pairs[kept]
            yield (pairs >> np.uint64(32)).astype(np.int64), (pairs & _LOW).astype(np.int64), levels[kept]

    def _next(self, name: str, dtype: Any, count: int) -> NDArray[Any]:
        return np.fromfile(self._files[name], dtype, count)

    def close(self) -> None:
        """Close the files; they stay until their folder is removed."""
        for file in self._files.values():
            file.close()
