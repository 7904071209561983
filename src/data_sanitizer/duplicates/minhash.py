"""MinHash signatures of texts: the share of equal numbers in two signatures estimates the Jaccard similarity of the sets behind them.

One-permutation hashing with optimal densification (A. Shrivastava, Optimal densification for fast and accurate minwise hashing, 2017):
every element is hashed once; the high bits choose a bin, the least value of a bin is its number; an empty bin borrows from a bin that
a hash of its own number and of the attempt picks, the same for all texts. The estimate is unbiased, its variance close to that of as
many permutations.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, finish, hash_bytes
from data_sanitizer.kernels import kernel

BINS: Final = 64
EMPTY: Final = np.uint32(0xFFFFFFFF)  # in all bins of a text without elements


@kernel
def _put(element: Any, bins: Any) -> None:
    h = finish(element)
    place = (h >> np.uint64(32)) * np.uint64(len(bins)) >> np.uint64(32)
    value = np.uint32(h)
    if value < bins[place]:
        bins[place] = value


@kernel
def _densify(bins: Any, filled: Any) -> None:
    """Fill the empty bins from those that are not; `filled` is scratch of shape (bins,)."""
    count, size = 0, len(bins)
    for k in range(size):
        filled[k] = bins[k] != EMPTY
        count += filled[k]
    if count == 0 or count == size:
        return
    for k in range(size):
        attempt = np.uint64(1)
        while bins[k] == EMPTY:
            pick = finish(np.uint64(k + 1) << np.uint64(32) | attempt) % np.uint64(size)
            if filled[pick]:
                bins[k] = bins[pick]
            attempt += np.uint64(1)


@kernel
def _sign(offsets: Any, data: Any, shingle: int, filled: Any, signatures: Any) -> None:
    for k in range(len(offsets) - 1):
        a, b, bins = offsets[k], offsets[k + 1], signatures[k]
        if shingle > 0 and a < b:
            for i in range(a, max(b - shingle, a) + 1):
                _put(hash_bytes(data, i, min(i + shingle, b)), bins)
        while shingle == 0 and a < b:
            end = a
            while end < b and data[end] != 32:
                end += 1
            _put(hash_bytes(data, a, end), bins)
            a = end + 1
        _densify(bins, filled)


def signatures(text: Text, bins: int = BINS, shingle: int = 0) -> NDArray[np.uint32]:
    """The signatures of n cells, of shape (n, bins): of their tokens, or of all `shingle` bytes in a row."""
    found = np.full((len(text.offsets) - 1, bins), EMPTY, np.uint32)
    _sign(*text, shingle, np.zeros(bins, np.bool_), found)
    return found


def similarity(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> NDArray[np.float64]:
    """The estimated Jaccard similarity of signatures of shape (…, bins); 0 where a text has no elements."""
    share: NDArray[np.float64] = ((one == other) & (one != EMPTY)).mean(axis=-1)
    return share
