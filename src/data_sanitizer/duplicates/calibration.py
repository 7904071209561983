"""From the weight of a pair to a confidence that can be believed: a second opinion, rivals, and how far the figures are off.

The second opinion is the likeness of the two rows as a whole, compared with what else is near them. Where the model is unsure, the
share of duplicates among pairs as alike is learned from its own posteriors, which evens its errors out, and both opinions count.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
AMBIGUOUS: Final = 0.05  # of the duplicates undecided: below it nobody needs a second opinion
_NEAR: Final = 0.4  # how much the likeness of the next best partners counts against a pair
_PASSES: Final = 4
_EXPLAINED: Final = 0.5
_TEXT_MIDDLE: Final = 0.12  # standing at which two long texts are as likely one entity as not
_TEXT_SLOPE: Final = 8.0  # bits per unit of standing
_TEXT_MOST: Final = 1.3  # bits: texts alone are never sure
UNSURE: Final = 6.0  # bits, a posterior of 0.985: reviewed, not removed


def rivals(rows: int, a: Rows, b: Rows, weights: Floats) -> tuple[Floats, Floats]:
    """The greatest weight of another pair of row a[k], and of row b[k]; -inf where there is none. All of shape (pairs,)."""
    first, second = np.full(rows, -np.inf), np.full(rows, -np.inf)
    for side in (a, b):
        np.maximum.at(first, side, weights)
    ties = np.zeros(rows, np.int64)
    for side in (a, b):
        below = weights < first[side]
        np.maximum.at(second, side[below], weights[below])
        ties += np.bincount(side[~below], minlength=rows)
    second = np.where(ties > 1, first, second)
    left, right = (np.where(weights >= first[side], second[side], first[side]) for side in (a, b))
    return left, right


def standing(rows: int, a: Rows, b: Rows, likeness: NDArray[np.float32]) -> Floats:
    """How far the likeness of a pair (0-1) stands out from the best other partners of its rows, of shape (pairs,).

    After S. Chaudhuri, V. Ganti, R. Motwani, Robust identification of fuzzy duplicates (2005): duplicates are close to each other, and
    few others are near them.
    """
    left, right = rivals(rows, a, b, likeness.astype(np.float64))
    return np.asarray(likeness - _NEAR * (np.maximum(left, 0) + np.maximum(right, 0)) / 2)


def rising_mean(x: Floats, y: Floats, bins: int = 60) -> Floats:
    """The mean of y as a function of x that never falls (pool adjacent violators over quantiles), at each x."""
    order = np.lexsort((y, x))
    means: list[float] = []
    sizes: list[int] = []
    for part in np.array_split(order, max(2, min(bins, len(x) // 20 or 2))):
        if len(part):
            means.append(float(y[part].mean()))
            sizes.append(len(part))
        while len(means) > 1 and means[-2] >= means[-1]:
            size = sizes[-2] + sizes[-1]
            means[-2:] = [(means[-2] * sizes[-2] + means[-1] * sizes[-1]) / size]
            sizes[-2:] = [size]
    bounds = np.cumsum([0, *sizes])
    middles = (x[order[bounds[:-1]]] + x[order[bounds[1:] - 1]]) / 2
    return np.asarray(np.interp(x, middles, means))


def second_opinion(weights: Floats, posteriors: Floats, stands: Floats) -> Floats:
    """Log2 odds from the model's and from the standing of the rows, of shape (pairs,): each teaches the other a few times.

    Where standing explains less than half of the model's posteriors it is not about identity (in a table of families the nearest rows
    are relatives), and the model's own odds are returned.
    """
    opinion = weights
    if np.sort(rising_mean(stands, posteriors)).var() < _EXPLAINED * np.sort(posteriors).var():
        return weights
    for _ in range(_PASSES):
        shares = np.clip(rising_mean(stands, posteriors), 1e-4, 1 - 1e-4)
        opinion = weights / 2 + np.log2(shares / (1 - shares))
        posteriors = 1 / (1 + 2.0 ** -np.clip(opinion, -60, 60))
    return np.asarray(opinion)


def text_weights(stands: Floats) -> Floats:
    """Log2 odds for tables whose identity is in long texts: by standing alone, and never sure."""
    return np.minimum(_TEXT_SLOPE * (stands - _TEXT_MIDDLE), _TEXT_MOST)


def penalty(sizes: NDArray[np.int64]) -> float:
    """Bits against a third row in a cluster, from the sizes of sure clusters; 0 where threes are not rare."""
    two, more = int((sizes == 2).sum()), int((sizes > 2).sum())
    share = (more + 0.5) / (two + more + 1)
    return max(0.0, -float(np.log2(share)) - 1) if share < 0.15 else 0.0


def contested(rows: int, a: Rows, b: Rows, weights: Floats, penalty: float) -> Floats:
    """Weights where entities have two rows each, as a rule: of two partners of a row one is wrong, unless a third row pays its penalty."""
    left, right = rivals(rows, a, b, weights)
    discounts = [np.minimum(np.log2(1 + 2.0 ** np.clip(rival, -60, 60)), penalty) for rival in (left, right)]
    return np.asarray(weights - discounts[0] - discounts[1])


def probability(weights: Floats) -> NDArray[np.float32]:
    """From log2 odds."""
    return (1 / (1 + 2.0 ** -np.clip(weights, -60, 60))).astype(np.float32)


def calibration_error(confidences: NDArray[np.float32], true: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error: mean distance between confidence and share of true, over bins, of matches at or above 0.5."""
    kept = confidences >= 0.5
    confidences, true = confidences[kept].astype(np.float64), true[kept]
    if not len(true):
        return 0.0
    place = np.minimum(((confidences - 0.5) * 2 * bins).astype(np.int64), bins - 1)
    said, right = np.bincount(place, confidences, bins), np.bincount(place, true, bins)
    return float(np.abs(said - right).sum() / len(true))
