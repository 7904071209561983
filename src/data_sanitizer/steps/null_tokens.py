"""Turn words that stand for "no value" (N/A, null, -, …) into empty cells, as far as the column shows that they mean that.

In a column of numbers, dates or identifiers every such word is a missing value. In a column of words only those that mean nothing else:
"NA" stays where the column holds short codes in capitals (country and region codes), "None", "Unknown" and "Missing" stay because they may
be answers, and in columns of people's names "Null" and "Na" stay because they are names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile._scan import NULL_TOKENS
from data_sanitizer.profile.column_profile import ColumnProfile

VERSION = 1
OPTIONS: Mapping[str, Any] = {"also": [], "keep": []}

_ALWAYS = {"n/a", "#n/a", "#na", "n.a.", "(null)", "<null>", "<na>", "#null!", "\\n"}
_UNLESS_A_NAME = {"null", "nan", "nat", "undefined"}
_SIGNS = {"-", "--", "---", "?", "??"}
_NUMERIC_KINDS = ("integer", "decimal", "date", "timestamp", "boolean", "identifier", "empty")


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Decide for each word that occurs, from what the other cells of the column are."""
    also = {t.lower() for t in options["also"]}
    if profile.typed or not (profile.tokens or also):
        return None
    tokens = sorted((({t for t in profile.tokens if _means_nothing(t, profile)}) | also) - {t.lower() for t in options["keep"]})
    if not tokens:
        return None
    evidence, seen = f"means no value in a column of kind {profile.kind}", also.issubset(NULL_TOKENS)
    return Action("null_tokens", VERSION, column, {"tokens": tokens}, evidence, 0.99, odd_only=seen)


def _means_nothing(word: str, profile: ColumnProfile) -> bool:
    if word in _ALWAYS:
        return True
    if profile.kind in _NUMERIC_KINDS and profile.filled > 0:
        return True
    if word in _UNLESS_A_NAME:
        return not re.search(r"name|first|last", profile.name.lower())
    if word == "na":
        return not re.search(r"name|first|last", profile.name.lower()) and not _short_codes(profile)
    return word in _SIGNS and not _short_codes(profile)


def _short_codes(profile: ColumnProfile) -> bool:
    """Most other values are codes of up to five capitals or single signs, among which a short token may be one more code."""
    others = profile.sample.filter(~pl.col("value").str.to_lowercase().is_in([*profile.tokens]))
    if others.is_empty():
        return False
    codes = others.filter(pl.col("value").str.contains(r"^([A-Z]{1,5}|[+*.=<>#]+|[A-F][+-])$"))
    return int(codes["count"].sum()) * 2 > int(others["count"].sum())


def clean(action: Action) -> pl.Expr:
    """The column with null for the tokens."""
    tokens = action.parameters["tokens"]
    longest = max(len(token.encode()) for token in tokens)

    def without(cells: pl.Series) -> pl.Series:
        short = cells.to_frame().select((pl.first().str.len_bytes() <= longest).fill_null(value=False).arg_true()).to_series()
        if not len(short):
            return cells
        means_nothing = cells.gather(short).to_frame().select(pl.first().str.to_lowercase().is_in(tokens)).to_series()
        empty = short.filter(means_nothing)
        return cells.clone().scatter(empty, None) if len(empty) else cells

    return pl.col(action.column).map_batches(without, return_dtype=pl.String)
