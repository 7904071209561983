"""What a cell looks like: a number, a date or text; enough to tell names from values, not to convert anything."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_NUMBER = re.compile(r"\s*[-+(]?[$€£]?\s?(?:\d[\d .,'\u00a0]*|[.,]\d+)(?:[eE][-+]?\d+)?\s?[%)€$]?\s*")
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:[AaPp]\.?[Mm]\.?|Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_DATE = re.compile(rf"\s*\d{{1,4}}([-/.])\d{{1,2}}\1\d{{1,4}}(?:[T ]{_CLOCK})?\s*|\s*{_CLOCK}\s*")
_YEAR = re.compile(r"\s*(1[89]|20)\d\d\s*")
MISSING = frozenset(
    ("", "-", "--", ".", "?", "*", "n/a", "na", "nan", "nil", "none", "null", "tba", "tbc", "#n/a", "\\n", "unknown", "missing")
)


def kind(cell: str) -> str | None:
    """number, date or None for text."""
    if _NUMBER.fullmatch(cell):
        return "number"
    return "date" if _DATE.fullmatch(cell) else None


def is_year(cell: str) -> bool:
    """Whether a cell is a year as columns of a time series are named."""
    return _YEAR.fullmatch(cell) is not None


def column_kind(cells: Sequence[str]) -> str | None:
    """The kind that nine in ten of the filled cells of a column have; None for text and for columns without values."""
    kinds = Counter(kind(c) for c in cells if c.strip().lower() not in MISSING)
    most, count = kinds.most_common(1)[0] if kinds else (None, 0)
    return most if count >= 0.9 * kinds.total() else None
