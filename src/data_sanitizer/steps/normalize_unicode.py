"""Write the same letter the same way: Unicode NFC, no invisible characters, ordinary blanks.

Canonical composition (NFC, UAX #15) changes the coding and never the look. Removed are control characters, zero-width spaces, byte order
marks, word joiners and soft hyphens; every kind of blank becomes a space. Joiners that scripts and emoji need (U+200C, U+200D) and direction
marks stay.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile
from data_sanitizer.steps._distinct import on_distinct

VERSION = 1
OPTIONS: Mapping[str, Any] = {}

_INVISIBLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 133), *range(134, 160), 0xAD, 0x200B, 0x2060, 0xFEFF])
_BLANKS = dict.fromkeys([0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_TABLE: dict[int, str | None] = {**_INVISIBLE, **_BLANKS}


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Only columns with characters beyond ASCII or control characters are touched."""
    if profile.typed or not (profile.flags["non_ascii"] or profile.flags["control"]):
        return None
    return Action("normalize_unicode", VERSION, column, evidence="same text in NFC without invisible characters")


def clean(action: Action) -> pl.Expr:
    """The column in NFC."""
    return on_distinct(action.column, r"[^\x20-\x7E]", _normalized)


def _normalized(text: str) -> str:
    """The text in NFC; left as it is where accents without a letter of their own remain, which is garbled text and no spelling."""
    composed = unicodedata.normalize("NFC", text.translate(_TABLE))
    return text.translate(_TABLE) if any("\u0300" <= c <= "\u036f" for c in composed) else composed
