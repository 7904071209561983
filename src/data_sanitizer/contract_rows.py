"""Puts rows aside that break the contract of a dataset: a cell of another kind than before, or a value that a category did not have.

What may stand in a column is plain values, so that manifest.json can keep them and `verify` can put the same rows aside again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer.comparison import values
from data_sanitizer.comparison.contract import Contract
from data_sanitizer.model import Block, Decision, RowIssue
from data_sanitizer.ports import Reading
from data_sanitizer.profile._cells import Cells, scan_all
from data_sanitizer.profile._scan import MISSING, SHAPES
from data_sanitizer.profile.column_profile import DATE_SHAPES, NUMBER_SHAPES
from data_sanitizer.profile.frequent import squeezed

Rules = Mapping[str, Mapping[str, Any]]  # column -> {"kind": …, "shapes": names of shapes or None, "values": in lower case or None}
_SHAPES: Final = {"integer": NUMBER_SHAPES, "decimal": NUMBER_SHAPES, "date": DATE_SHAPES, "timestamp": (SHAPES.index("timestamp"),)}


def rules(before: Mapping[str, Any], contract: Contract) -> dict[str, dict[str, Any]]:
    """What may stand in the columns under the policy quarantine, by the profile of the delivery before.

    A column of numbers, dates or timestamps holds such; a category or boolean one of its values, whatever their case. Of other columns,
    and of categories whose values were not all kept, because they are many or personal, nothing can be told row by row.
    """
    found = {}
    for name in contract.held(columns := before.get("columns") or {}):
        kind, known = columns[name].get("kind"), values.known(columns[name])
        if kind in _SHAPES:
            found[name] = {"kind": kind, "shapes": [SHAPES[s] for s in _SHAPES[kind]], "values": None}
        elif kind in ("category", "boolean") and known:
            found[name] = {"kind": kind, "shapes": None, "values": sorted({v.lower() for v in known})}
    return found


def holding(reading: Reading, allowed: Rules) -> Reading:
    """The same source, of which rows with a cell that is not allowed are quarantined; missing cells are."""
    chosen = {name: rule for name, rule in allowed.items() if name in reading.schema}
    return _Holding(reading, chosen) if chosen else reading


class _Holding:
    """A reading under rules, as `ports.Reading`."""

    def __init__(self, reading: Reading, allowed: Rules) -> None:
        told = Decision("contract", f"rows put aside by {', '.join(allowed)}", "the policy quarantine, and the delivery before")
        self.name, self.format, self.schema, self.decisions = reading.name, reading.format, reading.schema, (*reading.decisions, told)
        self._reading, self._allowed = reading, allowed

    def blocks(self) -> Iterator[Block]:
        return (_held(block, self._allowed) for block in self._reading.blocks())


def _held(block: Block, allowed: Rules) -> Block:
    names = [name for name in allowed if name in block.frame.columns]
    if not names or not block.frame.height:
        return block
    broken = {c.text.name: _broken(c, allowed[c.text.name]) for c in scan_all(block.frame.select(names))}
    out = np.logical_or.reduce(list(broken.values()))
    if not out.any():
        return block
    issues = [*block.quarantined, *_issues(block, out, broken, allowed)]
    rows = block.rows[~out]
    still = tuple(flag for flag in block.flagged if flag.row in set(rows.tolist()))
    frame = block.frame.filter(pl.Series(~out))
    return replace(block, rows=rows, frame=frame, quarantined=tuple(sorted(issues, key=lambda i: i.row)), flagged=still, file=None)


def _broken(cells: Cells, rule: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which cells are neither missing nor allowed."""
    present = (cells.shapes != MISSING) & (cells.tokens == 0)
    if rule["shapes"] is not None:
        fits = np.isin(cells.shapes, [SHAPES.index(name) for name in rule["shapes"]])
    else:
        fits = squeezed(cells.text).str.to_lowercase().is_in(list(rule["values"])).fill_null(value=True).to_numpy()
    wrong: NDArray[np.bool_] = present & ~fits
    return wrong


def _issues(block: Block, out: NDArray[np.bool_], broken: Mapping[str, NDArray[np.bool_]], allowed: Rules) -> Iterable[RowIssue]:
    """The rows put aside, each with all its reasons and its cells as JSON."""
    frame = block.frame.filter(pl.Series(out))
    texts = frame.select(pl.struct(pl.all().cast(pl.String)).struct.json_encode()).to_series().to_list()
    reasons = ["; ".join(_reason(name, allowed[name]) for name, wrong in broken.items() if wrong[place]) for place in np.flatnonzero(out)]
    for row, reason, text in zip(block.rows[out].tolist(), reasons, texts, strict=True):
        yield RowIssue(int(row), reason, text)


def _reason(name: str, rule: Mapping[str, Any]) -> str:
    what = "its value is not among those of the deliveries before" if rule["values"] is not None else f"it is no {rule['kind']}, as before"
    return f"contract: column {name!r}: {what}"
