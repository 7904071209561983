"""The quality score: four shares, before and after, from counts that anyone can repeat."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data_sanitizer.pipeline.report_counts import Group
from data_sanitizer.pipeline.report_rules import parts, rule

FORMULA = "score = 100 × (completeness + validity + consistency + uniqueness) ÷ 4"
_CELL_PARTS = ("validity", "consistency")


@dataclass(slots=True)
class ColumnCounts:
    """What the profile and the ledger say about one column, in cells."""

    rows: int
    missing: int
    changed: int = 0
    flagged: int = 0
    filled: int = 0
    emptied: int = 0
    fill_doubt: float = 0.0  # filled cells that are expected to be wrong, by their confidence
    sensitive: bool = False
    wide_flags: int = 0
    set_by_part: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    flags_by_part: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def missing_after(self) -> int:
        """Cells without a value once the changes are made."""
        return min(self.rows, max(0, self.missing - self.filled + self.emptied))

    def problems(self, part: str) -> tuple[int, int]:
        """Cells with a problem of this part before and after: repaired ones count before, flagged ones count in both."""
        after = min(self.rows, self.flags_by_part[part])
        return min(self.rows, self.set_by_part[part] + after), after

    def quality(self) -> dict[str, dict[str, int]]:
        """The cells of the column as valid + missing + problem, before and after."""
        pairs = [self.problems(part) for part in _CELL_PARTS]
        found = (
            self._split(self.missing, sum(p[0] for p in pairs)),
            self._split(self.missing_after, sum(p[1] for p in pairs)),
        )
        return {"before": found[0], "after": found[1]}

    def _split(self, missing: int, problems: int) -> dict[str, int]:
        problem = min(problems, self.rows - missing)
        return {"valid": self.rows - missing - problem, "missing": missing, "problem": problem}


def count_columns(columns: Iterable[str], profile: Mapping[str, Any], rows: int, groups: Iterable[Group]) -> dict[str, ColumnCounts]:
    """The counts of every column of the table, in its order."""
    counts = {name: ColumnCounts(rows, min(rows, (profile.get(name) or {}).get("missing") or 0)) for name in columns}
    for group in groups:
        if group.column in counts:
            _add(counts[group.column], group)
    return counts


def _add(counts: ColumnCounts, group: Group) -> None:
    counts.sensitive |= group.sensitive
    if group.action == "set":
        counts.changed += group.entries
        counts.filled += group.filled
        counts.emptied += group.emptied
        counts.fill_doubt += group.fill_doubt
        for part in parts(group.rules):
            counts.set_by_part[part] += group.entries
    elif group.action == "flag":
        counts.flagged += group.cells
        doubt = set(parts(group.rules)) & set(_CELL_PARTS)  # personal data and gaps that stay are no doubt about the values
        counts.wide_flags += group.wide if doubt else 0
        for part in parts(group.rules):
            doubtful = counts.rows - counts.missing if group.wide else 0  # a doubt about a column is one about all its values
            counts.flags_by_part[part] += group.cells + doubtful


def score(counts: Mapping[str, ColumnCounts], groups: Sequence[Group], rows: Mapping[str, int], remaining: int) -> dict[str, Any]:
    """The score before and after with its parts and the counts behind them; `remaining` are duplicate rows still in the table."""
    read = rows["in"] - rows["quarantined"]
    used: dict[str, Any] = {
        "rows_read": read,
        "columns": len(counts),
        "cells": read * len(counts),
        "quarantined_cells": rows["quarantined"] * len(counts),
        "missing": [sum(c.missing for c in counts.values()), sum(c.missing_after for c in counts.values())],
        "fill_doubt": round(sum(c.fill_doubt for c in counts.values()), 2),
        "row_flags": {part: _row_flags(groups, part) for part in _CELL_PARTS},
        "duplicate_rows": [rows["merged"] + remaining, remaining],
    }
    for part in _CELL_PARTS:
        pairs = [c.problems(part) for c in counts.values()]
        used[part] = [sum(p[i] for p in pairs) + used["row_flags"][part] for i in (0, 1)]
    used["validity"] = [problems + used["quarantined_cells"] for problems in used["validity"]]
    return {"formula": FORMULA, "before": _side(used, rows, 0), "after": _side(used, rows, 1), "counts": used}


def _row_flags(groups: Iterable[Group], part: str) -> int:
    flags = (g for g in groups if g.action == "flag" and g.column is None)
    return sum(g.cells for g in flags if part in {rule(name).part for name in g.rules})


def _side(used: Mapping[str, Any], rows: Mapping[str, int], side: int) -> dict[str, float | None]:
    found = {
        "completeness": _share(used["missing"][side] + side * used["fill_doubt"], used["cells"]),
        "validity": _share(used["validity"][side], used["cells"] + used["quarantined_cells"]),
        "consistency": _share(used["consistency"][side], used["cells"]),
        "uniqueness": _share(used["duplicate_rows"][side], (used["rows_read"], rows["kept"])[side]),
    }
    known = [share for share in found.values() if share is not None]
    total = math.floor(1000 * sum(known) / len(known) + 1e-9) / 10 if len(known) == len(found) else None
    return {"score": total, **{name: None if share is None else round(share, 6) for name, share in found.items()}}


def _share(problems: float, of: int) -> float | None:
    return None if of <= 0 else max(0.0, 1 - problems / of)
