"""Nearest neighbours of long texts by the rare terms they share: candidates for tables whose identity is in one text that is much edited.

An index from terms to rows holds the rarest terms of each row; a bounded number of its entries is read for a row, so that time and
memory grow with the rows. Terms are tokens and two tokens in a row joined (`kdl 40` also says `kdl40`), or four bytes in a row.
Neighbours are those with the greatest cosine over the terms read, weights being log(rows / rows with the term), from hashed counters.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import finish, hash_bytes
from data_sanitizer.duplicates.pairs import packed_pairs
from data_sanitizer.duplicates.records import Records
from data_sanitizer.duplicates.similarity import MOST_TOKENS, split
from data_sanitizer.kernels import kernel

READ: Final = 1000  # entries of the index that are read for a row
_COMMON: Final = 500  # a term of more rows is not indexed
_MOST_TERMS: Final = 256  # terms of a cell that are looked at
_INDEXED: Final = 40  # terms of a row in the index, and
_ENTRIES: Final = 8_000_000  # entries of the index: of many rows only their rarest terms
_BITS: Final = 20  # of a hash choose its counter
_BLOCK: Final = 1 << 16
_ROW = np.uint64(0xFFFFFFFF)


@kernel
def _token_terms(data: Any, a: int, b: int, begins: Any, ends: Any, tight: Any, out: Any) -> Any:
    """Write the hashes of the terms of data[a:b]; returns how many."""
    n, count = 0, split(data, a, b, begins, ends)
    for t in range(min(count, _MOST_TERMS // 2)):
        size = ends[t] - begins[t]
        out[n] = hash_bytes(data, begins[t], ends[t])
        n += 1
        if t + 1 < count:
            for i in range(size):
                tight[i] = data[begins[t] + i]
            for i in range(begins[t + 1], ends[t + 1]):
                tight[size + i - begins[t + 1]] = data[i]
            out[n] = hash_bytes(tight, np.int64(0), size + ends[t + 1] - begins[t + 1])
            n += 1
    return n


@kernel
def _gram_terms(data: Any, a: int, b: int, out: Any) -> Any:
    n, word = 0, np.uint64(32)
    for i in range(a, min(b + 1, a + _MOST_TERMS)):
        word = (word << np.uint64(8) | np.uint64(data[i] if i < b else 32)) & _ROW
        if i >= a + 2:
            out[n] = finish(word + np.uint64(1))
            n += 1
    return n


@kernel
def _cell_terms(data: Any, a: int, b: int, grams: bool, begins: Any, ends: Any, tight: Any, out: Any) -> Any:
    """The hashes of the distinct terms of data[a:b], ascending; returns how many."""
    count = _gram_terms(data, a, b, out) if grams else _token_terms(data, a, b, begins, ends, tight, out)
    for gap in (132, 57, 23, 10, 4, 1):
        for i in range(gap, count):
            h, j = out[i], i
            while j >= gap and out[j - gap] > h:
                out[j] = out[j - gap]
                j -= gap
            out[j] = h
    distinct = 0
    for i in range(count):
        if i == 0 or out[i] != out[distinct - 1]:
            out[distinct], distinct = out[i], distinct + 1
    return distinct


@kernel
def _count(offsets: Any, data: Any, grams: bool, begins: Any, ends: Any, tight: Any, found: Any, counters: Any) -> None:
    for k in range(len(offsets) - 1):
        for i in range(_cell_terms(data, offsets[k], offsets[k + 1], grams, begins, ends, tight, found)):
            counters[found[i] >> np.uint64(64 - _BITS)] += 1


@kernel
def _index(offsets: Any, data: Any, grams: bool, begins: Any, ends: Any, tight: Any, found: Any, counters: Any, weights: Any, first: int,
           most: int, out: Any, norms: Any) -> Any:  # fmt: skip
    """Write the rarest terms of each row that others have too as hash << 32 | row, and the norm of all its terms; returns how many."""
    n, ranks = 0, np.empty(len(found), np.int64)
    for k in range(len(offsets) - 1):
        kept, norm = 0, 0.0
        for i in range(_cell_terms(data, offsets[k], offsets[k + 1], grams, begins, ends, tight, found)):
            h = found[i]
            place = h >> np.uint64(64 - _BITS)
            norm += weights[place]
            rank = counters[place]
            if rank < 2 or rank > _COMMON or (kept == most and rank >= ranks[kept - 1]):
                continue
            j = kept if kept < most else most - 1
            while j > 0 and ranks[j - 1] > rank:
                ranks[j], out[n + j] = ranks[j - 1], out[n + j - 1]
                j -= 1
            ranks[j], out[n + j] = rank, h & ~_ROW | np.uint64(first + k)
            kept = min(kept + 1, most)
        norms[first + k] = np.sqrt(norm)
        n += kept
    return n


@kernel
def _by_row(terms: Any, starts: Any, lengths: Any, places: Any, runs: Any) -> None:
    """Turn the index around: the runs of terms of each row, in the order of the hashes. `places` is where a row's list ends so far."""
    for r in range(len(starts)):
        if lengths[r] > 1:
            for i in range(starts[r], starts[r] + lengths[r]):
                row = np.int64(terms[i] & _ROW)
                runs[places[row]] = r
                places[row] += 1


@kernel
def _nearest(terms: Any, starts: Any, lengths: Any, firsts: Any, runs: Any, weights: Any, norms: Any, contents: Any, most: int,
             scores: Any, touched: Any, order: Any, best: Any) -> None:  # fmt: skip
    for k in range(len(firsts) - 1):
        count = _rarest_first(runs, firsts[k], firsts[k + 1], lengths, order)
        read, met = 0, 0
        for t in range(count):
            r = order[t]
            read += lengths[r]
            if read > READ and t > 0:
                break
            for i in range(starts[r], starts[r] + lengths[r]):
                other = np.int64(terms[i] & _ROW)
                if scores[other] == 0.0:
                    touched[met], met = other, met + 1
                scores[other] += weights[r]
        kept = 0
        for t in range(met):
            other = touched[t]
            score = scores[other] / norms[other]
            scores[other] = 0.0
            if other == k:
                continue
            scores[other] = score
            kept = _insert(best[k], kept, most, other, scores, contents)
        for t in range(met):
            scores[touched[t]] = 0.0


@kernel
def _rarest_first(runs: Any, first: int, last: int, lengths: Any, order: Any) -> Any:
    """The runs of a row by their length; equal ones stay in the order of their hashes."""
    count = min(last - first, len(order))
    for i in range(count):
        r, j = runs[first + i], i
        while j > 0 and lengths[order[j - 1]] > lengths[r]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = r
    return count


@kernel
def _insert(best: Any, kept: int, most: int, other: int, scores: Any, contents: Any) -> Any:
    """Put a row into the list of the best, ties by content."""
    j = kept if kept < most else most
    while j > 0:
        before = best[j - 1]
        less = scores[before] < scores[other] or (scores[before] == scores[other] and contents[before] > contents[other])
        if not less:
            break
        if j < most:
            best[j] = before
        j -= 1
    if j < most:
        best[j] = other
        return min(kept + 1, most)
    return kept


def neighbours(records: Records, column: int, most: int = 5, grams: bool = False) -> NDArray[np.uint64]:
    """The pairs of all rows with their `most` nearest by one column, as a << 32 | b with a < b, ascending and unique.

    Takes about 15 us a row and 50 bytes for each entry of the index.
    """
    rows, counters = records.rows, np.zeros(1 << _BITS, np.int64)
    begins, ends = np.empty((2, MOST_TOKENS), np.int64)
    scratch = begins, ends, np.empty(2 * MOST_TOKENS, np.uint8), np.empty(2 * _MOST_TERMS, np.uint64)
    blocks = [np.arange(first, min(first + _BLOCK, rows)) for first in range(0, rows, _BLOCK)]
    for block in blocks:
        _count(*records.gather(block, column), grams, *scratch, counters)
    weights = np.log((rows + 1) / np.maximum(counters, 1)) ** 2
    norms, kept, parts = np.empty(rows), min(_INDEXED, _ENTRIES // max(rows, 1) + 2), []
    for block in blocks:
        out = np.empty(len(block) * kept, np.uint64)
        text = records.gather(block, column)
        parts.append(out[: _index(*text, grams, *scratch, counters, weights, int(block[0]), kept, out, norms)].copy())
    terms = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.uint64)
    return _pairs(terms, weights, norms, records.contents, most)


def _pairs(terms: NDArray[np.uint64], weights: NDArray[np.float64], norms: NDArray[np.float64], contents: NDArray[np.uint64],
           most: int) -> NDArray[np.uint64]:  # fmt: skip
    """Pairs of each row with its nearest, from the sorted index."""
    rows = len(contents)
    hashes = (terms >> np.uint64(32)).astype(np.uint32)
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(terms), 1), np.bool_), hashes[1:] != hashes[:-1]]))
    lengths = np.diff(np.append(starts, len(terms)))
    of = weights[hashes[starts] >> np.uint32(32 - _BITS)]
    shared = (terms & _ROW).astype(np.int64)[np.repeat(lengths > 1, lengths)]
    firsts = np.concatenate([[0], np.cumsum(np.bincount(shared, minlength=rows))]).astype(np.int64)
    runs = np.empty(firsts[-1], np.int64)
    _by_row(terms, starts, lengths, firsts[:-1].copy(), runs)
    best = np.full((rows, most), -1, np.int64)
    scratch = np.zeros(rows), np.empty(rows, np.int64), np.empty(_INDEXED + 2, np.int64)
    _nearest(terms, starts, lengths, firsts, runs, of, norms, contents, most, *scratch, best)
    one, place = np.nonzero(best >= 0)
    return np.unique(packed_pairs(one, best[one, place]))
