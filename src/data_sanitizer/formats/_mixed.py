"""What is done with a JSON key whose values differ in kind: `evolve` (text holds them all), `freeze` or `quarantine`.

`freeze` keeps the kind that the key had first, `quarantine` the kind that most records have (the first one where two are as common); both
set aside every record in which the key has another kind. Null is of every kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data_sanitizer import errors
from data_sanitizer.formats import _tokens as t

EVOLVE, FREEZE, QUARANTINE = "evolve", "freeze", "quarantine"
POLICIES = (EVOLVE, FREEZE, QUARANTINE)
CLASSES = {
    "text": (t.STRING, t.ESCAPED),
    "number": (t.INT, t.WIDE_INT, t.HUGE_INT, t.FLOAT, t.WIDE_FLOAT),
    "boolean": (t.BOOL,),
    "array": (t.ARRAY,),
    "object": (t.OBJECT,),
}
ANY = (1 << t.KINDS) - 1
_NUMBERS = {kind: number for number, kinds in enumerate(CLASSES.values()) for kind in kinds}
_CLASS_OF = np.array([_NUMBERS.get(kind, -1) for kind in range(t.KINDS)])


class Policies:
    """The policy of every key, from pairs of (key, policy); key "" stands for all that are not named. Raises UsageError."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        for key, policy in pairs:
            if policy not in POLICIES:
                of = f" for key {key}" if key else ""
                raise errors.UsageError(why=f"There is no policy {policy!r} for mixed types{of}. Known ones: {', '.join(POLICIES)}.")
        self._of = dict(pairs)
        self.needs_order = bool({FREEZE, QUARANTINE} & set(self._of.values()))

    def of(self, column: str) -> str:
        """The policy of a column."""
        return self._of.get(column, self._of.get("", EVOLVE))

    def unknown(self, columns: Sequence[str]) -> list[str]:
        """Keys with a policy that are no columns."""
        return sorted(key for key in self._of if key and key not in columns)


def classes(counts: Sequence[int]) -> dict[str, int]:
    """How many values of each class there are, by the counts of kinds; only classes that occur."""
    found = {name: sum(counts[k] for k in kinds) for name, kinds in CLASSES.items()}
    return {name: count for name, count in found.items() if count}


def kept(found: dict[str, int], firsts: NDArray[np.int64], policy: str) -> str:
    """The one class that stays; `firsts` says for each class where it was met first."""
    order = {name: int(firsts[i]) for i, name in enumerate(CLASSES)}
    if policy == FREEZE:
        return min(found, key=lambda name: order[name])
    return min(found, key=lambda name: (-found[name], order[name]))


def mask(name: str) -> int:
    """The kinds of a class, and null, as bits."""
    return sum(1 << kind for kind in (t.NULL, *CLASSES[name]))


def note_firsts(firsts: NDArray[np.int64], nodes: NDArray[np.int32], kinds: NDArray[np.uint8], done: int) -> None:
    """Keeps for each node and class (`firsts`: nodes x classes) the number of the first value, `done` values having come before."""
    number = _CLASS_OF[kinds]
    met, at = np.unique(nodes[number >= 0].astype(np.int64) * len(CLASSES) + number[number >= 0], return_index=True)
    places = np.flatnonzero(number >= 0)[at] + done
    flat = firsts.reshape(-1)
    flat[met] = np.minimum(flat[met], places)
