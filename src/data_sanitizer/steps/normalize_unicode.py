"""Write the same letter the same way: Unicode NFC, no invisible characters, ordinary blanks.

Canonical composition (NFC, UAX #15) changes the coding and never the look. Removed are control characters, zero-width spaces, byte
order marks, word joiners and soft hyphens; every kind of blank becomes a space. Joiners that scripts and emoji need (U+200C, U+200D)
and direction marks stay.
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
# What NFC or the table may change: controls, blanks, invisible characters, marks, letters with a canonical twin, jamo.
_UNUSUAL = (
    r"[\x00-\x08\x0B-\x1F\x7F-\u00A0\u00AD\u0340-\u0374\u037E\u0387\u1680\u2000-\u200B\u202F\u205F\u2060\u2126\u212A\u212B"
    r"\u2329\u232A\u3000\uFEFF\u1100-\u11FF\uF900-\uFAFF\uFB1D-\uFB4F\x{1D15E}-\x{1D1C0}\x{2F800}-\x{2FA1D}\p{M}\u0958-\u095F\u09DC-\u09DF]"
)
_TABLE: dict[int, str | None] = {**_INVISIBLE, **_BLANKS}


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Only columns in which the profile saw characters that may need it."""
    if profile.typed or not (profile.flags["unusual"] or profile.flags["control"] or profile.flags["garbled"]):
        return None
    return Action("normalize_unicode", VERSION, column, evidence="same text in NFC without invisible characters", odd_only=True)


def clean(action: Action) -> pl.Expr:
    """The column in NFC."""
    return on_distinct(action.column, _UNUSUAL, _normalized)


def _normalized(text: str) -> str:
    """The text in NFC; left as it is where accents without a letter of their own remain, which is garbled text and no spelling."""
    composed = unicodedata.normalize("NFC", text.translate(_TABLE))
    return text.translate(_TABLE) if any("\u0300" <= c <= "\u036f" for c in composed) else composed
