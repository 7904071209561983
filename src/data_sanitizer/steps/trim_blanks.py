"""Remove blanks around a cell and repeated blanks inside it; a cell of blanks alone is empty.

Line breaks inside a cell stay: they may be the author's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile

VERSION = 1
OPTIONS: Mapping[str, Any] = {}

_EDGE = " \t\n\r\v\f"


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Columns in which the profile saw such blanks, or in which removing other characters may leave some."""
    flags = profile.flags
    made = bool(flags["unusual"] or flags["control"] or flags["garbled"])  # by the steps before
    if profile.typed or not (flags["edge_blank"] or flags["inner_blanks"] or made):
        return None
    parameters = {"inner": bool(flags["inner_blanks"] or made), "tabs": bool(flags["control"])}
    return Action("trim_blanks", VERSION, column, parameters, "blanks carry no meaning", odd_only=True)


def clean(action: Action) -> pl.Expr:
    """The trimmed column."""
    inner, tabs = action.parameters["inner"], action.parameters["tabs"]

    def trimmed(cells: pl.Series) -> pl.Series:
        cell = pl.first().str.strip_chars(_EDGE)
        cell = cell.str.replace_all("\t", " ", literal=True) if tabs else cell
        # The search for a literal is three times as fast as the replacement, and finds few cells.
        wide = cell.str.contains("  ", literal=True).fill_null(value=False).arg_true().implode()
        text = cells.alias("text").to_frame().select(cell.replace("", None), *([wide.alias("wide")] if inner else []))
        found = text["wide"][0] if inner and len(cells) else []
        if not len(found):
            return text["text"]
        narrow = text["text"].gather(found).to_frame().select(pl.first().str.replace_all("  +", " "))
        return text["text"].scatter(found, narrow.to_series())

    return pl.col(action.column).map_batches(trimmed, return_dtype=pl.String)
