"""Which row of a cluster is kept: the most complete, then the one that agrees most with the others, then the first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def survivors(rows: Rows, clusters: Rows, prints: NDArray[np.uint64]) -> Rows:
    """The row kept for each of the given rows, of shape (rows,).

    `clusters` says to which cluster each row belongs; `prints` are the fingerprints of its cells, (rows, columns), 0 for an empty cell.
    """
    complete = (prints != 0).sum(axis=1)
    agreeing = np.zeros(len(rows), np.int64)
    many = np.flatnonzero(_sizes(clusters) > 2)  # of two rows, both have the most frequent value in every column
    for column in range(prints.shape[1]):
        agreeing[many] += _in_majority(clusters[many], prints[many, column])
    order = np.lexsort((rows, -agreeing, -complete, clusters))
    starts = np.concatenate([[True], clusters[order][1:] != clusters[order][:-1]]) if len(rows) else np.zeros(0, np.bool_)
    kept = np.empty(len(rows), np.int64)
    kept[order] = rows[order][starts][np.cumsum(starts) - 1]
    return kept


def _sizes(clusters: Rows) -> Rows:
    _, place, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.asarray(counts[place])


def _in_majority(clusters: Rows, cells: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether a cell is not empty and as frequent in its cluster as any other that is not empty."""
    if not len(cells):
        return np.zeros(0, np.bool_)
    order = np.lexsort((cells, clusters))
    near, cell = clusters[order], cells[order]
    starts = np.concatenate([[True], (near[1:] != near[:-1]) | (cell[1:] != cell[:-1])])
    run = np.cumsum(starts) - 1
    counts = np.where(cell == 0, 0, np.bincount(run)[run])
    group = np.cumsum(np.concatenate([[True], near[1:] != near[:-1]])) - 1
    most = np.zeros(int(group[-1]) + 1, np.int64)
    np.maximum.at(most, group, counts)
    found = np.empty(len(cells), np.bool_)
    found[order] = (counts > 0) & (counts == most[group])
    return found
