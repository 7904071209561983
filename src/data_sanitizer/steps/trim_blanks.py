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
    inner = bool(flags["inner_blanks"] or flags["unusual"] or flags["control"] or flags["garbled"])
    if profile.typed or not (flags["edge_blank"] or inner):
        return None
    return Action("trim_blanks", VERSION, column, {"inner": inner}, "blanks carry no meaning")


def clean(action: Action) -> pl.Expr:
    """The trimmed column."""
    text = pl.col(action.column).str.strip_chars(_EDGE)
    if action.parameters["inner"]:
        # "  +" and not " +": a pattern with a literal start is searched by it, three times as fast on clean text.
        text = text.str.replace_all("\t", " ", literal=True).str.replace_all("  +", " ")
    return text.replace("", None)
