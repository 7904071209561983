"""Views of a cell: hashes of parts of it that often survive when the cell is damaged, by which rows are brought together.

full: the whole cell; p3, p4, s4: its first 3 or 4 or last 4 letters, blanks left out; r1, r2, r3: its rarest tokens; m0, m1: the
least of its tokens by two orders of hashing. A cell that is too short for a view has none: 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, finish, hash_bytes
from data_sanitizer.duplicates.similarity import MOST_TOKENS, split
from data_sanitizer.duplicates.tokens import Frequencies
from data_sanitizer.kernels import kernel

AFFIXES: Final = ("p3", "p4", "s4")
RARE: Final = ("r1", "r2", "r3", "m0", "m1")
VIEWS: Final[Mapping[str, tuple[str, ...]]] = {  # by kind of column
    "number": ("full", "p4", "s4"),
    "short": ("full", *AFFIXES),
    "long": ("full", *AFFIXES, *RARE),
    "empty": (),
}
_UNSEEN = np.uint64(1) << np.uint64(24)  # a token in one cell only comes after all others: it brings nobody together


@kernel
def _affixes(offsets: Any, data: Any, out: Any) -> None:
    """Fill out (3, n) with the hashes of the first 3 letters (of 4 and more), the first 4 and the last 4 (of 6 and more)."""
    for k in range(len(offsets) - 1):
        a, b = np.uint64(offsets[k]), np.uint64(offsets[k + 1])
        head, letters, i = np.uint64(0), 0, a
        three = np.uint64(0)
        while i < b and letters < 6:
            c = data[i]
            if c != 32:
                letters += 1
                if letters <= 4:
                    head = head << np.uint64(8) | np.uint64(c)
                if letters == 3:
                    three = head
            i += np.uint64(1)
        out[0, k] = finish(three | np.uint64(7 << 40)) if letters > 3 else np.uint64(0)
        out[1, k] = finish(head | np.uint64(11 << 40)) if letters > 5 else np.uint64(0)
        tail, found, i = np.uint64(0), 0, b
        while letters > 5 and found < 4:
            i -= np.uint64(1)
            c = data[i]
            if c != 32:
                tail, found = tail << np.uint64(8) | np.uint64(c), found + 1
        out[2, k] = finish(tail | np.uint64(13 << 40)) if letters > 5 else np.uint64(0)


@kernel
def _rare(offsets: Any, data: Any, counters: Any, begins: Any, ends: Any, out: Any) -> None:
    """Fill out (5, n) with the three rarest tokens, ties by hash, and the least by two hashes; tokens of one byte do not count.

    The counters are of one byte, so that they stay in the cache: of tokens in 255 cells of the sample and more, the hash decides.
    """
    mask = np.uint64(len(counters) - 1)
    for k in range(len(offsets) - 1):
        one, two, three = np.uint64(_NONE), np.uint64(_NONE), np.uint64(_NONE)
        first, second, third = np.uint64(0), np.uint64(0), np.uint64(0)
        least, other = np.uint64(_NONE), np.uint64(_NONE)
        for t in range(split(data, offsets[k], offsets[k + 1], begins, ends)):
            if ends[t] - begins[t] < 2:
                continue
            h = hash_bytes(data, begins[t], ends[t])
            least, other = min(least, h), min(other, finish(h + np.uint64(1)))
            frequency = np.uint64(counters[h & mask])
            rank = (frequency if frequency > 1 else _UNSEEN) << np.uint64(32) | h >> np.uint64(32)
            if rank >= three or h in (first, second):
                continue
            if rank < one:
                one, two, three, first, second, third = rank, one, two, h, first, second
            elif rank < two:
                two, three, second, third = rank, two, h, second
            else:
                three, third = rank, h
        out[0, k], out[1, k], out[2, k] = first, second, third
        out[3, k] = least if least != _NONE else np.uint64(0)
        out[4, k] = other if other != _NONE else np.uint64(0)


_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)


def views(text: Text, prints: NDArray[np.uint64], names: Iterable[str], known: Frequencies | None) -> dict[str, NDArray[np.uint64]]:
    """The named views of n cells, each of shape (n,); `known` is asked for by the rarest tokens."""
    wanted, n = set(names), len(prints)
    found = {"full": prints} if "full" in wanted else {}
    if wanted & set(AFFIXES):
        affixes = np.empty((3, n), np.uint64)
        _affixes(*text, affixes)
        found |= dict(zip(AFFIXES, affixes, strict=True))
    if wanted & set(RARE):
        assert known is not None
        rare = np.empty((5, n), np.uint64)
        _rare(
            *text, np.minimum(known.counters, 255).astype(np.uint8), np.empty(MOST_TOKENS, np.int64), np.empty(MOST_TOKENS, np.int64), rare
        )
        found |= dict(zip(RARE, rare, strict=True))
    return {name: found[name] for name in found if name in wanted}
