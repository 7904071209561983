"""Personal data: one detector a file, the verdict on a column, and the search inside longer text.

`PII_PATTERNS` maps the name of every detector to its pattern in RE2 syntax; a value counts when the pattern matches all of it and
the detector's `valid`, where there is one, agrees. The same patterns run in Polars (Rust regex) and in google-re2; both are linear
in the length of the text, whatever the text.
"""

from __future__ import annotations

from data_sanitizer.extensions import names
from data_sanitizer.pii._detector import belongs, matches, partial, pattern
from data_sanitizer.pii._inside import inside, leaks, replace_found, searchable
from data_sanitizer.pii._verdict import NO_VALUE, Verdict, verdict

PII_PATTERNS: dict[str, str]

__all__ = [
    "NO_VALUE",
    "PII_PATTERNS",
    "Verdict",
    "belongs",
    "inside",
    "leaks",
    "matches",
    "partial",
    "replace_found",
    "searchable",
    "verdict",
]


def __getattr__(name: str) -> dict[str, str]:
    if name != "PII_PATTERNS":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return {kind: pattern(kind) for kind in names("pii")}
