"""What each column can say about identity: generated identifiers and parts of other columns say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, hash_bytes
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.similarity import MOST_TOKENS, split
from data_sanitizer.duplicates.templates import sample
from data_sanitizer.kernels import kernel

_SAMPLE: Final = 10_000  # rows in which values of two columns are compared
_TEXTS: Final = 3000  # rows in which words are compared
_LENGTHS: Final = 3  # lengths that the cells of a generated identifier of letters may have, and
_SHORT: Final = 4  # digits of a number that is no code, though all may have as many
_DECIMALS: Final = re.compile(rb"\d+ \d{1,3}")  # as normalisation leaves them; the parts of a code are longer
_SHAPES: Final = 8  # shapes, if the digits in them tell them apart
_MANY: Final = 20  # rows of which no natural texts have so few lengths
_FIRST: Final = 1 << 14  # rows looked at before all are
_MUCH: Final = 0.4  # of the words of the whole: the part is left out, where less (a name in a mail address) it still says something
_INSIDE: Final = 0.6  # of the cells, all words of which are in the cell of another column: it is a part of that column


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns by their number. `contained` and `parts` are pairs (part, whole)."""

    used: tuple[int, ...]  # what is compared
    identifiers: tuple[int, ...] = ()
    contained: tuple[tuple[int, int], ...] = ()  # much of a whole that is nearly always there: left out
    parts: tuple[tuple[int, int], ...] = ()  # the part says nothing where the whole agrees
    measures: tuple[int, ...] = ()  # plain numbers, which name nothing


def roles(records: Records) -> Roles:
    """Find the role of every column on the rows with the least content hashes."""
    ids = tuple(np.flatnonzero(identifiers(records)).tolist())
    rows = by_content(records, sample(records.contents, _SAMPLE))
    prints = records.prints_of(rows)
    left = [c for c, kind in enumerate(records.kinds) if kind != "empty" and c not in ids]
    inside = list(_inside(records, rows[:_TEXTS], left))
    contained: dict[int, int] = {}
    for part, whole, share in inside:
        if part not in contained and share >= _MUCH and _always(prints, part, whole) and part not in _chain(contained, whole):
            contained[part] = whole
    used = tuple(c for c in left if c not in contained)
    parts = tuple((part, whole) for part, whole, _ in inside if part in used and whole in used)
    return Roles(used, ids, tuple(contained.items()), parts, measures(records, rows[:_TEXTS]))


def identifiers(records: Records) -> tuple[bool, ...]:
    """Which columns are generated identifiers: never empty, all different, and either codes of hardly any other length, or serial numbers
    and what is written around them: but for their digits the cells are hardly ever different.
    """
    return tuple(_is_identifier(records, c) for c in range(len(records.columns)))


def _is_identifier(records: Records, column: int) -> bool:
    if records.rows < 2 or records.counts[column, 0] != records.rows:
        return False
    few = records.prints[:_FIRST, column]  # a look at the first rows spares most columns the sort of all
    if len(np.unique(few)) < len(few):
        return False
    code = (records.kinds[column] != "long" or records.rows >= _MANY) and len(records.lengths(column)) <= _LENGTHS
    return (code or _has_few_shapes(records, column)) and len(np.unique(records.fingerprints(column))) == records.rows


def measures(records: Records, rows: NDArray[np.int64]) -> tuple[int, ...]:
    """The columns of plain numbers, as far as the given rows show: of four digits at most, of many lengths, or with decimals. Dates and
    codes in digits have few lengths.
    """
    part = records.subset(rows)
    return tuple(c for c, k in enumerate(records.kinds) if k == "number" and _is_measure(part.gather(np.arange(part.rows), c)))


def _is_measure(text: Text) -> bool:
    ends = text.offsets.tolist()
    cells = [text.data[a:b].tobytes() for a, b in pairwise(ends) if a < b]
    lengths = {len(cell) for cell in cells}
    decimals = sum(_DECIMALS.fullmatch(cell) is not None for cell in cells)
    return max(lengths, default=0) <= _SHORT or len(lengths) >= _LENGTHS or decimals > 0.9 * len(cells)


def _has_few_shapes(records: Records, column: int) -> bool:
    seen = np.empty(0, np.uint64)
    for first in range(0, records.rows, _FIRST):
        text = records.gather(np.arange(first, min(first + _FIRST, records.rows)), column)
        hashes = np.empty(len(text.offsets) - 1, np.uint64)
        _hash_shapes(*text, np.empty(int(np.diff(text.offsets).max()), np.uint8), hashes)
        seen = np.unique(np.concatenate([seen, hashes]))
        records.release()
        if len(seen) > _SHAPES:
            return False
    return True


@kernel
def _hash_shapes(offsets: Any, data: Any, shape: Any, hashes: Any) -> None:
    """The hash of each cell with every run of digits as one sign."""
    for k in range(len(hashes)):
        n = 0
        for i in range(offsets[k], offsets[k + 1]):
            digit = 48 <= data[i] <= 57
            if not (digit and n > 0 and shape[n - 1] == 0):
                shape[n] = 0 if digit else data[i]
                n += 1
        hashes[k] = hash_bytes(shape, 0, n)


def _always(prints: NDArray[np.uint64], part: int, whole: int) -> bool:
    """Whether the whole is missing in less than 5 % of the rows that have the part."""
    there = prints[:, part] != 0
    return bool(((prints[:, whole] == 0) & there).sum() < 0.05 * there.sum())


def _chain(contained: dict[int, int], column: int) -> Iterator[int]:
    """The column and those that contain it, one in the other."""
    while True:
        yield column
        if column not in contained:
            return
        column = contained[column]


def _inside(records: Records, rows: NDArray[np.int64], columns: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    """Part, whole, and the part's share of the words of the whole: words of the one are words of the other, and it has no more values."""
    part = records.subset(rows)
    words = {c: _word_hashes(part.gather(np.arange(part.rows), c)) for c in columns}
    values = {c: len(np.unique(part.prints[:, c])) for c in columns}
    for one, whole in permutations(columns, 2):
        if values[one] <= values[whole]:
            both, within, own_words, whole_words = _within(*words[one], *words[whole])
            if both >= 50 and within > _INSIDE * both:
                yield one, whole, own_words / whole_words


def _word_hashes(text: Text) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    offsets, hashes = np.zeros(len(text.offsets), np.int64), np.empty(len(text.data), np.uint64)
    begins, ends = np.empty((2, MOST_TOKENS), np.int64)
    _hash_words(*text, begins, ends, offsets, hashes)
    return offsets, hashes


@kernel
def _hash_words(offsets: Any, data: Any, begins: Any, ends: Any, out: Any, hashes: Any) -> None:
    n = 0
    for k in range(len(offsets) - 1):
        for t in range(split(data, offsets[k], offsets[k + 1], begins, ends)):
            hashes[n] = hash_bytes(data, begins[t], ends[t])
            n += 1
        out[k + 1] = n


@kernel
def _within(offsets: Any, hashes: Any, other_offsets: Any, others: Any) -> tuple[int, int, int, int]:
    """In how many rows both have words, in how many of these every word of the first is one of the other, and the words of either."""
    both = within = words = other_words = 0
    for k in range(len(offsets) - 1):
        if offsets[k] == offsets[k + 1] or other_offsets[k] == other_offsets[k + 1]:
            continue
        both += 1
        words += offsets[k + 1] - offsets[k]
        other_words += other_offsets[k + 1] - other_offsets[k]
        missing = False
        for i in range(offsets[k], offsets[k + 1]):
            found = False
            for j in range(other_offsets[k], other_offsets[k + 1]):
                found |= hashes[i] == others[j]
            missing |= not found
        within += not missing
    return both, within, words, other_words


def by_content(records: Records, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows in the order of their content; rows equal but for blanks, which fingerprints leave out, in the order of their text."""
    text = records.subset(rows).joined(np.arange(len(rows)), np.arange(len(records.columns)))
    hashes = np.empty(len(rows), np.uint64)
    _hash_cells(*text, hashes)
    return rows[np.lexsort((hashes, records.contents[rows]))]


@kernel
def _hash_cells(offsets: Any, data: Any, hashes: Any) -> None:
    for k in range(len(hashes)):
        hashes[k] = hash_bytes(data, offsets[k], offsets[k + 1])
