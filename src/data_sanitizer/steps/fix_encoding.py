"""Repair text that was decoded with the wrong encoding, where that is certain.

Text is certain mojibake when all of it, written back as Windows-1252, is valid UTF-8 and becomes shorter: ordinary text with accents
never is. Repeated until nothing changes, for text that was spoilt twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile
from data_sanitizer.steps._distinct import on_distinct

VERSION = 1
OPTIONS: Mapping[str, Any] = {}

# The letters that the first byte of a UTF-8 sequence becomes in Windows-1252 (C2-F4), followed by one that a continuation byte becomes.
_SUSPECT = r"[\u00C2-\u00F4][\u0080-\u00BF\u0152-\u0192\u02C6-\u02DC\u2013-\u203A\u20AC\u2122]"


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Only columns in which the profile saw the bytes of mojibake."""
    if profile.typed or not profile.flags["garbled"]:
        return None
    return Action("fix_encoding", VERSION, column, evidence="valid UTF-8 when written back as Windows-1252", confidence=0.99, odd_only=True)


def clean(action: Action) -> pl.Expr:
    """The text as its author wrote it."""
    return on_distinct(action.column, _SUSPECT, repaired)


def repaired(text: str) -> str:
    """The text, decoded again as often as that is certain to be right."""
    import ftfy.bad_codecs  # noqa: F401  registers sloppy-windows-1252

    for _ in range(3):
        again = next((r for codec in ("sloppy-windows-1252", "latin-1") if (r := _read_again(text, codec)) is not None), None)
        if again is None or len(again) >= len(text):
            return text
        text = again
    return text


def _read_again(text: str, codec: str) -> str | None:
    try:
        return text.encode(codec).decode("utf-8")
    except UnicodeError:
        return None
