"""Cells that moved to another column: first and last name swapped, a city in the line of the street.

Where two columns share values, a cell that equals the other row's cell of the other column is agreement too. Only fingerprints are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.records import Records
from data_sanitizer.kernels import kernel

_SHARED: Final = 0.01  # of the cells of each column must be values of the other


def exchanged(records: Records, columns: Sequence[int], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of columns, not of numbers, that share values in the given rows: shape (pairs, 2)."""
    words = [c for c in columns if records.kinds[c] in ("short", "long")]
    cells = {c: _filled(records.prints[rows, c]) for c in words}
    found = [(c, d) for c, d in combinations(words, 2) if _share(cells[c], cells[d]) >= _SHARED <= _share(cells[d], cells[c])]
    return np.array(found, np.int64).reshape(-1, 2)


def _filled(prints: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.asarray(prints[prints != 0])


def _share(cells: NDArray[np.uint64], others: NDArray[np.uint64]) -> float:
    return float(np.isin(cells, others).mean()) if len(cells) else 0.0


@kernel
def _raise(prints: Any, a: Any, b: Any, columns: Any, exact: Any, levels: Any) -> None:
    for k in range(len(a)):
        for p in range(len(columns)):
            c, d = columns[p, 0], columns[p, 1]
            if levels[k, c] >= exact[c] - 1 or levels[k, d] >= exact[d] - 1:
                continue
            ac, ad, bc, bd = prints[a[k], c], prints[a[k], d], prints[b[k], c], prints[b[k], d]
            there, back = ac != 0 and ac == bd, ad != 0 and ad == bc
            if there and back:
                levels[k, c], levels[k, d] = exact[c] - 1, exact[d] - 1
            elif there:
                levels[k, c] = exact[c] - 1
                levels[k, d] = 2 if levels[k, d] == 1 else levels[k, d]
            elif back:
                levels[k, d] = exact[d] - 1
                levels[k, c] = 2 if levels[k, c] == 1 else levels[k, c]


def raise_moved(records: Records, a: NDArray[np.int64], b: NDArray[np.int64], columns: NDArray[np.int64], exact: NDArray[np.int8],
                levels: NDArray[np.int8]) -> None:  # fmt: skip
    """Raise the levels (pairs, all columns) of cells that moved between the columns of a pair, in place; `exact` is the level of equal
    cells a column, 0 where it is not compared. Both moved: one below exact; one moved: that one so, and the other at least weak (2).
    """
    used = columns[(exact[columns] > 0).all(axis=1)] if len(columns) else columns
    if len(used):
        _raise(records.prints, a, b, used, exact, levels)
