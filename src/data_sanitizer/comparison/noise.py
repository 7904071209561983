"""What chance alone explains: a difference counts when it is larger than any that two random halves of one table would show."""

from __future__ import annotations

import math
from collections.abc import Mapping

DOUBT = 20.0  # nats: chance alone does as much in one comparison of 5e8, so that wide tables compared daily never alarm by it
_EXPECTED = 5.0  # cells a class must be expected to have, on both sides, for its own place in the test


def moved(old: Mapping[str, int], new: Mapping[str, int], least: float) -> float | None:
    """The share of cells that changed class, where it is at least `least` and beyond chance; None otherwise.

    A likelihood-ratio test (G) of two samples over classes; rare classes count as one. What it must exceed is the bound of Laurent and
    Massart (2000, lemma 1) on a chi-square variable: P(X >= d + 2 sqrt(d x) + 2 x) <= exp(-x).

    >>> moved({"a": 50, "b": 50}, {"a": 40, "b": 60}, 0.05) is None
    True
    >>> moved({"a": 5000, "b": 5000}, {"a": 2500, "b": 7500}, 0.05)
    0.25
    """
    before, now = sum(old.values()), sum(new.values())
    if not before or not now:
        return None
    share = sum(abs(old.get(c, 0) / before - new.get(c, 0) / now) for c in {**old, **new}) / 2
    if share < least:
        return None
    classes = _pooled(old, new, before, now)
    if (freedom := len(classes) - 1) < 1:
        return None
    statistic = 2 * sum(_surprise(a, (a + b) * before / (before + now)) + _surprise(b, (a + b) * now / (before + now)) for a, b in classes)
    return share if statistic >= freedom + 2 * math.sqrt(freedom * DOUBT) + 2 * DOUBT else None


def _pooled(old: Mapping[str, int], new: Mapping[str, int], before: int, now: int) -> list[tuple[int, int]]:
    pairs = [(old.get(c, 0), new.get(c, 0)) for c in sorted({**old, **new})]
    enough = _EXPECTED * (before + now) / min(before, now)
    rare = [p for p in pairs if sum(p) < enough]
    pool = (sum(a for a, _ in rare), sum(b for _, b in rare))
    return [p for p in pairs if sum(p) >= enough] + ([pool] if sum(pool) >= enough else [])


def _surprise(seen: int, expected: float) -> float:
    return seen * math.log(seen / expected) if seen else 0.0


def appeared(cells: int, before: int, now: int) -> bool:
    """Whether so many cells of a kind that was not there in `before` cells, and is now in `now`, are beyond chance.

    Were the two one, each cell would fall among the new ones with the probability now / (before + now).

    >>> appeared(28, 1000, 1000), appeared(29, 1000, 1000)
    (False, True)
    """
    return before > 0 and cells * math.log((before + now) / now) >= DOUBT


def rank_noise(before: int, now: int) -> float:
    """How far two empirical distributions of one source may lie apart by chance (Dvoretzky, Kiefer and Wolfowitz, with Massart's constant).

    >>> round(rank_noise(1000, 1000), 3)
    0.144
    """
    return math.sqrt((DOUBT + math.log(2)) / 2 * (before + now) / (before * now)) if before and now else math.inf
