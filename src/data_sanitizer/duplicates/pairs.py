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
_PART: Final = 1 << 22  # pairs that are made, and sorted, at a time: 32 MB
_MERGED: Final = 1 << 20  # pairs merged at a time: 40 MB
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
def _pack(keys: Any, low: Any) -> int:
    """Put the row number into the low bits of each key that is not 0, and those keys first; returns how many."""
    n = 0
    for k in range(len(keys)):
        if keys[k] != 0:
            keys[n] = keys[k] & ~low | np.uint64(k)
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
def _short(packed: Any, low: Any, longest: int, i: int, pairs: Any) -> tuple[Any, Any]:
    """Write the pairs of the runs up to `longest` from place i on, while there is room: how many, and the place to go on at."""
    n, count = len(packed), 0
    while i < n:
        j, key = i + 1, packed[i] & ~low
        while j < n and packed[j] & ~low == key:
            j += 1
        size = j - i
        if 1 < size <= longest:
            if count + size * (size - 1) // 2 > len(pairs):
                break
            for x in range(i, j):
                for y in range(x + 1, j):
                    pairs[count] = (packed[x] & low) << np.uint64(32) | packed[y] & low
                    count += 1
        i = j
    return count, i


@kernel
def _long(packed: Any, low: Any, longest: int, begins: Any, sizes: Any) -> Any:
    """Write where the longer runs begin and how long they are; returns how many."""
    i, n, count = 0, len(packed), 0
    while i < n:
        j, key = i + 1, packed[i] & ~low
        while j < n and packed[j] & ~low == key:
            j += 1
        if j - i > longest:
            begins[count], sizes[count] = i, j - i
            count += 1
        i = j
    return count


def run_pairs(keys: Keys, contents: Keys, most: float = MOST_PAIRS) -> NDArray[np.uint64]:
    """The pairs of rows with equal keys (0: no key), as a << 32 | b with a < b, ascending and unique; at most about `most` a row."""
    pairs = np.concatenate([np.empty(0, np.uint64), *run_parts(keys.copy(), contents, most)])
    pairs.sort()  # a pair is of one run: no pair comes twice
    return pairs


def run_parts(keys: Keys, contents: Keys, most: float = MOST_PAIRS) -> Iterator[NDArray[np.uint64]]:
    """The same, some pairs at a time, in no order; `keys` is used up."""
    low = np.uint64((1 << max(len(keys) - 1, 1).bit_length()) - 1)
    packed = keys[: _pack(keys, low)]
    packed.sort()
    counts = np.zeros(LONGEST_RUN + 2, np.int64)
    _run_lengths(packed, low, counts)
    longest, short = _longest(counts, int(most * len(keys)) + 1000)
    pairs = np.empty(min(short, _PART), np.uint64)
    place = 0 if short else len(packed)
    while place < len(packed):
        count, place = _short(packed, low, longest, place, pairs)
        yield pairs[:count]
    longer = len(packed) - int((counts * np.arange(len(counts)))[: longest + 1].sum())
    yield from _in_long_runs(packed, low, longest, contents, longer // (longest + 1))


def _in_long_runs(packed: Keys, low: np.uint64, longest: int, contents: Keys, most: int) -> Iterator[NDArray[np.uint64]]:
    """The neighbours in runs longer than `longest`, of which there are at most `most`: some runs at a time."""
    begins, sizes = np.empty((2, most), np.int64)
    count = _long(packed, low, longest, begins, sizes)
    begins, sizes = begins[:count], sizes[:count]
    for part in np.split(np.arange(count), np.flatnonzero(np.diff(np.cumsum(sizes) // (_PART // NEIGHBOURS))) + 1):
        if len(part):
            runs = np.repeat(part, sizes[part])
            places = np.arange(len(runs)) + np.repeat(begins[part] - np.cumsum(sizes[part]) + sizes[part], sizes[part])
            yield np.concatenate(list(_neighbours((packed[places] & low).astype(np.int64), runs, contents)))


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
            for pairs in run_parts(np.fromfile(file.name, np.uint64), self.contents, most):
                pairs.sort()
                self.add(pairs)
            Path(file.name).unlink()
        self._keys.clear()

    def merged(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """All pairs once, as rows a < b, ascending by a and then b, some at a time."""
        files = [p for p in self._pairs if p.stat().st_size]
        for bounds in _ranges(files, len(self.contents)):
            parts = [np.fromfile(f, np.uint64, y - x, offset=8 * x) for f, (x, y) in zip(files, bounds, strict=True) if y > x]
            if parts:
                found = np.unique(np.concatenate(parts))
                yield (found >> np.uint64(32)).astype(np.int64), (found & _LOW).astype(np.int64)


def _ranges(files: Sequence[Path], rows: int) -> Iterator[list[tuple[int, int]]]:
    """For ranges of rows a with few enough pairs to be merged at once: where their pairs lie in each of the files."""
    ranges = [(0, rows)] if files else []
    while ranges:
        first, last = ranges.pop()
        bounds = [_places(file, first, last) for file in files]
        if sum(y - x for x, y in bounds) <= _MERGED or last - first <= 1:
            yield bounds
        else:
            middle = (first + last) // 2
            ranges += [(middle, last), (first, middle)]


def _places(file: Path, first: int, last: int) -> tuple[int, int]:
    """Where the pairs of the rows a from first to before last lie; the file is mapped for the moment only."""
    found = np.searchsorted(np.memmap(file, np.uint64, "r"), np.array([first << 32, last << 32], np.uint64))
    return int(found[0]), int(found[1])
