"""What a person decided stays: rows that are not one entity never come into one cluster, whatever speaks for it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
FORBIDDEN: Final = -1e9  # bits: outweighs all that other pairs of two clusters can say


def held(rows: Rows, a: Rows, b: Rows, weights: NDArray[np.float64], apart: Rows) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """The weighted pairs a[k], b[k], which are places in `rows`, with those of `apart` (m, 2), which are rows, forbidden."""
    if not len(apart):
        return a, b, weights
    places = np.searchsorted(rows, apart).clip(0, max(len(rows) - 1, 0))
    there = (rows[places] == apart).all(axis=1) if len(rows) else np.zeros(len(apart), np.bool_)
    low, high = np.sort(places[there], axis=1).T
    names = np.unique(low << 32 | high)
    known = np.minimum(a, b) << 32 | np.maximum(a, b)
    new = np.setdiff1d(names, known)
    kept = np.where(np.isin(known, names), FORBIDDEN, weights)
    more = np.full(len(new), FORBIDDEN)
    return np.concatenate([a, new >> 32]), np.concatenate([b, new & 0xFFFFFFFF]), np.concatenate([kept, more])
