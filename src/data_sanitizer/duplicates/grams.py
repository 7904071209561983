"""Cosine of the sets of grams of two cells, rare grams weighing more.

A gram is three bytes in a row, with one blank before and one after the cell. It is known by 16 bits of its hash: in a cell of 300
letters about one gram in 200 meets another. Weights are the squares of log(cells / cells that have the gram).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text
from data_sanitizer.kernels import kernel

GRAMS: Final = 1 << 16
_P, _THREE = np.uint32(0x9E3779B1), np.uint32(0xFFFFFF)


@kernel
def _number(code: Any) -> Any:
    """The number of a gram of three bytes."""
    return np.uint64(np.uint32(code * _P) >> np.uint32(16))


@kernel
def _count(offsets: Any, data: Any, seen: Any, counters: Any) -> Any:
    cells = np.int64(0)
    for i in range(len(offsets) - 1):
        a, b = np.uint64(offsets[i]), np.uint64(offsets[i + 1])
        cells += a < b
        code = np.uint32(32) << np.uint32(8) | np.uint32(data[a]) if a < b else np.uint32(0)
        for k in range(a + np.uint64(1), b + np.uint64(1)):
            code = (code << np.uint32(8) | np.uint32(data[k] if k < b else 32)) & _THREE
            g = _number(code)
            counters[g] += np.uint32(seen[g] != i)
            seen[g] = i
    return cells


@kernel
def _distinct(offsets: Any, data: Any, weights: Any, seen: Any, ids: Any, firsts: Any, norms: Any) -> None:
    """The grams of every cell, each once, and their weight."""
    n = np.uint64(0)
    for i in range(len(offsets) - 1):
        a, b, weight = np.uint64(offsets[i]), np.uint64(offsets[i + 1]), np.int64(0)
        code = np.uint32(32) << np.uint32(8) | np.uint32(data[a]) if a < b else np.uint32(0)
        for k in range(a + np.uint64(1), b + np.uint64(1)):
            code = (code << np.uint32(8) | np.uint32(data[k] if k < b else 32)) & _THREE
            g = _number(code)
            first = seen[g] != i
            seen[g], ids[n] = i, g
            n += np.uint64(first)
            weight += weights[g] * np.int64(first)
        norms[i], firsts[i + 1] = weight, n


@kernel
def _cosine(ids: Any, firsts: Any, norms: Any, weights: Any, left: Any, right: Any, marked: Any, scores: Any) -> None:
    """`marked` has the weights of the grams of the left cell and 0 for all others, so that the loop for the right one has no branch."""
    last = -1
    for k in range(len(left)):
        i, j = left[k], right[k]
        if i != last:
            if last >= 0:
                for p in range(np.uint64(firsts[last]), np.uint64(firsts[last + 1])):
                    marked[ids[p]] = 0
            for p in range(np.uint64(firsts[i]), np.uint64(firsts[i + 1])):
                marked[ids[p]] = weights[ids[p]]
            last = i
        common = np.int64(0)
        for p in range(np.uint64(firsts[j]), np.uint64(firsts[j + 1])):
            common += marked[ids[p]]
        scores[k] = common / np.sqrt(np.float64(norms[i]) * np.float64(norms[j])) if common > 0 else 0.0


def frequencies(text: Text) -> tuple[NDArray[np.uint32], int]:
    """In how many of n cells each gram occurs, of shape (GRAMS,), and how many cells are not empty. Counts of parts add up."""
    counters = np.zeros(GRAMS, np.uint32)
    return counters, _count(*text, np.full(GRAMS, -1, np.int32), counters)


def rarity(counters: NDArray[np.uint32], cells: int) -> NDArray[np.int32]:
    """The weight of each gram, of shape (GRAMS,), in 1/65536; one that was never counted weighs as much as one counted once.

    Whole numbers, so that a sum of weights is the same in any order, and the cosine of two cells from either side.
    """
    weights: NDArray[np.float64] = np.log(np.maximum(cells + 1, 2) / np.maximum(counters, 1)) ** 2
    return np.maximum(np.round(weights * 65536), 1).astype(np.int32)


def cosine(text: Text, left: NDArray[np.int64], right: NDArray[np.int64], weights: NDArray[np.int32]) -> NDArray[np.float32]:
    """Cosine of the grams of cells left[k] and right[k], 0-1; fastest where equal numbers of `left` follow each other."""
    scores, cells = np.empty(len(left), np.float32), len(text.offsets) - 1
    ids, firsts, norms = np.empty(len(text.data) + 1, np.uint16), np.zeros(cells + 1, np.int64), np.empty(cells, np.int64)
    _distinct(*text, weights, np.full(GRAMS, -1, np.int32), ids, firsts, norms)
    _cosine(ids, firsts, norms, weights, left, right, np.zeros(GRAMS, np.int32), scores)
    return scores
