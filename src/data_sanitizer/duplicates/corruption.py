"""A damaged copy of cells: what views survive in it tells which ways of bringing rows together can be relied on.

Of every cell, with probability `share`: a typing error 60 %, gone 15 %, a token lost 15 %, tokens in another order 10 %. The dice are
the content hash of the row and the number of the column, so that the same rows are damaged in the same way wherever they stand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, finish
from data_sanitizer.duplicates.similarity import MOST_TOKENS, split
from data_sanitizer.kernels import kernel


@kernel
def _below(dice: Any, n: Any) -> Any:
    """A number below n from the high bits of the dice."""
    return np.int64((dice >> np.uint64(40)) % np.uint64(n))


@kernel
def _typo(data: Any, a: int, b: int, dice: Any, out: Any, n: Any) -> Any:
    """Change, insert, delete one letter, or swap two; returns where the cell ends."""
    place, way, dice = a + _below(dice, b - a), _below(finish(dice + np.uint64(1)), np.int64(4)), finish(dice + np.uint64(2))
    letter = 48 + _below(dice, np.int64(10)) if 48 <= data[place] <= 57 else 97 + _below(dice, np.int64(26))
    for i in range(a, b):
        if i == place and way == 2:
            continue
        if i == place and way == 1:
            out[n] = letter
            n += 1
        out[n] = letter if i == place and way == 0 else data[i]
        n += 1
    if way == 3 and place + 1 < b:
        k = n - (b - place)
        out[k], out[k + 1] = out[k + 1], out[k]
    return n


@kernel
def _tokens(data: Any, count: int, begins: Any, ends: Any, first: Any, lost: Any, out: Any, n: Any) -> Any:
    """Write the tokens from `first` on and round; without the first of them if it is lost."""
    start = n
    for k in range(1 if lost else 0, count):
        t = (first + k) % count
        if n > start:
            out[n] = 32
            n += 1
        for i in range(begins[t], ends[t]):
            out[n] = data[i]
            n += 1
    return n


@kernel
def _damage(offsets: Any, data: Any, rows: Any, column: int, share: float, begins: Any, ends: Any, out_offsets: Any, out: Any) -> None:
    n = np.int64(0)  # not a literal, which would compile what it is passed to once more
    for k in range(len(offsets) - 1):
        a, b = offsets[k], offsets[k + 1]
        dice = finish(rows[k] ^ finish(np.uint64(column + 1)))
        way = np.float64(dice >> np.uint64(11)) * 2.0**-53 / share
        dice = finish(dice + np.uint64(3))
        if way >= 1.0 or a == b:
            for i in range(a, b):
                out[n] = data[i]
                n += 1
        elif way < 0.6 or b - a < 3:
            n = _typo(data, a, b, dice, out, n)
        elif way >= 0.75:
            count = split(data, a, b, begins, ends)
            if count > 1:
                first, lost = _below(dice, count) if way < 0.9 else 1 + _below(dice, count - 1), way < 0.9
                n = _tokens(data, count, begins, ends, first, lost, out, n)
        out_offsets[k + 1] = n


def damaged(text: Text, rows: NDArray[np.uint64], column: int, share: float) -> Text:
    """A damaged copy of n cells of a column; `rows` are the content hashes of their rows."""
    offsets, out = np.zeros(len(text.offsets), np.int64), np.empty(len(text.data) + len(text.offsets), np.uint8)
    begins, ends = np.empty((2, MOST_TOKENS), np.int64)
    _damage(*text, rows, column, share, begins, ends, offsets, out)
    return Text(offsets, out[: offsets[-1]])
