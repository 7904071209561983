"""Read a column of true and false as a boolean column.

Only columns whose every filled cell is one of a pair of words. `careful` converts true/false; other pairs (yes/no, ja/nein, …) keep their
words unless the option `words` is "all".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile

VERSION = 1
OPTIONS: Mapping[str, Any] = {"words": "true/false"}

_TRUE = {"true", "yes", "y", "t", "on", "ja", "oui", "si", "sí"}


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """The commonest spelling of each of the two words is the one that is written back."""
    if profile.typed or profile.kind != "boolean" or profile.values is None:
        return None
    words = [v for v in profile.values if v.casefold() not in profile.tokens]
    forms = {word: next((v for v in words if (v.casefold() in _TRUE) is word), "") for word in (True, False)}
    if options["words"] != "all" and {f.casefold() for f in forms.values()} != {"true", "false"}:
        return None
    parameters = {"true": forms[True], "false": forms[False]}
    return Action("booleans", VERSION, column, parameters, f"every cell is {forms[True]} or {forms[False]}", mode="convert")


def form(action: Action) -> tuple[str, str]:
    """How the column was written and what it became, for the ledger."""
    return f"{action.parameters['true']}|{action.parameters['false']}", "Boolean"


def from_form(column: str, old: str, new: str) -> Action:
    """The conversion that the ledger describes."""
    true, _, false = old.partition("|")
    return Action("booleans", VERSION, column, {"true": true, "false": false}, mode="convert")


def parse(action: Action) -> pl.Expr:
    """Text to boolean."""
    lower = pl.col(action.column).str.to_lowercase()
    return pl.when(lower == action.parameters["true"].lower()).then(True).when(lower == action.parameters["false"].lower()).then(False)


def back(action: Action) -> pl.Expr:
    """Boolean to text."""
    column = pl.col(action.column)
    return pl.when(column).then(pl.lit(action.parameters["true"])).when(~column).then(pl.lit(action.parameters["false"]))
