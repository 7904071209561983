"""Flags columns that hold personal data: e-mail, phone, social security, card and bank numbers, IP and web addresses.

Nothing is changed. The whole column is flagged once, with the share of its cells that are of the kind; a text column also where
personal data stands only inside some of its cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_sanitizer.model import Action
from data_sanitizer.pii import Verdict, inside, verdict

VERSION = 1
OPTIONS: Mapping[str, Any] = {}

# A column of these kinds has no room for personal data: nearly every value is read as something else already.
_READ_OTHERWISE = frozenset({"empty", "boolean", "date", "timestamp"})
_PROSE = frozenset({"text", "category"})


def find(profile: Any) -> Verdict | None:
    """The kind of personal data in a column, the share of the sampled cells, and the evidence in words; None where there is none."""
    return whole(profile) or within(profile)


def whole(profile: Any) -> Verdict | None:
    """The kind that the cells of a column are, from first to last character; None where they are something else."""
    if profile.kind in _READ_OTHERWISE:
        return None
    return verdict(profile.name, profile.sample["value"], profile.sample["count"])


def within(profile: Any) -> Verdict | None:
    """The kind that stands inside some cells of a text column; None where there is none."""
    if profile.kind not in _PROSE:
        return None
    return inside(profile.name, profile.sample["value"], profile.sample["count"])


def plan(column: str, profile: Any, options: Mapping[str, Any]) -> Action | None:
    """A flag on the column, from what pass 1 found of personal data in it; None where there is none."""
    told = find(profile) if profile.personal is None else profile.personal
    if not told:
        return None
    # What stands inside other text is known by its form alone, however few cells have it.
    confidence = told.share if told.share > 0.5 else 0.9
    facts = {"kind": told.kind, "share": told.share}
    return Action("flag_personal_data", VERSION, column, facts, told.evidence, confidence, mode="note")
