"""What a detector file offers, with defaults for what it leaves out, and the test of whole values against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from data_sanitizer.extensions import load


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of personal data as its file in pii/ describes it; only PATTERN and EXAMPLES have no default."""

    name: str
    noun: str  # plural, for evidence: "e-mail addresses"
    pattern: str  # every form that counts where the name of the column says so
    sure: str  # the forms that speak for themselves under any name; the pattern itself by default
    inside: str  # the forms that are searched for within longer text; the sure ones by default
    context: tuple[str, ...]  # words in a column name that raise belief
    against: tuple[str, ...]  # words in a column name that rule the kind out
    share: float  # of the cells that must be sure where the name says nothing
    distinct: int  # different values that must be sure where the name says nothing
    valid: Callable[[str], bool] | None
    partial: Callable[[str], str]


@cache
def detector(name: str) -> Detector:
    """The detector of that name; raises KeyError with the known names where there is none."""
    file = load("pii", name)
    sure = getattr(file, "SURE", file.PATTERN)
    return Detector(
        name=name,
        noun=getattr(file, "NOUN", name.replace("_", " ")),
        pattern=file.PATTERN,
        sure=sure,
        inside=getattr(file, "INSIDE", sure),
        context=getattr(file, "CONTEXT", ()),
        against=getattr(file, "AGAINST", ()),
        share=getattr(file, "SHARE", 0.8),
        distinct=getattr(file, "DISTINCT", 1),
        valid=getattr(file, "valid", None),
        partial=getattr(file, "partial", _last_four),
    )


def _last_four(text: str) -> str:
    return f"***{text[-4:]}" if len(text) >= 12 else "***"


def pattern(name: str) -> str:
    """The pattern of a detector: every form that counts, in RE2 syntax, to be anchored by the caller."""
    return detector(name).pattern


def partial(name: str, text: str) -> str:
    """What partial masking shows of a value: enough to recognise it, never enough to use it; `***` for what is not of this kind."""
    trimmed = text.strip()
    return detector(name).partial(trimmed) if belongs(name, trimmed) else "***"


def belongs(name: str, text: str) -> bool:
    """Whether one value is of this kind: as `matches`, but outside of Polars."""
    kind = detector(name)
    return _engine(name).fullmatch(text) is not None and (kind.valid is None or kind.valid(text))


@cache
def _engine(name: str) -> Any:
    import re2

    return re2.compile(pattern(name))


def matches(name: str, values: pl.Series, *, sure: bool = False) -> pl.Series:
    """Which values are of this kind, as a Boolean series of the same length; a missing value is not.

    The pattern runs on all values at once, the checksum on the distinct values that pass it. With `sure`, only forms that need no
    hint from the name of the column count.
    """
    kind = detector(name)
    trimmed = values.cast(pl.String).str.strip_chars()
    shaped = trimmed.str.contains(rf"\A(?:{kind.sure if sure else kind.pattern})\z").fill_null(value=False)
    if kind.valid is None:
        return shaped
    good = [text for text in trimmed.filter(shaped).unique().to_list() if kind.valid(text)]
    return shaped & trimmed.is_in(pl.Series(good, dtype=pl.String).implode()).fill_null(value=False)
