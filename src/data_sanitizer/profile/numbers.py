"""Quantiles and moments of the numbers of a column, the same whatever the order of the rows.

Quantiles come from a histogram with 128 bins to the octave (relative error at most 0.4 %), addressed by the bits of the number, so that
merging is addition and no machine rounds differently. (KLL would need less memory, but its compaction draws random bits and depends on
the order of merges.) Sums are kept exactly, mantissas added by exponent, so that mean and deviation do not depend on order either.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.profile._cells import Cells
from data_sanitizer.profile._scan import AMBIGUOUS_COMMA, AMBIGUOUS_POINT

_OCTAVES, _LOWEST = 110, -40  # |x| from 2^-40 to 2^70; smaller counts as 0, larger as the last bin
_SUB = 128
_HALF = _OCTAVES * _SUB
_SHIFT = 1100
LANES = ("plain", "ambiguous_point", "ambiguous_comma")


def _bin(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin 0.._HALF for |x|: 0 is zero."""
    bits = (np.abs(values).view(np.int64) >> 45) - ((1023 + _LOWEST) << 7)
    bins: NDArray[np.int64] = np.clip(bits + 1, 0, _HALF)
    return bins


def _middle(index: NDArray[np.int64]) -> NDArray[np.float64]:
    """The number in the middle of a bin."""
    low = (((index - 1) + ((1023 + _LOWEST) << 7)) << 45).view(np.float64)
    high = ((index + ((1023 + _LOWEST) << 7)) << 45).view(np.float64)
    return np.where(index == 0, 0.0, (low + high) / 2)


@dataclass(slots=True)
class Lane:
    """The numbers of one way of writing: bins of shape (2 x 14080 + 1,), negative first, and exact sums of x and x squared."""

    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2 * _HALF + 1, np.int64))
    sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros((2, 2, 2 * _SHIFT), np.int64))
    least: float = float("inf")
    most: float = float("-inf")

    def update(self, values: NDArray[np.float64]) -> None:
        """Add finite numbers."""
        self.bins += np.bincount(_HALF + np.where(values < 0, -1, 1) * _bin(values), minlength=2 * _HALF + 1)
        for power, x in enumerate((values, values * values)):
            mantissa, exponent = np.frexp(x)
            whole = (mantissa * 2.0**53).astype(np.int64)
            for part, piece in enumerate((whole & 0x7FFFFFF, whole >> 27)):  # below 2^27, so that a block's float sums stay exact
                self.sums[power, part] += np.bincount(exponent + _SHIFT, piece, 2 * _SHIFT).astype(np.int64)
        self.least, self.most = min(self.least, float(values.min())), max(self.most, float(values.max()))

    def merge(self, other: Self) -> None:
        """Take in other numbers."""
        self.bins += other.bins
        self.sums += other.sums
        self.least, self.most = min(self.least, other.least), max(self.most, other.most)

    def total(self, power: int) -> Fraction:
        """The exact sum of x (power 0) or of x squared as rounded (power 1)."""
        low, high = self.sums[power]
        used = np.flatnonzero((low != 0) | (high != 0)).tolist()
        return sum((Fraction((int(high[e]) << 27) + int(low[e])) * Fraction(2) ** (e - _SHIFT - 53) for e in used), Fraction(0))


@dataclass(slots=True)
class Numbers:
    """Lanes are kept apart until the whole column has told whether 1,234 is a thousand or one and a bit."""

    lanes: dict[str, Lane] = field(default_factory=dict)

    def update(self, cells: Cells) -> None:
        """Add the numbers of one block."""
        present = ~np.isnan(cells.numbers)
        if not present.any():
            return
        point, comma = cells.shapes == AMBIGUOUS_POINT, cells.shapes == AMBIGUOUS_COMMA
        for name, mask in zip(LANES, (present & ~point & ~comma, point, comma), strict=True):
            if mask.any():
                self.lanes.setdefault(name, Lane()).update(cells.numbers[mask])

    def merge(self, other: Self) -> None:
        """Take in another part of the column."""
        for name, lane in other.lanes.items():
            self.lanes.setdefault(name, Lane()).merge(lane)

    def resolve(self, thousands: str | None) -> NumberSummary:
        """One summary of all numbers; an ambiguous number with the sign `thousands` (point or comma) is a thousand times its reading."""
        scales = {"plain": 1, "ambiguous_point": 1000 if thousands == "." else 1, "ambiguous_comma": 1000 if thousands == "," else 1}
        parts = [(self.lanes[name], scales[name]) for name in LANES if name in self.lanes]
        values, counts = _support(parts)
        n = int(counts.sum())
        first = sum((lane.total(0) * k for lane, k in parts), Fraction(0))
        second = sum((lane.total(1) * k * k for lane, k in parts), Fraction(0))
        variance = float((second - first * first / n) / (n - 1)) if n > 1 else 0.0
        least = min((lane.least * k for lane, k in parts), default=0.0)
        most = max((lane.most * k for lane, k in parts), default=0.0)
        return NumberSummary(n, least, most, float(first / n) if n else 0.0, max(variance, 0.0) ** 0.5, values, counts)


def _support(parts: list[tuple[Lane, int]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct bin middles in ascending order with their counts."""
    values, counts = [np.empty(0)], [np.empty(0, np.int64)]
    for lane, scale in parts:
        used = np.flatnonzero(lane.bins)
        values.append(np.clip(np.sign(used - _HALF) * _middle(np.abs(used - _HALF)), lane.least, lane.most) * scale)
        counts.append(lane.bins[used])
    joined, weights = np.concatenate(values), np.concatenate(counts)
    order = np.argsort(joined, kind="stable")
    return joined[order], weights[order]


@dataclass(frozen=True, slots=True)
class NumberSummary:
    """What is known of the numbers of a column; quantiles to 0.4 %."""

    count: int
    least: float
    most: float
    mean: float
    deviation: float
    values: NDArray[np.float64]  # support of the histogram, ascending
    counts: NDArray[np.int64]

    def quantile(self, q: float, of: NDArray[np.float64] | None = None) -> float:
        """The q-quantile of the numbers, or of another score given for each value of the support."""
        scores = self.values if of is None else of
        order = np.argsort(scores, kind="stable")
        reached = np.cumsum(self.counts[order])
        return float(scores[order][np.searchsorted(reached, q * reached[-1], side="left").clip(0, len(order) - 1)]) if len(order) else 0.0

    def histogram(self, bars: int = 24) -> list[tuple[float, float, int]]:
        """Bars of equal width between the 1 % and 99 % quantiles, the tails in the outer bars: (low, high, cells)."""
        low, high = self.quantile(0.01), self.quantile(0.99)
        if not self.count or low == high:
            return []
        edges = np.linspace(low, high, bars + 1)
        index = np.clip(np.searchsorted(edges, self.values, side="right") - 1, 0, bars - 1)
        heights = np.bincount(index, self.counts, bars).astype(np.int64)
        return [(float(a), float(b), int(n)) for a, b, n in zip(edges[:-1], edges[1:], heights, strict=True)]


def with_exact_values(summary: NumberSummary, values: pl.DataFrame, thousands: str) -> NumberSummary:
    """The summary with the values themselves in place of bins, for a column whose values (`value`, `count`) are all known."""
    digits = pl.col("value").str.replace_all(r"[^0-9.,-]", "")
    digits = digits.str.replace_all(thousands, "", literal=True) if thousands else digits
    number = digits.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False).alias("number")
    exact = values.select(number, pl.col("count").cast(pl.Int64)).drop_nulls().group_by("number").agg(pl.col("count").sum()).sort("number")
    if exact["count"].sum() != summary.count:  # numbers written in a way of their own, such as 1e16: the bins know them
        return summary
    return replace(summary, values=exact["number"].to_numpy(), counts=exact["count"].to_numpy())
