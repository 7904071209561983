"""What each column can say about identity: generated identifiers and parts of other columns say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, hash_bytes
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.similarity import MOST_TOKENS, split
from data_sanitizer.duplicates.templates import identifiers, sample
from data_sanitizer.kernels import kernel

_SAMPLE: Final = 10_000  # rows in which values of two columns are compared
_TEXTS: Final = 3000  # rows in which words are compared
_MUCH: Final = 0.4  # of the words of the whole: the part is left out, where less (a name in a mail address) it still says something
_INSIDE: Final = 0.6  # of the cells, all words of which are in the cell of another column: it is a part of that column


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns by their number. `contained` and `parts` are pairs (part, whole)."""

    used: tuple[int, ...]  # what is compared
    identifiers: tuple[int, ...] = ()
    contained: tuple[tuple[int, int], ...] = ()  # much of a whole that is nearly always there: left out
    parts: tuple[tuple[int, int], ...] = ()  # the part says nothing where the whole agrees


def roles(records: Records) -> Roles:
    """Find the role of every column on the rows with the least content hashes."""
    ids = tuple(np.flatnonzero(identifiers(records)).tolist())
    rows = by_content(records, sample(records.contents, _SAMPLE))
    prints = records.prints[rows]
    left = [c for c, kind in enumerate(records.kinds) if kind != "empty" and c not in ids]
    inside = list(_inside(records, rows[:_TEXTS], left))
    contained: dict[int, int] = {}
    for part, whole, share in inside:
        if part not in contained and share >= _MUCH and _always(prints, part, whole) and part not in _chain(contained, whole):
            contained[part] = whole
    used = tuple(c for c in left if c not in contained)
    parts = tuple((part, whole) for part, whole, _ in inside if part in used and whole in used)
    return Roles(used, ids, tuple(contained.items()), parts)


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
    words = {c: _word_hashes(records.gather(rows, c)) for c in columns}
    values = {c: len(np.unique(records.prints[rows, c])) for c in columns}
    for part, whole in permutations(columns, 2):
        if values[part] <= values[whole]:
            both, within, part_words, whole_words = _within(*words[part], *words[whole])
            if both >= 50 and within > _INSIDE * both:
                yield part, whole, part_words / whole_words


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
    text = records.joined(rows, np.arange(len(records.columns)))
    hashes = np.empty(len(rows), np.uint64)
    _hash_cells(*text, hashes)
    return rows[np.lexsort((hashes, records.contents[rows]))]


@kernel
def _hash_cells(offsets: Any, data: Any, hashes: Any) -> None:
    for k in range(len(hashes)):
        hashes[k] = hash_bytes(data, offsets[k], offsets[k + 1])
