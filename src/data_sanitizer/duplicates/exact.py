"""Rows with equal keys, found in bounded memory: 128-bit keys in a file, sorted part by part.

A key is 16 bytes a row in a file in row order. Where all keys fit the budget they are sorted at once; else they are first dealt out by
their top bits into partitions that fit. With 128 bits a false merge is not to be expected (n^2 / 2^129: 1e-23 for 100 million rows).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]  # shape (rows, 2)
_ABSENT = np.zeros((1, 2), np.uint64)
_BYTES_A_ROW = 64  # keys, row numbers and the sort's own arrays, while a partition is worked on


@dataclass(slots=True)
class KeyFile:
    """The keys of all rows of all sources, in order. A record that was quarantined has the key (0, 0) and equals nothing."""

    path: Path
    rows: int = 0
    _file: BinaryIO | None = field(default=None, repr=False)

    def append(self, keys: Keys) -> None:
        """Add the keys of the next rows."""
        if self._file is None:
            self._file = self.path.open("wb")
        self._file.write(np.ascontiguousarray(keys).tobytes())
        self.rows += len(keys)

    def change(self, rows: NDArray[np.int64], difference: Keys) -> None:
        """Add a difference (modulo 2^64) to the keys of some rows, given in ascending order."""
        self.close()
        if not len(rows):
            return
        first, last = int(rows[0]), int(rows[-1]) + 1
        with self.path.open("r+b") as file:
            file.seek(first * 16)
            stored = np.frombuffer(bytearray(file.read((last - first) * 16)), np.uint64).reshape(-1, 2)
            with np.errstate(over="ignore"):
                stored[rows - first] += difference
            file.seek(first * 16)
            file.write(stored.tobytes())

    def blocks(self, rows: int = 1 << 20) -> Iterator[tuple[int, Keys]]:
        """First row and keys of consecutive rows."""
        self.close()
        if not self.rows:
            return
        with self.path.open("rb") as file:
            for first in range(0, self.rows, rows):
                data = file.read(rows * 16)
                yield first, np.frombuffer(data, np.uint64).reshape(-1, 2)

    def close(self) -> None:
        """Write out what is buffered."""
        if self._file is not None:
            self._file.close()
            self._file = None


@dataclass(frozen=True, slots=True)
class ExactDuplicates:
    """Row and the first row equal to it, for every row that has one; both of shape (n,), ascending by row. Rows count over all sources."""

    rows: NDArray[np.int64]
    survivors: NDArray[np.int64]


def find(keys: KeyFile, budget: int) -> ExactDuplicates:
    """All rows whose key occurred in an earlier row, using about `budget` bytes of memory."""
    parts = 1
    while keys.rows * _BYTES_A_ROW > budget * parts and parts < 1024:
        parts *= 2
    found = [_find_in(k, r) for k, r in (_whole(keys) if parts == 1 else _dealt(keys, parts))]
    if not found:
        return ExactDuplicates(np.empty(0, np.int64), np.empty(0, np.int64))
    rows, survivors = (np.concatenate(side) for side in zip(*found, strict=True))
    order = np.argsort(rows, kind="stable")
    return ExactDuplicates(rows[order], survivors[order])


def _whole(keys: KeyFile) -> Iterator[tuple[Keys, NDArray[np.int64]]]:
    blocks = [block for _, block in keys.blocks()]
    if blocks:
        yield np.concatenate(blocks), np.arange(keys.rows)


def _dealt(keys: KeyFile, parts: int) -> Iterator[tuple[Keys, NDArray[np.int64]]]:
    """Deal the keys out to files by their top bits, then give one partition after the other."""
    shift = np.uint64(64 - (parts.bit_length() - 1))
    files = [keys.path.with_suffix(f".part{i}") for i in range(parts)]
    handles = [f.open("wb") for f in files]
    try:
        for first, block in keys.blocks():
            part = (block[:, 0] >> shift).astype(np.int64)
            order = np.argsort(part, kind="stable")
            records = np.column_stack([block[order], (first + order).astype(np.uint64)])
            bounds = np.searchsorted(part[order], np.arange(parts + 1))
            for i, handle in enumerate(handles):
                handle.write(records[bounds[i] : bounds[i + 1]].tobytes())
    finally:
        for handle in handles:
            handle.close()
    for file in files:
        records = np.fromfile(file, np.uint64).reshape(-1, 3)
        file.unlink()
        yield records[:, :2], records[:, 2].astype(np.int64)


def _find_in(keys: Keys, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of one partition that equal an earlier one; `rows` ascends, and the sort is stable, so the first of a run is the first row."""
    order = np.argsort(keys[:, 0], kind="stable")
    ordered = keys[order]
    if ((ordered[1:, 0] == ordered[:-1, 0]) & (ordered[1:, 1] != ordered[:-1, 1])).any():  # one in 2^64 pairs
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
    same = (ordered[1:] == ordered[:-1]).all(axis=1) & ordered[1:].any(axis=1)
    starts = np.concatenate([[True], ~same]) if len(order) else np.empty(0, bool)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0)) if len(order) else order
    later = np.flatnonzero(~starts)
    return rows[order[later]], rows[order[first[later]]]
