"""The MinHash signature of a row, by which rows that are alike are found among many: of all three bytes in a row of its normalised cells.

A cell counts with its first bytes only, so that no long text outweighs all that names a row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.duplicates import minhash
from data_sanitizer.duplicates.cells import Text
from data_sanitizer.duplicates.records import Prepared, copy, prepare
from data_sanitizer.kernels import kernel

NUMBERS: Final = 128  # in a signature, of 32 bits
_SHINGLE: Final = 3  # bytes: one error changes three of them
_COUNTS: Final = 48  # bytes of a cell


@kernel
def _joined(text: Any, starts: Any, sizes: Any, most: int, offsets: Any, out: Any) -> None:
    """The beginnings of the cells of each row, a blank between two."""
    n = np.int64(0)
    for k in range(len(sizes)):
        a = starts[k]
        for c in range(sizes.shape[1]):
            size = np.int64(sizes[k, c])
            if size > 0:
                if n > offsets[k]:
                    out[n] = 32
                    n += 1
                counted = size if size < most else np.int64(most)
                copy(text, a, a + counted, out, n)
                n += counted
            a += size
        offsets[k + 1] = n


def signatures(rows: pl.DataFrame) -> NDArray[np.uint32]:
    """The signatures of rows by all their columns, which are text, of shape (rows, NUMBERS)."""
    return signed(prepare(rows))


def signed(rows: Prepared) -> NDArray[np.uint32]:
    """The same of rows that are prepared."""
    most = np.minimum(rows.sizes, _COUNTS).sum(dtype=np.int64) + rows.sizes.size
    offsets, data = np.zeros(len(rows.sizes) + 1, np.int64), np.empty(int(most), np.uint8)
    _joined(rows.text, rows.starts, rows.sizes, _COUNTS, offsets, data)
    return minhash.signatures(Text(offsets, data[: offsets[-1]]), NUMBERS, _SHINGLE)
