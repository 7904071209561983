"""All rows of a table on disk, as comparison wants them: normalised text, fingerprints and sizes of cells, a record after the other.

In memory are 8 bytes a row (the content hash). A record's cells lie together, so that looking at a pair of rows touches two places.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numba
import numpy as np
import polars as pl
from numba.core import types as numba_types
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, add_content, normalise, texts
from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.kernels import kernel

_LARGE: Final = 1 << 26  # bytes of a mapped file from which on its pages are given back, and single rows are read, not mapped
_BLOCK: Final = 1 << 20
_FILES: Final = {"text": np.uint8, "starts": np.int64, "sizes": np.uint16, "prints": np.uint64}


@dataclass(frozen=True, slots=True)
class Records:
    """The rows of a table; the arrays but `contents` are mapped from files."""

    columns: tuple[str, ...]
    kinds: tuple[str, ...]  # number, short, long or empty, one a column
    contents: NDArray[np.uint64]  # (rows,) hash of all normalised cells: equal for equal rows
    prints: NDArray[np.uint64]  # (rows, columns) fingerprints, 0 for an empty cell
    sizes: NDArray[np.uint16]  # (rows, columns) bytes of the normalised cells
    starts: NDArray[np.int64]  # (rows + 1,) where a record begins in the text
    text: NDArray[np.uint8]
    counts: NDArray[np.int64]  # (columns, 4) see `Normalised.counts`

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.contents)

    def gather(self, rows: NDArray[np.int64], column: int) -> Text:
        """The normalised cells of one column in the given rows, in their order."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(self.sizes[rows, column], out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        copy_cells(self.text, self.starts, self.sizes, rows, column, offsets, data)
        return Text(offsets, data)

    def subset(self, rows: NDArray[np.int64]) -> Records:
        """The given rows, in their order, in memory."""
        sizes, begins, starts = _picked(self.sizes, rows), _picked(self.starts, rows), np.zeros(len(rows) + 1, np.int64)
        np.cumsum(sizes.sum(axis=1, dtype=np.int64), out=starts[1:])
        text = np.empty(int(starts[-1]), np.uint8)
        if _read_by_place(self.text):
            _fetch(self.text, begins, starts, text)
        else:
            copy_records(self.text, begins, starts, text)
        return replace(self, contents=self.contents[rows], prints=self.prints_of(rows), sizes=sizes, starts=starts, text=text)

    def prints_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The fingerprints of the given rows in memory, of shape (given rows, columns)."""
        return _picked(self.prints, rows)

    def fingerprints(self, column: int) -> NDArray[np.uint64]:
        """The fingerprints of one column in memory, of shape (rows,)."""
        return np.concatenate([np.empty(0, np.uint64), *(block[:, column].copy() for block in self.print_blocks())])

    def print_blocks(self) -> Iterator[NDArray[np.uint64]]:
        """The fingerprints of all rows, some rows at a time; a block is to be used before the next one is taken."""
        for first in range(0, self.rows, _BLOCK):
            yield self.prints[first : first + _BLOCK]
            self._release_if(self.prints.nbytes > _LARGE)

    def lengths(self, column: int) -> NDArray[np.uint16]:
        """The different lengths of the cells of one column, in bytes."""
        seen = np.zeros(1 << 16, np.int64)
        for first in range(0, self.rows, _BLOCK):
            seen += np.bincount(self.sizes[first : first + _BLOCK, column], minlength=len(seen))
            self._release_if(self.sizes.nbytes > _LARGE)
        return np.flatnonzero(seen).astype(np.uint16)

    def _release_if(self, large: bool) -> None:
        if large:
            self.release()

    def joined(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Text:
        """The normalised cells of some columns, joined by blanks, in the given rows."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        sizes = self.sizes[rows][:, columns]
        np.cumsum(sizes.sum(axis=1, dtype=np.int64) + np.maximum((sizes > 0).sum(axis=1) - 1, 0), out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        join_cells(self.text, self.starts, self.sizes, rows, columns, offsets, data)
        return Text(offsets, data)

    def release(self) -> None:
        """Give the memory of mapped pages back; they are read again when they are wanted."""
        for array in (self.prints, self.sizes, self.starts, self.text):
            if isinstance(array, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
                array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of a block as they will stand among the `Records`; `starts` count from the block's first byte."""

    columns: tuple[str, ...]
    contents: NDArray[np.uint64]
    prints: NDArray[np.uint64]
    sizes: NDArray[np.uint16]
    starts: NDArray[np.int64]
    text: NDArray[np.uint8]
    counts: NDArray[np.int64]


def prepare(block: pl.DataFrame) -> Prepared:
    """Normalise the cells of a block of text columns and lay them out row by row; blocks can be prepared side by side."""
    rows, width = block.height, block.width
    prints, sizes = np.empty((rows, width), np.uint64), np.empty((rows, width), np.uint16)
    contents, counts, cells = np.zeros(rows, np.uint64), np.zeros((width, 4), np.int64), []
    for column, text in enumerate(texts(block)):
        found = normalise(text)
        counts[column] = found.counts
        prints[:, column], sizes[:, column] = found.fingerprints, np.diff(found.text.offsets)
        add_content(contents, found.fingerprints, column)
        cells.append(found.text)
    ends = np.cumsum(sizes.sum(axis=1, dtype=np.int64))
    starts = np.concatenate([[0], ends[:-1]]) if rows else ends
    laid, places = np.empty(int(ends[-1]) if rows else 0, np.uint8), starts.copy()
    for cell in cells:
        place_cells(cell.offsets, cell.data, places, laid)
    return Prepared(tuple(block.columns), contents, prints, sizes, starts, laid, counts)


@dataclass(slots=True)
class RecordFile:
    """Takes the rows of a table block by block and writes them as `Records` wants them."""

    folder: Path
    _rows: int = 0
    _end: int = 0
    _columns: tuple[str, ...] = ()
    _contents: list[NDArray[np.uint64]] = field(default_factory=list)
    _counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    _files: dict[str, BinaryIO] = field(default_factory=dict)

    def append(self, block: pl.DataFrame) -> None:
        """Add the rows of a block; every block has the same columns."""
        self.add(prepare(block))

    def add(self, part: Prepared) -> None:
        """Add rows that are prepared, in the order of the table."""
        if not self._files:
            self._columns, self._counts = part.columns, np.zeros_like(part.counts)
            self._files = {name: (self.folder / f"near-{name}").open("wb") for name in _FILES}
        self._contents.append(part.contents)
        self._counts += part.counts
        arrays: dict[str, NDArray[Any]] = {"text": part.text, "starts": part.starts + self._end, "sizes": part.sizes, "prints": part.prints}
        for name, array in arrays.items():
            array.tofile(self._files[name])
        self._rows += len(part.sizes)
        self._end += len(part.text)

    def finish(self) -> Records:
        """Close the files and give the rows; the files stay until their folder is removed."""
        if self._files:
            self._files["starts"].write(np.int64(self._end).tobytes())
        for file in self._files.values():
            file.close()
        width = len(self._columns)
        shapes = {"text": (self._end,), "starts": (self._rows + 1,), "sizes": (self._rows, width), "prints": (self._rows, width)}
        arrays = {name: self._mapped(name, shapes[name]) for name in _FILES}
        contents = np.concatenate(self._contents) if self._contents else np.zeros(0, np.uint64)
        return Records(self._columns, tuple(kind(c) for c in self._counts), contents, counts=self._counts, **arrays)

    def _mapped(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        if not self._rows or 0 in shape:
            return np.zeros(shape, _FILES[name])
        # Copy on write, never written: an array that can only be read is another type, for which all kernels would be compiled once more.
        return np.memmap(self.folder / f"near-{name}", _FILES[name], "c", shape=shape)


def kind(counts: NDArray[np.int64]) -> str:
    """What a column holds, from `Normalised.counts`: number (more than 60 % digits), short (one word), long."""
    cells, tokens, characters, digits = (int(c) for c in counts)
    if cells == 0:
        return "empty"
    if digits > 0.6 * characters:
        return "number"
    return "long" if tokens >= 1.3 * cells or characters > 14 * cells else "short"


def _read_by_place(array: NDArray[Any]) -> bool:
    """Whether an array is so large that its rows are read one by one: mapped pages would fill the memory, or have to be mapped again and
    again, each of which costs as much as reading three rows."""
    return isinstance(array, np.memmap) and array.nbytes > _LARGE and hasattr(os, "pread")


def _picked(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of an array, in memory."""
    if not _read_by_place(array):
        return np.asarray(array[rows])
    picked, width = np.empty((len(rows), *array.shape[1:]), array.dtype), array.strides[0]
    _fetch(array, rows * width, np.arange(len(rows) + 1) * width, picked.reshape(-1).view(np.uint8))
    return picked


def _fetch(array: Any, begins: NDArray[np.int64], places: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    """Read from the file of an array, from each of the begins, as many bytes as lie between its place and the next."""
    file = os.open(array.filename, os.O_RDONLY)
    try:
        if (unread := _read_at(file, begins, places, out)) >= 0:
            raise DataSanitizerError(why=f"a file of the scratch folder ends too early, at record {unread}")
    finally:
        os.close(file)


_PREAD: Any = numba.int64(numba.int32, numba.uintp, numba.uintp, numba.int64)
_pread: Any = numba_types.ExternalFunction("pread", _PREAD)


@kernel
def _read_at(file: int, begins: Any, places: Any, out: Any) -> int:
    """-1, or the first record that could not be read whole."""
    base = out.ctypes.data
    for k in range(len(begins)):
        size = places[k + 1] - places[k]
        if _pread(file, base + places[k], size, begins[k]) != size:
            return k
    return -1


@kernel
def cell(starts: Any, sizes: Any, row: int, column: int) -> tuple[int, int]:
    """Where the text of a cell begins and ends."""
    a = starts[row]
    for k in range(column):
        a += sizes[row, k]
    return a, a + sizes[row, column]


@kernel
def copy(source: Any, a: Any, b: Any, out: Any, place: Any) -> None:
    """Copy source[a:b] to out[place:]. Unsigned indices make it one tight loop; slices of NumPy cost as much as fifty bytes each."""
    to = np.uint64(place)
    for i in range(np.uint64(a), np.uint64(b)):
        out[to] = source[i]
        to += np.uint64(1)


@kernel
def copy_cells(text: Any, starts: Any, sizes: Any, rows: Any, column: int, offsets: Any, out: Any) -> None:
    """Copy the cells of one column in the given rows to `out`."""
    for k in range(len(rows)):
        a, b = cell(starts, sizes, rows[k], column)
        copy(text, a, b, out, offsets[k])


@kernel
def copy_records(text: Any, begins: Any, starts: Any, out: Any) -> None:
    """Copy whole records from where they begin to out[starts[k]:starts[k + 1]]."""
    for k in range(len(begins)):
        copy(text, begins[k], begins[k] + starts[k + 1] - starts[k], out, starts[k])


@kernel
def join_cells(text: Any, starts: Any, sizes: Any, rows: Any, columns: Any, offsets: Any, out: Any) -> None:
    """Copy the cells of some columns in the given rows to `out`, a blank between two that are not empty."""
    for k in range(len(rows)):
        n = offsets[k]
        for column in columns:
            a, b = cell(starts, sizes, rows[k], column)
            if a < b and n > offsets[k]:
                out[n] = 32
                n += 1
            copy(text, a, b, out, n)
            n += b - a


@kernel
def place_cells(offsets: Any, data: Any, places: Any, text: Any) -> None:
    """Copy every cell of a column to its record, and move the record's place on."""
    for k in range(len(places)):
        copy(data, offsets[k], offsets[k + 1], text, places[k])
        places[k] += offsets[k + 1] - offsets[k]
