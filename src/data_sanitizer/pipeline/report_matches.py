"""Draws why rows were matched: what identifies a record, as bars, and single matches, as waterfalls of evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data_sanitizer.ledger import NOT_COMPARED

STEPS = 12  # columns drawn of one match, those that say most
BARS = 12  # columns drawn as identifying


def identifying(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns that tell most, with the length of their bars, of 100, and how many more there are."""
    telling = [c for c in columns if c["bits"] > 0]
    most = max((c["bits"] for c in telling), default=1.0)
    bars = [(c["column"], c["bits"], round(100 * c["bits"] / most, 1)) for c in telling[:BARS]]
    return {"bars": bars, "more": len(telling) - len(bars)}


def waterfall(match: Mapping[str, Any]) -> dict[str, Any]:
    """The match as steps from how likely any two rows are one record to the sum of all evidence, each with the place of its bar, of 100."""
    said = [c for c in match["columns"] if c["level"] != NOT_COMPARED]
    steps = [("prior", "any two rows", "before looking", match["prior_bits"]), *_telling(said)]
    ends = [0.0]
    for *_, bits in steps:
        ends.append(ends[-1] + bits)
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0
    bars = [(kind, name, level, bits, ends[k], ends[k + 1]) for k, (kind, name, level, bits) in enumerate(steps)]
    bars.append(("sum", "sum", "", ends[-1], 0.0, ends[-1]))
    drawn = [_bar(*bar, low, span) for bar in bars]
    return {"match": match, "steps": drawn, "zero": round(100 * -low / span, 2), "silent": len(match["columns"]) - len(said)}


def _telling(columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str, float]]:
    """The columns that say most, from the best for to the worst against; the others as one."""
    most = sorted(range(len(columns)), key=lambda k: -abs(columns[k]["bits"]))[:STEPS]
    steps = [(_kind(columns[k]["bits"]), columns[k]["column"], columns[k]["level"], columns[k]["bits"]) for k in sorted(most)]
    if others := len(columns) - len(steps):
        rest = sum(c["bits"] for c in columns) - sum(step[3] for step in steps)
        steps.append((_kind(rest), f"{others} other column{'' if others == 1 else 's'}", "", rest))
    return steps


def _kind(bits: float) -> str:
    return "against" if bits < 0 else "for"


def _bar(kind: str, name: str, level: str, bits: float, start: float, end: float, low: float, span: float) -> dict[str, Any]:
    left, width = 100 * (min(start, end) - low) / span, 100 * abs(end - start) / span
    words = f"{bits:+.1f}".replace("-", "−") if round(bits, 1) else "0"
    return {"kind": kind, "name": name, "level": level, "bits": words, "x": round(left, 2), "width": round(max(width, 0.4), 2)}
