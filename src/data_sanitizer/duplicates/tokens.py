"""Tokens and their rarity: hashed document frequencies, and similarity of cells by the tokens they share, weighted by rarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import LONGEST, Text, finish
from data_sanitizer.duplicates.similarity import osa, precedes, split
from data_sanitizer.kernels import kernel

COUNTERS: Final = 1 << 18  # counters of a column; a collision makes a rare term look more frequent, never the other way round
COSINE, JACCARD, CONTAINMENT = 0, 1, 2  # how what is common is weighed against what is not
_SOFT: Final = 4  # the shortest token in which one wrong letter is forgiven
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


@dataclass(frozen=True, slots=True)
class Terms:
    """The distinct tokens of n cells, ascending by hash within a cell."""

    text: Text
    offsets: NDArray[np.int64]  # (n + 1,)
    hashes: NDArray[np.uint64]  # of the terms of all cells
    weights: NDArray[np.float32]  # log2(cells / frequency) of each
    places: NDArray[np.int32]  # (terms, 2) where a term begins and ends in its cell


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


@kernel
def _fill(offsets: Any, data: Any, counters: Any, cells: int, begins: Any, ends: Any, scratch: Any, out: Any, hashes: Any,
          weights: Any, places: Any) -> None:  # fmt: skip
    """Fill the arrays of `Terms`. A term that was never counted weighs as much as one counted once."""
    mask, n = np.uint64(len(counters) - 1), 0
    for k in range(len(offsets) - 1):
        a = offsets[k]
        count = distinct_tokens(data, a, offsets[k + 1], begins, ends, scratch)
        for i in range(count):
            frequency = max(counters[scratch[i] & mask], 1)
            hashes[n], weights[n] = scratch[i], np.log2((cells + 1.0) / frequency)
            places[n, 0], places[n, 1] = begins[i] - a, ends[i] - a
            n += 1
        out[k + 1] = n


@kernel
def _alike(data: Any, a: int, b: int, c: int, d: int, rows: Any) -> bool:
    """Whether two tokens are one wrong letter apart."""
    if min(b - a, d - c) < _SOFT or abs((b - a) - (d - c)) > 1 or max(b - a, d - c) > 60:
        return False
    if data[a] != data[c] and data[b - 1] != data[d - 1]:
        return False
    return bool(osa(data, a, b, c, d, 1, rows) <= 1)


@kernel
def _soft(text: Any, offsets: Any, places: Any, weights: Any, i: int, j: int, ones: Any, n: int, others: Any, m: int, rows: Any,
          cosine: bool) -> float:  # fmt: skip
    """Weight of the terms left over on both sides that are one wrong letter apart; each is used once."""
    found = 0.0
    for p in range(n):
        s = ones[p]
        for q in range(m):
            t = others[q]
            if t >= 0 and _alike(text, offsets[i] + places[s, 0], offsets[i] + places[s, 1], offsets[j] + places[t, 0],
                                 offsets[j] + places[t, 1], rows):  # fmt: skip
                less = min(weights[s], weights[t])
                found += less * less if cosine else less
                others[q] = -1
                break
    return found


@kernel
def _weigh(text_offsets: Any, text: Any, offsets: Any, hashes: Any, weights: Any, places: Any, left: Any, right: Any, mode: int,
           soft: bool, rows: Any, ones: Any, others: Any, scores: Any) -> None:  # fmt: skip
    for k in range(len(left)):
        i, j = left[k], right[k]
        if soft and precedes(text, text_offsets[j], text_offsets[j + 1], text_offsets[i], text_offsets[i + 1]):
            i, j = j, i  # which letters are forgiven may depend on the side that is looked at first
        p, q, n, m, common, first, second = offsets[i], offsets[j], 0, 0, 0.0, 0.0, 0.0
        while p < offsets[i + 1] or q < offsets[j + 1]:
            x = hashes[p] if p < offsets[i + 1] else hashes[q]
            y = hashes[q] if q < offsets[j + 1] else x + np.uint64(1)
            take_one, take_other = p < offsets[i + 1] and x <= y, q < offsets[j + 1] and y <= x
            w = weights[p] if take_one else weights[q]
            value = w * w if mode == COSINE else w
            if take_one:
                first += value
                if not take_other:
                    ones[n], n = p, n + 1
                p += 1
            if take_other:
                second += value
                if not take_one:
                    others[m], m = q, m + 1
                q += 1
            if take_one and take_other:
                common += value
        if soft and n > 0 and m > 0:
            common += _soft(text, text_offsets, places, weights, i, j, ones, n, others, m, rows, mode == COSINE)
        scores[k] = _share(common, first, second, mode)


@kernel
def _share(common: float, first: float, second: float, mode: int) -> float:
    if mode == COSINE:
        whole = np.sqrt(first * second)
    elif mode == JACCARD:
        whole = first + second - common
    else:
        whole = min(first, second)
    return min(common / whole, 1.0) if whole > 0.0 else 0.0


def _scratch() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    return np.empty(_TERMS, np.int64), np.empty(_TERMS, np.int64), np.empty(_TERMS, np.uint64)


def frequencies(text: Text) -> Frequencies:
    """In how many of n cells each token occurs."""
    counters = np.zeros(COUNTERS, np.uint32)
    return Frequencies(counters, _count(*text, *_scratch(), counters))


def terms(text: Text, known: Frequencies) -> Terms:
    """The distinct tokens of n cells with their weights."""
    most = len(text.data) // 2 + len(text.offsets)
    out, hashes = np.zeros(len(text.offsets), np.int64), np.empty(most, np.uint64)
    weights, places = np.empty(most, np.float32), np.empty((most, 2), np.int32)
    _fill(*text, known.counters, known.cells, *_scratch(), out, hashes, weights, places)
    used = int(out[-1])
    return Terms(text, out, hashes[:used], weights[:used], places[:used])


def overlap(found: Terms, left: NDArray[np.int64], right: NDArray[np.int64], mode: int = COSINE, soft: bool = True) -> NDArray[np.float32]:
    """Weight of the terms that cells left[k] and right[k] share, 0-1: of squares over the norms (COSINE), over the weight of all
    (JACCARD), or over that of the cell that weighs less (CONTAINMENT). `soft`: a token with one wrong letter is shared too.
    """
    scores = np.empty(len(left), np.float32)
    ones, others, rows = np.empty(_TERMS, np.int64), np.empty(_TERMS, np.int64), np.empty((3, 64), np.int64)
    _weigh(*found.text, found.offsets, found.hashes, found.weights, found.places, left, right, mode, soft, rows, ones, others, scores)
    return scores
