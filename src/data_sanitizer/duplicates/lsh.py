"""Locality-sensitive hashing of MinHash signatures by bands (P. Indyk, R. Motwani, 1998; J. Leskovec et al., Mining of massive datasets).

Texts of similarity s agree in one of b bands of r numbers with probability 1 - (1 - s^r)^b.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import finish
from data_sanitizer.duplicates.minhash import EMPTY
from data_sanitizer.kernels import kernel


@kernel
def _bands(signatures: Any, rows: int, out: Any) -> None:
    for k in range(out.shape[1]):
        for band in range(out.shape[0]):
            key = np.uint64(band + 1)
            for i in range(band * rows, (band + 1) * rows):
                key = finish(key * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(signatures[k, i]))
            out[band, k] = key | np.uint64(1) if signatures[k, 0] != EMPTY else np.uint64(0)


def bands(signatures: NDArray[np.uint32], rows: int) -> NDArray[np.uint64]:
    """The keys of n signatures, of shape (bands, n), as many bands of `rows` numbers as there are; 0 for a text without elements."""
    n, bins = signatures.shape
    found = np.empty((bins // rows, n), np.uint64)
    _bands(signatures, rows, found)
    return found


def probability(similarity: float, bands: int, rows: int) -> float:
    """The probability that two texts of a similarity (0-1) agree in at least one band."""
    return 1.0 - (1.0 - similarity**rows) ** bands
