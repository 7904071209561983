"""Clusters of rows that are one entity, grown from the surest match down and guarded against chains.

Two clusters become one only if the weights of all pairs between them, taken together, speak for it: a single wrong match cannot tie two
entities together, because the other pairs between them object. Pairs that were never compared object a little, too.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.decisions import FORBIDDEN
from data_sanitizer.kernels import kernel

Rows = NDArray[np.int64]
_UNIT: Final = 256  # weights are summed as whole numbers of 1/256 bit, so that their order does not matter
_MOST: Final = 8.0  # bits that one pair can speak for or against
NOT_COMPARED: Final = -0.5  # bits that a pair speaks that was no candidate
_NEVER: Final = -(1 << 30)  # units of a pair that a person said is no match
_REMEMBERED: Final = 1 << 16  # refusals


def guarded(rows: int, a: Rows, b: Rows, weights: NDArray[np.float64], contents: NDArray[np.uint64], least: float = 0.0,
            not_compared: float = NOT_COMPARED) -> Rows:  # fmt: skip
    """The least row of each row's cluster, of shape (rows,), from weighted pairs a[k], b[k] (log2 odds), each pair once.

    Only pairs above `least` can join clusters, all pairs can object. Equal weights are taken in the order of the content hashes of
    their rows, so that the clusters, as sets, do not depend on the order of rows or pairs. Time grows with the pairs times the size
    of clusters, memory is 40 bytes a pair.
    """
    units = np.round(np.clip(weights, -_MOST, _MOST) * _UNIT).astype(np.int32)
    units[weights <= FORBIDDEN] = _NEVER
    joining = np.flatnonzero(weights > least)
    one, other = contents[a[joining]], contents[b[joining]]
    order = joining[np.lexsort((np.maximum(one, other), np.minimum(one, other), -weights[joining]))]
    firsts, ends, values = _neighbours(rows, a, b, units)
    parents, following, last = np.arange(rows), np.full(rows, -1, np.int64), np.arange(rows)
    refused = np.zeros(_REMEMBERED, np.uint64)
    sizes, degrees = np.ones(rows, np.int64), np.diff(firsts)
    _grow(a, b, order, firsts, ends, values, parents, following, last, sizes, degrees, round(not_compared * _UNIT), refused)
    return _least(parents)


def _neighbours(rows: int, a: Rows, b: Rows, units: NDArray[np.int32]) -> tuple[Rows, NDArray[np.int32], NDArray[np.int32]]:
    """For each row, where its pairs begin, their other rows and their weights."""
    firsts = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(a, minlength=rows) + np.bincount(b, minlength=rows), out=firsts[1:])
    ends, values = np.empty(2 * len(a), np.int32), np.empty(2 * len(a), np.int32)
    _fill(a, b, units, firsts[:-1].copy(), ends, values)
    return firsts, ends, values


@kernel
def _fill(a: Any, b: Any, units: Any, places: Any, ends: Any, values: Any) -> None:
    for k in range(len(a)):
        i, j = places[a[k]], places[b[k]]
        ends[i], values[i] = b[k], units[k]
        ends[j], values[j] = a[k], units[k]
        places[a[k]] += 1
        places[b[k]] += 1


@kernel
def _find(parents: Any, x: Any) -> Any:
    while parents[x] != x:
        parents[x] = parents[parents[x]]
        x = parents[x]
    return x


@kernel
def _key(x: Any, y: Any, n: Any, m: Any) -> Any:
    """A number that stands for two clusters at their present sizes, never 0."""
    h = (np.uint64(x) << np.uint64(32) | np.uint64(y)) * np.uint64(0x9E3779B97F4A7C15)
    h ^= (np.uint64(n) << np.uint64(32) | np.uint64(m)) * np.uint64(0xBF58476D1CE4E5B9)
    return (h ^ (h >> np.uint64(29))) | np.uint64(1)


@kernel
def _between(x: Any, y: Any, firsts: Any, ends: Any, values: Any, parents: Any, following: Any) -> tuple[Any, Any]:
    """The weights of the pairs between two clusters, summed, and how many pairs they are."""
    total, count, row = np.int64(0), np.int64(0), x
    while row >= 0:
        for i in range(firsts[row], firsts[row + 1]):
            if _find(parents, np.int64(ends[i])) == y:
                total += values[i]
                count += 1
        row = following[row]
    return total, count


@kernel
def _grow(a: Any, b: Any, order: Any, firsts: Any, ends: Any, values: Any, parents: Any, following: Any, last: Any, sizes: Any,
          degrees: Any, not_compared: Any, refused: Any) -> None:  # fmt: skip
    """`following` chains the rows of a cluster, beginning with its root; `last` is the end of the chain, `degrees` its pairs."""
    for e in order:
        x, y = _find(parents, a[e]), _find(parents, b[e])
        if x == y:
            continue
        if degrees[x] > degrees[y] or (degrees[x] == degrees[y] and x > y):
            x, y = y, x
        key = _key(x, y, sizes[x], sizes[y])
        place = np.int64(key >> np.uint64(48))
        if refused[place] == key:
            continue
        total, count = _between(x, y, firsts, ends, values, parents, following)
        if total + not_compared * (sizes[x] * sizes[y] - count) <= 0:
            refused[place] = key
            continue
        parents[x] = y
        following[last[y]] = x
        last[y] = last[x]
        sizes[y] += sizes[x]
        degrees[y] += degrees[x]


def _least(parents: Rows) -> Rows:
    """The least row of each tree."""
    rows = np.arange(len(parents))
    roots = parents
    while not np.array_equal(roots, roots[roots]):
        roots = roots[roots]
    least = np.full(len(parents), len(parents), np.int64)
    np.minimum.at(least, roots, rows)
    return least[roots]
