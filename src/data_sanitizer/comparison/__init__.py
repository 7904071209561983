"""What changed from one delivery to the next, from their profiles alone: a pure function of what two files profile.json hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from data_sanitizer.comparison import cells, columns, numbers, values
from data_sanitizer.comparison.difference import Difference

_SURE: Final = 30  # numbers that show which sign groups thousands, so that 1.234 is read the same way on both sides


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Everything that differs beyond chance, columns first, then the content of each, in the order of the new delivery.

    `old` and `new` are contents of profile.json. Two random halves of one table do not differ.
    """
    before, now = old.get("columns") or {}, new.get("columns") or {}
    pairs = columns.renamed(before, now, contents)
    found = columns.differences(before, now, pairs)
    for name, entry in now.items():
        was = pairs[name][0] if name in pairs else name
        found += contents(name, before[was], entry) if was in before else []
    return found


def contents(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """What differs between a column of one delivery and the same of another."""
    turned = list(cells.compared(name, old, new))
    yield from turned
    if any(d.kind in ("retyped", "emptied") for d in turned):
        return
    if _measures(old) and _measures(new):
        yield from numbers.compared(name, old, new, bool(old.get("sensitive") or new.get("sensitive")))
    yield from values.compared(name, old, new)


def _measures(entry: Mapping[str, Any]) -> bool:
    """Whether the numbers are quantities that were read for sure: those that never repeat are names of rows."""
    full, shapes = cells.filled(entry), cells.shapes(entry)
    names = entry.get("kind") == "integer" and int(entry.get("distinct") or 0) >= 0.9 * full
    doubtful = shapes.get("ambiguous_point", 0) + shapes.get("ambiguous_comma", 0)
    shown = sum(shapes.get(s, 0) for s in ("decimal_point", "decimal_comma", "grouped_comma", "grouped_point"))
    return bool(entry.get("number")) and not names and (not doubtful or shown >= _SURE)
