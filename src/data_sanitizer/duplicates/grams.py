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
_P = np.uint32(0x9E3779B1)


@kernel
def gram(data: Any, a: Any, b: Any, k: Any) -> Any:
    """Number of the gram around data[k] in the cell data[a:b]."""
    before = np.uint32(data[k - np.uint64(1)]) if k > a else np.uint32(32)
    after = np.uint32(data[k + np.uint64(1)]) if k + np.uint64(1) < b else np.uint32(32)
    code = before << np.uint32(16) | np.uint32(data[k]) << np.uint32(8) | after
    return np.uint64(np.uint32(code * _P) >> np.uint32(16))


@kernel
def _count(offsets: Any, data: Any, seen: Any, counters: Any) -> Any:
    cells = np.int64(0)
    for i in range(len(offsets) - 1):
        a, b = np.uint64(offsets[i]), np.uint64(offsets[i + 1])
        cells += a < b
        for k in range(a, b):
            g = gram(data, a, b, k)
            if seen[g] != i:
                seen[g] = i
                counters[g] += np.uint32(1)
    return cells


@kernel
def _mark(data: Any, a: Any, b: Any, stamp: int, seen: Any, weights: Any) -> float:
    """Stamp the grams of data[a:b] and return their weight, each counted once."""
    weight = 0.0
    for k in range(a, b):
        g = gram(data, a, b, k)
        if seen[g] != stamp:
            seen[g] = stamp
            weight += weights[g]
    return weight


@kernel
def _cosine(offsets: Any, data: Any, left: Any, right: Any, weights: Any, ones: Any, others: Any, scores: Any) -> None:
    marked, first = -1, 0.0
    for k in range(len(left)):
        if left[k] != marked:
            marked = left[k]
            first = _mark(data, np.uint64(offsets[marked]), np.uint64(offsets[marked + 1]), marked, ones, weights)
        a, b = np.uint64(offsets[right[k]]), np.uint64(offsets[right[k] + 1])
        second, common = 0.0, 0.0
        for i in range(a, b):
            g = gram(data, a, b, i)
            if others[g] != k:
                others[g] = k
                second += weights[g]
                if ones[g] == marked:
                    common += weights[g]
        scores[k] = min(common / np.sqrt(first * second), 1.0) if common > 0.0 else 0.0


def frequencies(text: Text) -> tuple[NDArray[np.uint32], int]:
    """In how many of n cells each gram occurs, of shape (GRAMS,), and how many cells are not empty. Counts of parts add up."""
    counters = np.zeros(GRAMS, np.uint32)
    return counters, _count(*text, np.full(GRAMS, -1, np.int32), counters)


def rarity(counters: NDArray[np.uint32], cells: int) -> NDArray[np.float32]:
    """The weight of each gram, of shape (GRAMS,); one that was never counted weighs as much as one counted once."""
    weights: NDArray[np.float32] = np.log(np.maximum(cells + 1, 2) / np.maximum(counters, 1)).astype(np.float32) ** 2
    return weights


def cosine(text: Text, left: NDArray[np.int64], right: NDArray[np.int64], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of the grams of cells left[k] and right[k], 0-1; fastest where equal numbers of `left` follow each other."""
    scores = np.empty(len(left), np.float32)
    ones, others = np.full((2, GRAMS), -1, np.int32)
    _cosine(*text, left, right, weights, ones, others, scores)
    return scores
