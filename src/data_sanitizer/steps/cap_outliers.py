"""Set numbers that lie far from all others to a stated quantile of the ordinary ones; only in recipes that ask for it.

What is capped is what the step `outliers` would flag, in the table as it comes in or as the filling of missing values would leave it: fills
draw the numbers together, and a second run must find nothing left to cap. The cap is a number that stands in the column, written as it
stands there, so whole numbers stay whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from math import ceil, floor, inf
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.errors import RecipeError
from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile, TableSample
from data_sanitizer.profile.numbers import Lane, Numbers, NumberSummary
from data_sanitizer.steps import fill_missing, numbers, outliers

VERSION = 1
INVENTS = True
OPTIONS: Mapping[str, Any] = {"limit": 6.0, "most": 0.02, "lower": 0.01, "upper": 0.99}

_ROUNDS = 5  # of looking again after capping; two are the rule


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """The fence and what stands in place of the numbers beyond it."""
    _check(options)
    number, table = profile.number, profile.table
    if number is None or table is None or profile.sensitive:
        return None
    order = fill_missing.in_order(profile, table)
    if order is None:
        return None
    low, high = _fence(profile, number, options)
    for _ in range(_ROUNDS):
        left = _clipped(_filled(profile, table, number), low, high)
        closer = _fence(profile, left, options)
        if closer == (-inf, inf):
            break
        low, high = max(low, closer[0]), min(high, closer[1])
    caps = _caps(order, low, high, options)
    if (low, high) == (-inf, inf) or caps is None:
        return None
    cells = fill_missing.plain(table.typed[column].gather(caps))
    stated = {"low": low, "high": high, "caps": cells, "lower": options["lower"], "upper": options["upper"]}
    parameters = {**stated, **fill_missing.writing(profile)}
    return Action("cap_outliers", VERSION, column, parameters, "outliers set to stated quantiles", 0.8)


def _check(options: Mapping[str, Any]) -> None:
    numeric = all(isinstance(options[k], int | float) and not isinstance(options[k], bool) for k in OPTIONS)
    if not numeric or not 0 <= options["lower"] < 0.5 < options["upper"] <= 1:
        why = "lower and upper are not quantiles on either side of 0.5, or limit or most is not a number"
        raise RecipeError(recipe="step cap_outliers", why=why, kind="options", known=", ".join(OPTIONS))


def _fence(profile: ColumnProfile, number: NumberSummary, options: Mapping[str, Any]) -> tuple[float, float]:
    """Between what the step `outliers` would leave unflagged if these were the numbers of the column."""
    supposed = copy(profile)
    vars(supposed)["number"] = number  # in the place of the cached property
    action = outliers.plan(profile.name, supposed, options)
    return (action.parameters["low"], action.parameters["high"]) if action else (-inf, inf)


def _filled(profile: ColumnProfile, table: TableSample, number: NumberSummary) -> NumberSummary:
    """The numbers with those that filling the missing cells adds, as far as the sample of rows tells."""
    action = fill_missing.plan(profile.name, profile, fill_missing.OPTIONS)
    if action is None or action.mode != "clean":
        return number
    own = table.rows[profile.name]
    after = table.typed.select(fill_missing.clean(action))[:, 0].filter(own.is_null())
    fills = _read(after, fill_missing.writing(profile)).drop_nulls()
    if fills.is_empty():
        return number
    values, counts = _binned(fills.to_numpy())
    added = np.bincount(np.searchsorted((number.values[1:] + number.values[:-1]) / 2, values), counts, len(number.values))
    added = np.round(added * ((profile.rows - number.count) / own.null_count())).astype(np.int64)
    return replace(number, count=number.count + int(added.sum()), counts=number.counts + added)


def _binned(numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The middles of the bins of the histogram of a column that these numbers fall into, and how many fall into each."""
    lane = Lane()
    lane.update(numbers)
    lane.least, lane.most = -inf, inf  # or the outer middles would be moved to the outer numbers
    summary = Numbers({"plain": lane}).resolve(None)
    return summary.values, summary.counts


def _clipped(number: NumberSummary, low: float, high: float) -> NumberSummary:
    """The numbers with those beyond the fence moved to it."""
    inside = (number.values >= low) & (number.values <= high)
    if inside.all():
        return number
    place = np.clip(np.arange(len(inside)), np.argmax(inside), len(inside) - 1 - np.argmax(inside[::-1]))
    counts = np.bincount(place, number.counts, len(inside)).astype(np.int64)
    values = number.values[inside]
    least, most = max(number.least, float(values[0])), min(number.most, float(values[-1]))
    return replace(number, least=least, most=most, values=values, counts=counts[inside])


def _caps(order: pl.Series, low: float, high: float, options: Mapping[str, Any]) -> list[int] | None:
    """Where in the sample the two quantiles of the ordinary numbers stand; ties by place in the sample, which all write the same number."""
    table = pl.DataFrame({"at": pl.int_range(len(order), eager=True), "number": order}).drop_nulls()
    ordinary = table.filter(pl.col("number").is_between(low, high)).sort("number", "at")["at"]
    if ordinary.is_empty():
        return None
    last = len(ordinary) - 1
    return [int(ordinary[floor(options["lower"] * last)]), int(ordinary[ceil(options["upper"] * last)])]


def _read(cells: pl.Series, parameters: Mapping[str, Any]) -> pl.Series:
    return numbers.read(cells, parameters) if cells.dtype == pl.String else cells.cast(pl.Float64)


def clean(action: Action) -> pl.Expr:
    """The column with its outliers capped."""
    return pl.col(action.column).map_batches(partial(_capped, action.parameters), return_dtype=pl.dtype_of(action.column))


def _capped(parameters: Mapping[str, Any], cells: pl.Series) -> pl.Series:
    values = _read(cells, parameters)
    below, above = (values < parameters["low"]).fill_null(value=False), (values > parameters["high"]).fill_null(value=False)
    if not (below | above).any():
        return cells
    low, high = (fill_missing.as_typed([cap], cells.dtype) for cap in parameters["caps"])
    return high.zip_with(above, low.zip_with(below, cells)).alias(cells.name)


def evidence(action: Action) -> pl.Expr:
    """Which quantile the cell was set to."""
    texts = [f"outlier, set to the {100 * action.parameters[k]:g} % quantile of the ordinary numbers" for k in ("lower", "upper")]
    low = pl.col(action.column).map_batches(partial(_below, action.parameters), return_dtype=pl.Boolean)
    return pl.when(low).then(pl.lit(texts[0])).otherwise(pl.lit(texts[1]))


def _below(parameters: Mapping[str, Any], cells: pl.Series) -> pl.Series:
    low: float = parameters["low"]
    return _read(cells, parameters) < low
