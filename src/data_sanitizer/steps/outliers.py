"""Flag numbers that lie far from all others; nothing is changed.

Robust z-score 0.6745 |x - median| / MAD (Iglewicz and Hoaglin 1993), on the logarithm where all numbers are positive and the upper half is
stretched; the interquartile range stands in where the MAD is 0. A column where many values are that far has a long tail, not outliers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

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
    q1, q2, q3 = (number.quantile(q) for q in (0.25, 0.5, 0.75))
    skewed = number.least > 0 and (q3 - q2) > 1.5 * (q2 - q1) > 0
    values = np.log(number.values) if skewed else number.values
    middle = float(np.log(q2)) if skewed else q2
    mad = number.quantile(0.5, np.abs(values - middle)) / 0.6745
    if mad <= 0:
        mad = (float(np.log(q3 / q1)) if skewed else q3 - q1) / 1.349
    if mad <= 0:
        return None
    low, high = middle - limit * mad, middle + limit * mad
    return (float(np.exp(low)), float(np.exp(high)), "logarithmic") if skewed else (low, high, "linear")


def flag(action: Action) -> pl.Expr:
    """True for numbers outside the bounds; in a column that stays text, for cells that read as such a number."""
    low, high = action.parameters["low"], action.parameters["high"]

    def outside(cells: pl.Series) -> pl.Series:
        values = numbers.read(cells, action.parameters) if cells.dtype == pl.String else cells
        outer: pl.Series = (values < low) | (values > high)
        return outer

    return pl.col(action.column).map_batches(outside, return_dtype=pl.Boolean)
