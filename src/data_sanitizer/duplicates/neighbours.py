"""Nearest neighbours of long texts by the rare terms they share: candidates for tables whose identity is in one text that is much edited.

An index from terms to rows is read for the rarest terms of each row, up to a bounded number of entries, so that the time grows with the
rows. Terms are tokens and two tokens in a row joined (`kdl 40` also says `kdl40`), or four bytes in a row. Neighbours are those with
the greatest cosine over the terms read, weights being log(rows / rows with the term).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, finish, hash_bytes
from data_sanitizer.duplicates.pairs import packed_pairs
from data_sanitizer.duplicates.similarity import MOST_TOKENS, split
from data_sanitizer.kernels import kernel

READ: Final = 1000  # entries of the index that are read for a row
_COMMON: Final = 500  # a term of more rows is not read
_MOST_TERMS: Final = 256  # terms of a row that are kept


@kernel
def _token_terms(offsets: Any, data: Any, begins: Any, ends: Any, tight: Any, out: Any) -> Any:
    """Write the terms of every row as hash << 32 | row; returns how many."""
    n = 0
    for k in range(len(offsets) - 1):
        count = split(data, offsets[k], offsets[k + 1], begins, ends)
        for t in range(min(count, _MOST_TERMS // 2)):
            size = ends[t] - begins[t]
            out[n] = hash_bytes(data, begins[t], ends[t]) & ~_ROW | np.uint64(k)
            n += 1
            if t + 1 < count:
                for i in range(size):
                    tight[i] = data[begins[t] + i]
                for i in range(begins[t + 1], ends[t + 1]):
                    tight[size + i - begins[t + 1]] = data[i]
                out[n] = hash_bytes(tight, 0, size + ends[t + 1] - begins[t + 1]) & ~_ROW | np.uint64(k)
                n += 1
    return n


@kernel
def _gram_terms(offsets: Any, data: Any, out: Any) -> Any:
    n = 0
    for k in range(len(offsets) - 1):
        a, b = offsets[k], offsets[k + 1]
        word = np.uint64(32)
        for i in range(a, min(b + 1, a + _MOST_TERMS)):
            word = (word << np.uint64(8) | np.uint64(data[i] if i < b else 32)) & _ROW
            if i >= a + 2:
                out[n] = finish(word + np.uint64(1)) & ~_ROW | np.uint64(k)
                n += 1
    return n


_ROW = np.uint64(0xFFFFFFFF)


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
            if (read > READ and t > 0) or lengths[r] > _COMMON:
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


def neighbours(text: Text, contents: NDArray[np.uint64], most: int = 5, grams: bool = False) -> NDArray[np.uint64]:
    """The pairs of n cells with the `most` nearest of each, as a << 32 | b with a < b, ascending and unique. Memory: 40 bytes a term."""
    rows = len(contents)
    terms = np.unique(_terms(text, grams))
    hashes = terms >> np.uint64(32)
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]])) if len(terms) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(terms)))
    weights = np.log((rows + 1) / lengths) ** 2
    of = (terms & _ROW).astype(np.int64)
    norms = np.sqrt(np.bincount(of, np.repeat(weights, lengths), rows))
    firsts = np.concatenate([[0], np.cumsum(np.bincount(of, np.repeat(lengths > 1, lengths), rows))]).astype(np.int64)
    runs = np.empty(firsts[-1], np.int64)
    _by_row(terms, starts, lengths, firsts[:-1].copy(), runs)
    best = np.full((rows, most), -1, np.int64)
    scratch = np.zeros(rows), np.empty(rows, np.int64), np.empty(2 * _MOST_TERMS, np.int64)
    _nearest(terms, starts, lengths, firsts, runs, weights, norms, contents, most, *scratch, best)
    one, place = np.nonzero(best >= 0)
    return np.unique(packed_pairs(one, best[one, place]))


def _terms(text: Text, grams: bool) -> NDArray[np.uint64]:
    if grams:
        out = np.empty(len(text.data) + len(text.offsets), np.uint64)
        return out[: _gram_terms(*text, out)]
    out = np.empty(len(text.data) + 2 * len(text.offsets), np.uint64)
    begins, ends, tight = np.empty(MOST_TOKENS, np.int64), np.empty(MOST_TOKENS, np.int64), np.empty(2 * MOST_TOKENS, np.uint8)
    return out[: _token_terms(*text, begins, ends, tight, out)]
