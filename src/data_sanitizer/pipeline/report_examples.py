"""Shows one change so that it can be judged at a glance: what differs is marked, what is personal is hidden."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from rapidfuzz.distance import Indel, Levenshtein

WIDTH = 80  # characters shown of a cell
LEAD = 24  # characters shown before the first difference of a long cell
ALIKE = 0.5  # texts that share less than half are marked whole: scattered common letters mean nothing
HIDDEN = "•••"

_WORD = re.compile(r"[^\s!-/:-@\[-`{-~]+|.", re.DOTALL)  # a run of anything but blanks and ASCII punctuation
_SECRET = re.compile(r"[^\s!-/:-@\[-`{-~]")

Mark = list[int]


def example(entry: dict[str, Any], sensitive: bool) -> dict[str, Any]:
    """One ledger entry as the report shows it; marks are [start, end) positions in `before` and `after`.

    A word that means "missing" is nobody's data, and the evidence for a whole column speaks of no single cell: both are shown.
    """
    quoting = sensitive and entry["row"] is not None
    sensitive = sensitive and entry["rule"] != "null_tokens"
    digest = "mask_personal_data" in entry["rule"]
    before, after = (HIDDEN if digest else entry["old"]), entry["new"]
    left: list[Mark] = []
    right: list[Mark] = []
    if entry["action"] == "flag":
        before, after = _shortened(before, sensitive), None
    elif entry["action"] == "set":
        before, after, left, right = _both(before, after, sensitive)
    return {
        "source": entry["source"],
        "row": entry["row"],
        "rule": entry["rule"],
        "action": entry["action"],
        "before": before,
        "after": after,
        "before_marks": left,
        "after_marks": right,
        "confidence": None if entry["confidence"] is None else round(entry["confidence"], 4),
        "evidence": None if quoting or not entry["evidence"] else cut(entry["evidence"], 200),
        "masked": sensitive,
    }


def mask(text: str) -> str:
    """The text with every run of letters and digits replaced by three dots: its form stays, its content and length do not."""
    return "".join(_shown(unit, hide=True) for unit in _WORD.findall(text))


def cut(text: str, width: int = WIDTH) -> str:
    """At most `width` characters, the last one … where something is missing."""
    return text if len(text) <= width else text[: width - 1] + "…"


def _shortened(text: str | None, sensitive: bool) -> str | None:
    return None if text is None else cut(mask(text) if sensitive else text)


def _both(old: str | None, new: str | None, sensitive: bool) -> tuple[str | None, str | None, list[Mark], list[Mark]]:
    if old is None or new is None:
        left, right = _shortened(old, sensitive), _shortened(new, sensitive)
        return left, right, _whole(left), _whole(right)
    old, new = _window(old, new)
    units: tuple[list[str], list[str]] = (_WORD.findall(old), _WORD.findall(new)) if sensitive else (list(old), list(new))
    spans = [(o.src_start, o.src_end, o.dest_start, o.dest_end) for o in Levenshtein.opcodes(*units) if o.tag != "equal"]
    if Indel.normalized_similarity(*units) < ALIKE:
        spans = [(0, len(units[0]), 0, len(units[1]))]
    left, left_marks = _join(units[0], [(span[0], span[1]) for span in spans], sensitive)
    right, right_marks = _join(units[1], [(span[2], span[3]) for span in spans], sensitive)
    return left, right, left_marks, right_marks


def _window(old: str, new: str) -> tuple[str, str]:
    """Both texts around their first difference, twice as long as shown, so that the cut itself is not taken for a change."""
    if max(len(old), len(new)) <= WIDTH:
        return old, new
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, same - LEAD)
    lead = "…" if start else ""
    return lead + old[start : start + 2 * WIDTH], lead + new[start : start + 2 * WIDTH]


def _join(units: list[str], changed: list[tuple[int, int]], hide: bool) -> tuple[str, list[Mark]]:
    """The shown text of the units, and where in it the changed ones lie."""
    shown = [_shown(unit, hide) for unit in units]
    ends = [0]
    for unit in shown:
        ends.append(ends[-1] + len(unit))
    text = cut("".join(shown))
    marks: list[Mark] = []
    for start, end in ((ends[a], min(ends[b], len(text))) for a, b in changed if b > a):
        if marks and start <= marks[-1][1]:
            marks[-1][1] = end
        elif start < end:
            marks.append([start, end])
    return text, marks


def _shown(unit: str, hide: bool) -> str:
    """The unit itself, or dots; a sign without a form of its own (a joiner, a mark of direction) tells nothing and stays."""
    if not hide or not _SECRET.match(unit):
        return unit
    formless = [sign for sign in unit if unicodedata.category(sign) == "Cf"]
    return HIDDEN + "".join(formless) if len(formless) < len(unit) else unit


def _whole(text: str | None) -> list[Mark]:
    return [[0, len(text)]] if text else []
