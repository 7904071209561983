"""One thing that is otherwise than before, with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

BREAKS: Final = frozenset({"missing_column", "renamed_column", "retyped", "emptied", "units", "dates"})
KINDS: Final = {
    "new_column": "column is new",
    "missing_column": "column is missing",
    "renamed_column": "column has another name",
    "retyped": "holds another kind of values",
    "emptied": "is empty now",
    "missing": "share of missing cells changed",
    "format": "values are written in another way",
    "dates": "dates are written in another way",
    "units": "unit of the numbers changed",
    "distribution": "distribution of the numbers shifted",
    "new_values": "category has new values",
    "gone_values": "category lost values",
    "spellings": "known values are spelled in a new way",
    "frequencies": "frequencies of the categories shifted",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed in a column, and how that shows. `was` is its name before, where that is another one."""

    kind: str  # of KINDS
    column: str
    evidence: str  # in words; of a column of personal data without any value
    was: str | None = None

    @property
    def breaks(self) -> bool:
        """Whether it breaks what was built upon the column, so that it stops a delivery where no contract says otherwise."""
        return self.kind in BREAKS

    def described(self) -> dict[str, Any]:
        """As plain values."""
        return {"kind": self.kind, "column": self.column, "was": self.was, "what": KINDS[self.kind], "evidence": self.evidence}


def percent(share: float) -> str:
    """A share as it is read.

    >>> percent(0.1234), percent(1.0), percent(0.00123), percent(0.9999)
    ('12 %', '100 %', '0.12 %', '99.99 %')
    """
    places = 0 if share in (0, 1) or 0.0995 <= share <= 0.9905 else 2
    return f"{100 * share:.{places}f} %"


def figure(value: float) -> str:
    """A number with four significant digits.

    >>> figure(1234.5678), figure(0.45359), figure(-3.0)
    ('1235', '0.4536', '-3')
    """
    return f"{value:.4g}" if abs(value) < 1e4 or abs(value) >= 1e12 else f"{value:.0f}"
