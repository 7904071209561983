"""Read a column of dates as dates, with one order of day and month for the whole column, or leave it and ask.

The order is decided from all rows: one cell with a day above 12 decides for all others; two cells that contradict each other, or none that
decides, leave the column as it is with a question. Years of two digits are never completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile._scan import DATE_AMBIGUOUS, DATE_DMY, DATE_MDY, DATE_YMD
from data_sanitizer.profile.column_profile import DATE_SHAPES, ColumnProfile

VERSION = 1
OPTIONS: Mapping[str, Any] = {"order": None}  # "dmy", "mdy" or "ymd" answers the question

_SIGNS = "/-."
_ORDERS = {"ymd": "{y}{s}{m}{s}{d}", "dmy": "{d}{s}{m}{s}{y}", "mdy": "{m}{s}{d}{s}{y}"}


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Decide the order and the commonest way of writing, or ask."""
    if profile.typed or profile.kind != "date":
        return None
    order = options["order"] or profile.date_order
    details = profile.statistics.shapes.details[list(DATE_SHAPES)].sum(axis=0)
    two_digit_years = any(details[d] for d in range(len(details)) if d % 6 >= 3)
    if order is None or two_digit_years:
        return Action("dates", VERSION, column, evidence=_question(profile, two_digit_years), confidence=0.5, mode="note")
    formats = _formats(profile, order)
    if profile.count(*DATE_SHAPES) != profile.filled or not _all_fit(profile, order):
        evidence = f"no date that reads {order} as the others do; the column stays text because of such cells"
        return Action("dates", VERSION, column, {"formats": formats}, evidence, confidence=0.9, mode="flag")
    return Action("dates", VERSION, column, {"formats": formats}, f"every cell is a date; {_reason(profile, order)}", mode="convert")


def _question(profile: ColumnProfile, two_digit_years: bool) -> str:
    if two_digit_years:
        return "the years have two digits: which century?"
    dmy, mdy, open_ = (profile.count(s) for s in (DATE_DMY, DATE_MDY, DATE_AMBIGUOUS))
    if dmy and mdy:
        return f"{dmy} cells can only be day first, {mdy} only month first: which is meant in the other {open_}?"
    return f"all {open_} cells can be read day first or month first: which is it?"


def _reason(profile: ColumnProfile, order: str) -> str:
    sure = profile.count({"ymd": DATE_YMD, "dmy": DATE_DMY, "mdy": DATE_MDY}[order])
    return f"{sure} of {profile.filled} can only be read as {order}"


def _all_fit(profile: ColumnProfile, order: str) -> bool:
    other = {"dmy": DATE_MDY, "mdy": DATE_DMY}.get(order)
    return (other is None or not profile.count(other)) and (order != "ymd" or not profile.count(DATE_DMY, DATE_MDY, DATE_AMBIGUOUS))


def _formats(profile: ColumnProfile, order: str) -> list[str]:
    """All ways of writing that occur, the commonest first: it is the one that is written back."""
    found: dict[str, int] = {}
    for shape in DATE_SHAPES:
        details = profile.statistics.shapes.details[shape]
        for d in np.flatnonzero(details).tolist():
            short = d // 6 % 2 and not d // 12
            names = {"y": "%Y", "m": "%-m" if short else "%m", "d": "%-d" if short else "%d", "s": _SIGNS[d % 3]}
            form_ = _ORDERS["ymd" if shape == DATE_YMD else order].format(**names)
            found[form_] = found.get(form_, 0) + int(details[d])
    return sorted(found, key=lambda f: (-found[f], f))


def form(action: Action) -> tuple[str, str]:
    """How the column was written and what it became, for the ledger."""
    return action.parameters["formats"][0], "Date"


def from_form(column: str, old: str, new: str) -> Action:
    """The conversion that the ledger describes; it knows the one way of writing that is written back."""
    return Action("dates", VERSION, column, {"formats": [old]}, mode="convert")


def parse(action: Action) -> pl.Expr:
    """Text to date."""
    text = pl.col(action.column)
    plain = dict.fromkeys(f.replace("%-", "%") for f in action.parameters["formats"])
    return pl.coalesce([text.str.to_date(f, strict=False, exact=True) for f in plain])


def back(action: Action) -> pl.Expr:
    """Date to text."""
    return pl.col(action.column).dt.strftime(action.parameters["formats"][0])


def flag(action: Action) -> pl.Expr:
    """True for cells that are no date of the column."""
    return pl.col(action.column).is_not_null() & parse(action).is_null()
