"""Tokens and their rarity: in how many cells of a column each occurs, in hashed counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import LONGEST, Text, finish
from data_sanitizer.duplicates.similarity import split
from data_sanitizer.kernels import kernel

COUNTERS: Final = 1 << 18  # counters of a column; a collision makes a rare term look more frequent, never the other way round
_TERMS: Final = LONGEST + 2
SEED: Final = np.uint64(0xCBF29CE484222325)
_P = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How many cells of a column hold a term, by the low bits of its hash; mergeable by adding."""

    counters: NDArray[np.uint32]  # (COUNTERS,)
    cells: int  # cells counted that are not empty

    def __add__(self, other: Frequencies) -> Frequencies:
        return Frequencies(self.counters + other.counters, self.cells + other.cells)


@kernel
def letter(h: Any, c: Any) -> Any:
    """The hash of a token with one more byte (FNV-1a with a 64-bit constant); `finish` it after the last, starting from SEED."""
    return (h ^ np.uint64(c)) * _P


@kernel
def token_hash(data: Any, a: Any, b: Any) -> Any:
    """The hash of the token data[a:b], byte by byte, so that it can be made while looking for the end of the token."""
    h = SEED
    for i in range(a, b):
        h = letter(h, data[i])
    return finish(h)


@kernel
def distinct_tokens(data: Any, a: int, b: int, begins: Any, ends: Any, hashes: Any) -> Any:
    """The distinct tokens of data[a:b], ascending by hash; returns how many."""
    count = split(data, a, b, begins, ends)
    for k in range(count):
        hashes[k] = token_hash(data, begins[k], ends[k])
    _sort(hashes, begins, ends, count)
    distinct = 0
    for k in range(count):
        if k == 0 or hashes[k] != hashes[distinct - 1]:
            hashes[distinct], begins[distinct], ends[distinct] = hashes[k], begins[k], ends[k]
            distinct += 1
    return distinct


@kernel
def _sort(hashes: Any, begins: Any, ends: Any, count: int) -> None:
    """Shell sort of three arrays by the first (gaps of M. Ciura, 2001): no memory, fast for the few terms of a cell."""
    for gap in (1750, 701, 301, 132, 57, 23, 10, 4, 1):
        for i in range(gap, count):
            h, a, b, j = hashes[i], begins[i], ends[i], i
            while j >= gap and hashes[j - gap] > h:
                hashes[j], begins[j], ends[j] = hashes[j - gap], begins[j - gap], ends[j - gap]
                j -= gap
            hashes[j], begins[j], ends[j] = h, a, b


@kernel
def _count(offsets: Any, data: Any, begins: Any, ends: Any, hashes: Any, counters: Any) -> int:
    cells, mask = 0, np.uint64(len(counters) - 1)
    for k in range(len(offsets) - 1):
        count = distinct_tokens(data, offsets[k], offsets[k + 1], begins, ends, hashes)
        cells += count > 0
        for i in range(count):
            counters[hashes[i] & mask] += np.uint32(1)
    return cells


def _scratch() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    return np.empty(_TERMS, np.int64), np.empty(_TERMS, np.int64), np.empty(_TERMS, np.uint64)


def frequencies(text: Text) -> Frequencies:
    """In how many of n cells each token occurs."""
    counters = np.zeros(COUNTERS, np.uint32)
    return Frequencies(counters, _count(*text, *_scratch(), counters))
