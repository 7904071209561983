"""Write the values of a category one way where they differ only in case or blanks: the commonest way.

Where most values of the column follow one style (Like This, LIKE THIS, like this), the spelling in that style goes before the commoner
one: "Georgia" beside "North Dakota", whatever the number of cells with "georgia". Values of one or two characters, where case often
carries meaning (units, chemical symbols), only where the other spelling is a rare exception.
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
    usual = _usual_style(groups)
    mapping: dict[str, str] = {}
    for forms in groups.values():
        winner = next((v for v in forms if _style(v) == usual), forms[0])
        mapping |= {v: winner for v in forms if v != winner and _same(v, winner, profile.values)}
    if not mapping:
        return None
    return Action("category_spelling", VERSION, column, {"mapping": mapping}, "differs only in case or blanks from a commoner value", 0.99)


def _style(value: str) -> str:
    return "upper" if value.isupper() else "lower" if value.islower() else "title" if value[:1].isupper() else "other"


def _usual_style(groups: Mapping[str, list[str]]) -> str | None:
    """The style of at least two thirds of the values that have one spelling; None where there is none."""
    styles = [_style(forms[0]) for forms in groups.values() if len(forms) == 1 and any(c.isalpha() for c in forms[0])]
    usual = max(sorted(set(styles)), key=styles.count, default=None)
    return usual if usual and styles.count(usual) * 3 >= 2 * len(styles) else None


def _same(value: str, winner: str, counts: Mapping[str, int]) -> bool:
    if value.casefold().split() != winner.casefold().split() and (counts[winner] < 5 * counts[value] or any(c.isdigit() for c in value)):
        return False  # "eng por" and "engpor" may be two things, "1 2" and "12" surely are
    return len(winner) > 2 or counts[winner] >= _SHORT_RATIO * counts[value]


def clean(action: Action) -> pl.Expr:
    """The column with one spelling for each value."""
    mapping = action.parameters["mapping"]
    return pl.col(action.column).replace(list(mapping), list(mapping.values()))
