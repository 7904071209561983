"""What is believed of duplicates and related pairs before any is seen, and how it holds what is counted within bounds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from data_sanitizer.duplicates.chance import Chance, Floats

_BELIEF: Final = 50.0  # pairs that the belief about duplicates counts as
_RELATED_BELIEF: Final = 10.0
_UNLIKE: Final = 0.15  # of the cells of duplicates may differ entirely
_UNLIKE_NOISY: Final = 0.4  # in a table of the kind noisy
_CAPS: Final = (0.10, 0.20, 0.35, 0.55, 0.75)  # shares of duplicates below each graded level of a long text, at most


def of_duplicates(exact: int) -> Floats:
    """Shares of the levels of a column among duplicates, as believed before anything is seen; shape (exact)."""
    if exact == 4:
        return np.array([0.06, 0.04, 0.12, 0.78])
    rising = np.linspace(0.2, 1, exact - 2)
    return np.concatenate([[0.06], 0.34 * rising / rising.sum(), [0.60]])


def of_related(exact: int) -> Floats:
    """Shares of the levels of a column among related pairs, as believed before anything is seen; shape (exact)."""
    if exact == 4:
        return np.array([0.45, 0.10, 0.05, 0.40])
    return np.concatenate([[0.35], np.full(exact - 2, 0.35 / (exact - 2)), [0.30]])


def tables(chance: Chance, belief: Any) -> Floats:
    """A belief as a table of all columns, of shape (columns, K)."""
    table = np.zeros_like(chance.table)
    for column, exact in enumerate(chance.exact):
        table[column, 1 : exact + 1] = belief(int(exact))
    return table


def _shares(chance: Chance, counted: Floats, belief: Any, weight: float) -> Floats:
    """The counts of levels, with a belief that weighs so many counts, as shares of each column."""
    table = counted + weight * tables(chance, belief)
    table[:, 0] = 0
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def held_duplicates(chance: Chance, counted: Floats) -> Floats:
    """Levels among duplicates: the counts with the belief, held within what duplicates can be."""
    shares, table = _shares(chance, counted, of_duplicates, _BELIEF), np.zeros_like(counted)
    for column, exact in enumerate(int(e) for e in chance.exact):
        levels = shares[column, 1 : exact + 1]
        if exact == 4:
            levels[0] = np.clip(levels[0], 0.01, _UNLIKE)
            levels[-1] = max(levels[-1], 0.4)
        else:
            caps = np.interp(np.linspace(0, 1, exact - 2), np.linspace(0, 1, len(_CAPS)), _CAPS)
            below = np.minimum(np.cumsum(levels)[: exact - 2], caps)
            levels = np.maximum(np.diff(np.concatenate([[0], below, [np.cumsum(levels)[-2], 1]])), 0.005)
        table[column, 1 : exact + 1] = levels / levels.sum()
    return table


def held_related(chance: Chance, counts: Floats) -> Floats:
    """Levels among related pairs: the counts with the belief; none is impossible."""
    shares = _shares(chance, counts, of_related, _RELATED_BELIEF)
    return np.where(shares > 0, np.clip(shares, 0.002, 1), 0)


def held_noisy(chance: Chance, counted: Floats) -> Floats:
    """Levels among duplicates with any number of errors: the counts with the belief."""
    shares = _shares(chance, counted, of_duplicates, _BELIEF)
    shares[:, 1] = np.clip(shares[:, 1], 0.01, _UNLIKE_NOISY)
    return shares
