"""Flag numbers that lie far from all others; nothing is changed.

Robust z-score 0.6745 |x - median| / MAD (Iglewicz and Hoaglin 1993) with a MAD for either half, so that a longer side is measured by its
own length, and on the logarithm where all numbers are positive and that makes them more symmetric. A column where many values are that far
has a long tail, not outliers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile
from data_sanitizer.profile.numbers import NumberSummary
from data_sanitizer.steps import numbers

VERSION = 1
OPTIONS: Mapping[str, Any] = {"limit": 6.0, "most": 0.02}


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Bounds from the histogram of all rows."""
    number = profile.number
    if number is None or number.count < 30 or len(number.values) < 10 or profile.named_as_code:
        return None
    found = bounds(number, float(options["limit"]))
    if found is None:
        return None
    low, high, scale = found
    outside = int(number.counts[(number.values < low) | (number.values > high)].sum())
    if not outside or outside > float(options["most"]) * number.count:
        return None
    evidence = f"robust z above {options['limit']:g} on the {scale} scale (median {number.quantile(0.5):.6g})"
    parameters = {"low": low, "high": high, "thousands": profile.thousands or "", "decimal": numbers.decimal_sign(profile)}
    return Action("outliers", VERSION, column, parameters, evidence, 0.8, mode="flag")


def bounds(number: NumberSummary, limit: float) -> tuple[float, float, str] | None:
    """Lowest and highest ordinary number, and the scale they were found on; None where the numbers hardly vary."""
    quantiles = np.array([number.quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)])
    logarithmic = number.least > 0 and _skewness(np.log(quantiles)) < _skewness(quantiles)
    q1, q2, q3 = np.log(quantiles[1:4]) if logarithmic else quantiles[1:4]
    below, above = (q2 - q1) / 0.6745, (q3 - q2) / 0.6745  # the MAD of either half, as a deviation
    if max(below, above) <= 0:
        return None
    low, high = q2 - limit * (below or above), q2 + limit * (above or below)
    return (float(np.exp(low)), float(np.exp(high)), "logarithmic") if logarithmic else (float(low), float(high), "linear")


def _skewness(tails: NDArray[np.float64]) -> float:
    """How far the median stands from the middle between the 5 % and 95 % quantiles: 0 is symmetric, 1 is all on one side."""
    low, middle, high = tails[0], tails[2], tails[4]
    return abs(float((high - middle) - (middle - low))) / float(high - low) if high > low else 0.0


def flag(action: Action) -> pl.Expr:
    """True for numbers outside the bounds; in a column that stays text, for cells that read as such a number."""
    low, high = action.parameters["low"], action.parameters["high"]

    def outside(cells: pl.Series) -> pl.Series:
        values = numbers.read(cells, action.parameters) if cells.dtype == pl.String else cells.cast(pl.Float64)
        outer: pl.Series = (values < low) | (values > high)
        return outer

    return pl.col(action.column).map_batches(outside, return_dtype=pl.Boolean)
