"""Views of a cell: hashes of parts of it that often survive when the cell is damaged, by which rows are brought together.

full: the whole cell; p3, p4, s4: its first 3 or 4 or last 4 letters, blanks left out; r1, r2, r3: its rarest tokens; m0, m1: the
least of its tokens by two orders of hashing. A cell that is too short for a view has none: 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_sanitizer.duplicates.cells import Text, finish
from data_sanitizer.duplicates.tokens import SEED, Frequencies, letter
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
def _rare(offsets: Any, data: Any, counters: Any, out: Any) -> None:
    """Fill out (5, n) with the three rarest tokens, ties by hash, and the least by two hashes; tokens of one byte do not count.

    The counters are of one byte, so that they stay in the cache: of tokens in 255 cells of the sample and more, the hash decides.
    """
    mask, ranks, found = np.uint64(len(counters) - 1), np.empty(3, np.uint64), np.empty(3, np.uint64)
    for k in range(len(offsets) - 1):
        ranks[:] = _NONE
        found[:] = np.uint64(0)
        least, other, h, size = _NONE, _NONE, SEED, 0
        end = np.uint64(offsets[k + 1])
        for i in range(np.uint64(offsets[k]), end + np.uint64(1)):
            if i < end and data[i] != 32:
                h, size = letter(h, data[i]), size + 1
                continue
            if size > 1:
                h = finish(h)
                least, other = min(least, h), min(other, finish(h + np.uint64(1)))
                frequency = np.uint64(counters[h & mask])
                rank = (frequency if frequency > 1 else _UNSEEN) << np.uint64(32) | h >> np.uint64(32)
                if rank < ranks[2] and h != found[0] and h != found[1]:
                    _keep(ranks, found, rank, h)
            h, size = SEED, 0
        for t in range(3):
            out[t, k] = found[t]
        out[3, k] = least if least != _NONE else np.uint64(0)
        out[4, k] = other if other != _NONE else np.uint64(0)


@kernel
def _keep(ranks: Any, found: Any, rank: Any, h: Any) -> None:
    """Put a token into its place among the three of least rank."""
    place = 2
    while place > 0 and rank < ranks[place - 1]:
        ranks[place], found[place] = ranks[place - 1], found[place - 1]
        place -= 1
    ranks[place], found[place] = rank, h


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
        _rare(*text, np.minimum(known.counters, 255).astype(np.uint8), rare)
        found |= dict(zip(RARE, rare, strict=True))
    return {name: found[name] for name in found if name in wanted}
