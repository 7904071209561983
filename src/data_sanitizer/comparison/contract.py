"""The contract of a dataset: which differences from the delivery before stop publication, and which rows are put aside for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from data_sanitizer.comparison.difference import Difference

POLICIES: Final = ("evolve", "freeze", "quarantine")


@dataclass(frozen=True, slots=True)
class Contract:
    """A policy for each column: evolve, every difference is told only; freeze, every difference stops the delivery; quarantine, rows whose
    cell is of another kind than before, or a value that a category did not have, are put aside, and what cannot be told row by row stops.

    Without a policy what breaks those who use the column stops (Difference.breaks); the rest is told.
    """

    default: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def policy(self, difference: Difference) -> str | None:
        """The policy that holds for a difference; that of a renamed column may stand under either name."""
        return self.columns.get(difference.column) or self.columns.get(difference.was or "") or self.default

    def stops(self, difference: Difference) -> bool:
        """Whether a delivery with this difference is not published."""
        policy = self.policy(difference)
        return difference.breaks if policy is None else policy != "evolve"

    def held(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of the columns of which rows are put aside."""
        return tuple(c for c in columns if self.columns.get(c, self.default) == "quarantine")

    def described(self) -> dict[str, Any]:
        """As a recipe has it."""
        return {"default": self.default, "columns": dict(self.columns)}


def judged(old: Mapping[str, Any], new: Mapping[str, Any], found: Sequence[Difference], contract: Contract) -> dict[str, Any]:
    """The comparison as plain values, as report.json holds it and `compare --json` prints it."""
    told = [{**d.described(), "policy": contract.policy(d), "stops": contract.stops(d)} for d in found]
    sides = {side: {"rows": p.get("rows"), "columns": len(p.get("columns") or {})} for side, p in (("old", old), ("new", new))}
    return {"schema": "data-sanitizer.comparison/1", **sides, "differences": told, "stopping": sum(d["stops"] for d in told)}


def summary(comparison: Mapping[str, Any]) -> str:
    """The comparison in lines for a terminal."""
    found = comparison["differences"]
    rows = f"{comparison['old']['rows']} rows before, {comparison['new']['rows']} now."
    entities = comparison.get("entities", {})
    counted = [f"Entities: {', '.join(f'{count} {kind}' for kind, count in entities.items())}."] if entities else []
    if not found:
        return "\n".join([f"{rows} No difference beyond chance.", *counted])
    lines = [f"  {'stops ' if d['stops'] else 'told  '} {line(d)}" for d in found]
    return "\n".join([f"{rows} {len(found)} differences, of which {comparison['stopping']} stop a delivery:", *lines, *counted])


def line(difference: Mapping[str, Any]) -> str:
    """One difference in a line."""
    was = f" (before '{difference['was']}')" if difference["was"] else ""
    return f"'{difference['column']}'{was} {difference['what']}: {difference['evidence']}"
