"""Candidate pairs: rows with equal keys, never quadratic in the rows that share a key, in bounded memory.

For every template the keys of all rows lie in a file; they are sorted with the row number in their low bits, and rows with equal keys
form a run. A short run gives all its pairs; a long one gives each row its next neighbours in the order of the content hashes, so that
the pairs do not depend on the order of the rows. The pairs of all templates are then merged, a range of rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import finish
from data_sanitizer.kernels import kernel

LONGEST_RUN: Final = 60  # rows of a run that are all compared with each other
NEIGHBOURS: Final = 5  # pairs of a row in a longer run
MOST_PAIRS: Final = 4  # pairs per row that a template may give; with more, its longest runs are compared with neighbours only
_MOST_IN_ALL: Final = 20_000_000  # pairs of short runs that a template may give, whatever the rows: 160 MB
_MERGED: Final = 1 << 22  # pairs merged at a time
_LOW = np.uint64(0xFFFFFFFF)
Keys = NDArray[np.uint64]


@kernel
def mix(keys: Any, view: Any) -> None:
    """Mix a view into keys of shape (n,); a row without the view loses its key (0)."""
    for k in range(len(keys)):
        if view[k] == 0:
            keys[k] = 0
        elif keys[k] != 0:
            keys[k] = finish(keys[k] ^ view[k] * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1)


def keys(views: Sequence[Keys]) -> Keys:
    """One key a row from some of its views, of shape (n,); 0 where one of them is missing."""
    found = np.full(len(views[0]), 0x1234567, np.uint64)
    for view in views:
        mix(found, view)
    return found


@kernel
def _packed(keys: Any, low: Any, out: Any) -> int:
    n = 0
    for k in range(len(keys)):
        if keys[k] != 0:
            out[n] = keys[k] & ~low | np.uint64(k)
            n += 1
    return n


@kernel
def _run_lengths(packed: Any, low: Any, counts: Any) -> None:
    """Count the runs by their length; the last counter is for all longer ones."""
    i, n = 0, len(packed)
    while i < n:
        j, key = i + 1, packed[i] & ~low
        while j < n and packed[j] & ~low == key:
            j += 1
        counts[min(j - i, len(counts) - 1)] += 1
        i = j


@kernel
def _emit(packed: Any, low: Any, longest: int, pairs: Any, rows: Any, runs: Any) -> tuple[Any, Any]:
    """Write the pairs of all runs up to `longest`, and the rows of longer ones with the place of their run; returns how many of both."""
    i, n, count, long = 0, len(packed), 0, 0
    while i < n:
        j, key = i + 1, packed[i] & ~low
        while j < n and packed[j] & ~low == key:
            j += 1
        if 1 < j - i <= longest:
            for x in range(i, j):
                for y in range(x + 1, j):
                    pairs[count] = (packed[x] & low) << np.uint64(32) | packed[y] & low
                    count += 1
        elif j - i > longest:
            for x in range(i, j):
                rows[long], runs[long] = packed[x] & low, i
                long += 1
        i = j
    return count, long


def run_pairs(keys: Keys, contents: Keys, most: float = MOST_PAIRS) -> NDArray[np.uint64]:
    """The pairs of rows with equal keys (0: no key), as a << 32 | b with a < b, ascending and unique; at most about `most` a row."""
    n = len(keys)
    low = np.uint64((1 << max(n - 1, 1).bit_length()) - 1)
    packed = np.empty(n, np.uint64)
    packed = packed[: _packed(keys, low, packed)]
    packed.sort()
    counts = np.zeros(LONGEST_RUN + 2, np.int64)
    _run_lengths(packed, low, counts)
    longest, short = _longest(counts, int(most * n) + 1000)
    pairs = np.empty(short, np.uint64)
    rows = np.empty(len(packed) - int((counts * np.arange(len(counts)))[: longest + 1].sum()), np.int64)
    runs = np.empty(len(rows), np.int64)
    _emit(packed, low, longest, pairs, rows, runs)
    if len(rows):  # a pair is of one run: no pair comes twice
        pairs = np.concatenate([pairs, *_neighbours(rows, runs, contents)])
    pairs.sort()
    return pairs


def _longest(counts: NDArray[np.int64], most: int) -> tuple[int, int]:
    """The longest run of which all pairs are taken, and how many pairs that gives."""
    lengths = np.arange(len(counts) - 1)
    total = np.cumsum(counts[:-1] * lengths * (lengths - 1) // 2)
    longest = int(np.searchsorted(total, most, side="right")) - 1
    longest = max(longest, 1)
    return longest, int(total[longest])


def _neighbours(rows: NDArray[np.int64], runs: NDArray[np.int64], contents: Keys) -> Iterator[NDArray[np.uint64]]:
    order = np.lexsort((contents[rows], runs))
    rows, runs = rows[order], runs[order]
    for step in range(1, NEIGHBOURS + 1):
        same = runs[step:] == runs[:-step]
        one, other = rows[step:][same], rows[:-step][same]
        yield packed_pairs(one, other)


def packed_pairs(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Pairs of row numbers as a << 32 | b with a < b."""
    return np.minimum(one, other).astype(np.uint64) << np.uint64(32) | np.maximum(one, other).astype(np.uint64)


@dataclass(slots=True)
class PairFiles:
    """Keys in, candidate pairs out. A template's keys are appended block by block; the pairs of each template are a file."""

    folder: Path
    contents: Keys  # (rows,)
    most: float = MOST_PAIRS
    _keys: dict[int, BinaryIO] = field(default_factory=dict)
    _pairs: list[Path] = field(default_factory=list)

    def append(self, template: int, keys: Keys) -> None:
        """Add the keys of the next rows for a template."""
        if template not in self._keys:
            self._keys[template] = (self.folder / f"near-keys-{template}").open("wb")
        self._keys[template].write(keys.tobytes())

    def add(self, pairs: NDArray[np.uint64]) -> None:
        """Add pairs found in another way: a << 32 | b, ascending and unique."""
        path = self.folder / f"near-pairs-{len(self._pairs)}"
        pairs.tofile(path)
        self._pairs.append(path)

    def find(self) -> None:
        """Turn the keys into pairs, a template at a time; the keys are removed."""
        for _, file in sorted(self._keys.items()):
            file.close()
            most = min(self.most, _MOST_IN_ALL / max(len(self.contents), 1))
            self.add(run_pairs(np.fromfile(file.name, np.uint64), self.contents, most))
            Path(file.name).unlink()
        self._keys.clear()

    def merged(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """All pairs once, as rows a < b, ascending by a and then b, some at a time."""
        files = [np.memmap(p, np.uint64, "r") for p in self._pairs if p.stat().st_size]
        for first, last in _ranges(files, len(self.contents)):
            bounds = [np.searchsorted(f, np.array([first << 32, last << 32], np.uint64)) for f in files]
            found = np.unique(np.concatenate([f[x:y] for f, (x, y) in zip(files, bounds, strict=True)]))
            if len(found):
                yield (found >> np.uint64(32)).astype(np.int64), (found & _LOW).astype(np.int64)


def _ranges(files: Sequence[NDArray[np.uint64]], rows: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows a with few enough pairs to be merged at once."""
    ranges = [(0, rows)] if files else []
    while ranges:
        first, last = ranges.pop()
        size = sum(int(np.diff(np.searchsorted(f, np.array([first << 32, last << 32], np.uint64)))[0]) for f in files)
        if size <= _MERGED or last - first <= 1:
            yield first, last
        else:
            middle = (first + last) // 2
            ranges += [(middle, last), (first, middle)]
