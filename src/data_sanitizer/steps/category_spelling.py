"""Write the values of a category one way where they differ only in case or blanks: the commonest way.

Values of one or two characters, where case often carries meaning (units, chemical symbols), only where the other spelling is a rare exception.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl

from data_sanitizer.model import Action
from data_sanitizer.profile.column_profile import ColumnProfile

VERSION = 1
OPTIONS: Mapping[str, Any] = {}

_SHORT_RATIO = 20


def plan(column: str, profile: ColumnProfile, options: Mapping[str, Any]) -> Action | None:
    """Group the values by their letters in one case and keep the commonest member of each group."""
    if profile.typed or profile.kind not in ("category", "boolean") or profile.values is None:
        return None
    groups: dict[str, list[str]] = defaultdict(list)
    for value in profile.values:  # most frequent first, ties by value
        groups["".join(value.casefold().split())].append(value)
    mapping = {v: forms[0] for forms in groups.values() for v in forms[1:] if _same(v, forms[0], profile.values)}
    if not mapping:
        return None
    return Action("category_spelling", VERSION, column, {"mapping": mapping}, "differs only in case or blanks from a commoner value", 0.99)


def _same(value: str, winner: str, counts: Mapping[str, int]) -> bool:
    if value.casefold() != winner.casefold() and "".join(value.split()).isalnum() and any(c.isdigit() for c in value):
        return False  # "1 2" and "12" are different numbers
    return len(winner) > 2 or counts[winner] >= _SHORT_RATIO * counts[value]


def clean(action: Action) -> pl.Expr:
    """The column with one spelling for each value."""
    mapping = action.parameters["mapping"]
    return pl.col(action.column).replace(list(mapping), list(mapping.values()))
