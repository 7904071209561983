"""Tells in plain words what happened to a row or to one of its cells, and why, from the tables of a finished run."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from data_sanitizer import extensions, ledger, pii, run_folder
from data_sanitizer.errors import NotInRun, UsageError
from data_sanitizer.replay import Run, Source, open_run
from data_sanitizer.stores import Location

_WIDTH = 120  # characters shown of a cell
_HIDDEN = "***"
_EMPTY = "(no value)"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The ledger entries about a row or cell, in the columns of the ledger, and the same in words."""

    entries: pl.DataFrame
    text: str


def explain(run: Path | Location, row: int, column: str | None = None, source: str | None = None, *, show: bool = False) -> Explanation:
    """What happened to a row, or to one cell of it; personal data is hidden in the text unless `show`.

    With several inputs `source` names one of them (UsageError without it). Raises NotInRun where there is no such row or column.
    """
    with run_folder.at_hand(run, without="cleaned.") as folder:
        opened = open_run(folder)
        where = _source(opened, source)
        _check(opened, where, row, column)
        entries = _entries(opened, where, row, column)
        telling = _Telling(opened, where, row, _kinds(folder), show, str(run))
        return Explanation(entries, "\n".join(telling.lines(entries, column)))


def _source(run: Run, name: str | None) -> Source:
    names = ", ".join(s.name for s in run.sources)
    if name is None and len(run.sources) > 1:
        raise UsageError(why=f"The run has several sources. Name the one the row is of: {names}.")
    found = run.sources[0] if name is None else run.source_named(name)
    if found is None:
        raise NotInRun(what=f"Source {name}", run=run.folder, cure=f"Its sources are: {names}.")
    return found


def _check(run: Run, source: Source, row: int, column: str | None) -> None:
    if not 0 <= row < source.rows:
        cure = f"Its rows are 0 to {source.rows - 1}." if source.rows else "It has no rows."
        raise NotInRun(what=f"Row {row} of {source.name}", run=run.folder, cure=cure)
    if column is not None and column not in run.schema:
        raise NotInRun(what=f"Column {column!r}", run=run.folder, cure=f"Its columns are: {', '.join(run.schema)}.")


def _entries(run: Run, source: Source, row: int, column: str | None) -> pl.DataFrame:
    """The entries of the row; of a cell also those about its row as a whole and about its column as a whole."""
    this = pl.col("row") == row
    if column is not None:
        whole = pl.col("row").is_null() & (pl.col("column") == column)
        this = (this & (pl.col("column").is_null() | (pl.col("column") == column))) | whole
    return run.table("ledger").filter(pl.col("source") == source.name, this).collect()


def _kinds(run: Path) -> dict[str, str]:
    """Column -> its kind of personal data, from profile.json."""
    columns = json.loads((run / "profile.json").read_text("utf-8"))["columns"]
    return {name: told["sensitive"] for name, told in columns.items() if told.get("sensitive")}


@dataclass(frozen=True, slots=True)
class _Telling:
    """The words for one row."""

    run: Run
    source: Source
    row: int
    kinds: Mapping[str, str]
    show: bool
    shown: str  # the run as the user names it

    def lines(self, entries: pl.DataFrame, column: str | None) -> Iterator[str]:
        """One line for each entry, or one that says that there is none."""
        if entries.is_empty():
            yield f"row {self.row}{self._cell(column)}{self._of()}: unchanged"
        for entry in entries.iter_rows(named=True):
            yield self._line(entry)
        if survives := self._survives():
            yield f"row {self.row}{self._of()}: {survives}"
        yield from self._matched(column)
        if column is None and self.run.converted:
            yield f"columns whose type changed for all rows: {', '.join(self.run.converted)}"

    def _line(self, entry: Mapping[str, Any]) -> str:
        where = f"column {entry['column']}" if entry["row"] is None else f"row {self.row}{self._cell(entry['column'])}"
        tell = {ledger.SET: self._set, ledger.CONVERT: self._convert, ledger.REMOVE: self._remove, ledger.QUARANTINE: self._quarantine}
        return f"{where}{self._of()}: {tell.get(entry['action'], self._flag)(entry)}"

    def _set(self, entry: Mapping[str, Any]) -> str:
        masked = ledger.MASKING in entry["rule"].split("+")
        old = _HIDDEN if masked else self._value(entry, "old")
        undo = "what was masked is kept nowhere" if masked else self._undo(entry)
        return f"{old} → {self._value(entry, 'new')} by {entry['rule']}{_sure(entry)}{self._why(entry)}; {undo}"

    def _convert(self, entry: Mapping[str, Any]) -> str:
        how = f"read as {entry['new']}, written in the source as {entry['old']}"
        return f"{how}, by {entry['rule']}{self._why(entry)}; {self._undo(entry)}"

    def _remove(self, entry: Mapping[str, Any]) -> str:
        found = self._cluster()
        survivor = f"row {found['survivor_row']} of {found['survivor_source']}, which is kept" if found else "another row"
        undo = self._undo(entry, cluster=found["cluster"]) if found else self._undo(entry)
        return f"removed by {entry['rule']}{_sure(entry)} as a duplicate of {survivor}; it stands whole in removed.parquet; {undo}"

    def _quarantine(self, entry: Mapping[str, Any]) -> str:
        return f"set aside{self._why(entry)}; it stands whole in quarantine.parquet"

    def _flag(self, entry: Mapping[str, Any]) -> str:
        value = f" {self._value(entry, 'old')}" if entry["row"] is not None and entry["column"] is not None else ""
        return f"flagged{value} by {entry['rule']}{_sure(entry)}{self._why(entry)}; nothing was changed"

    def _cluster(self) -> dict[str, Any] | None:
        table = self.run.table("duplicates").filter(pl.col("source") == self.source.name, pl.col("row") == self.row).collect()
        return table.row(0, named=True) if table.height else None

    def _survives(self) -> str | None:
        """For a row that others were merged into."""
        found = self._cluster()
        if found is None or found["decision"] == "removed":
            return None
        gone = self.run.table("duplicates").filter(pl.col("cluster") == found["cluster"], pl.col("decision") == "removed")
        count = int(gone.select(pl.len()).collect().item())
        others = f"{count} removed {'row' if count == 1 else 'rows'}" if count else "rows that are kept too"
        kept = f"kept in cluster {found['cluster']} with {others}"
        if found["decision"] != "review":
            return kept
        sure = _percent(found["confidence"])
        return f"perhaps the same entity as {self._other(found['survivor_source'], found['survivor_row'])} ({sure}), which is asked: {kept}"

    def _matched(self, column: str | None) -> Iterator[str]:
        """For a near-duplicate that is removed or in review: the row it matches best, and what each column says, the weightiest first."""
        found = self._cluster()
        if found is None or found["kind"] != "near" or found["decision"] == "kept":
            return
        if (match := self._best_match(found)) is None:
            return
        pair = f"row {self.row} and {self._other(match['source'], match['row'])}"
        said = json.loads(match["evidence"])
        silent = [name for name, one in said.items() if one["level"] == ledger.NOT_COMPARED]
        telling = sorted((name for name in said if name not in silent), key=lambda name: -abs(said[name]["bits"]))
        yield f"{pair}: one entity with {_percent(match['confidence'])}; each column speaks for it (+) or against it (-)"
        for name in telling if column is None else [c for c in telling if c == column]:
            yield f"{pair}, column {name}: {said[name]['level']}, {_signed(said[name]['bits'])} bits"
        if not_compared := [c for c in silent if column in (None, c)]:
            yield f"{pair}: not compared, since a cell is empty or the column says nothing about identity: {', '.join(not_compared)}"

    def _best_match(self, found: Mapping[str, Any]) -> dict[str, Any] | None:
        """The match with the row that is kept for this one; where those two were not compared, the surest with a row of its cluster."""
        table, sides = self.run.table("matches").filter(pl.col("evidence") != ledger.SAME_ROWS), []
        for own, other in (("a", "b"), ("b", "a")):
            mine = table.filter(pl.col(f"source_{own}") == self.source.name, pl.col(f"row_{own}") == self.row)
            sides.append(mine.select("confidence", "evidence", source=f"source_{other}", row=f"row_{other}"))
        members = self.run.table("duplicates").filter(pl.col("cluster") == found["cluster"]).select("source", "row")
        kept = (pl.col("source") == found["survivor_source"]) & (pl.col("row") == found["survivor_row"])
        matches = pl.concat(sides).join(members, on=["source", "row"], how="semi").with_columns(kept=kept)
        best = matches.sort("kept", "confidence", "source", "row", descending=[True, True, False, False]).head(1).collect()
        return best.row(0, named=True) if best.height else None

    def _other(self, source: str, row: int) -> str:
        return f"row {row}" + (f" of {source}" if len(self.run.sources) > 1 else "")

    def _value(self, entry: Mapping[str, Any], field: str) -> str:
        """A cell as it can be read on one line; personal data by its form only."""
        text = entry[field]
        if text is None:
            return _EMPTY
        if self._personal(entry):
            kind = self.kinds.get(entry["column"], "")
            return pii.partial(kind, text) if kind in extensions.names("pii") else _HIDDEN
        plain = text if text.isprintable() and text == text.strip() and "  " not in text and text else repr(text)
        return plain if len(plain) <= _WIDTH else plain[: _WIDTH - 1] + "…"

    def _personal(self, entry: Mapping[str, Any]) -> bool:
        return (entry["sensitive"] or entry["column"] in self.kinds) and not self.show

    def _why(self, entry: Mapping[str, Any]) -> str:
        """The evidence; about a cell with personal data it may quote it."""
        hidden = entry["row"] is not None and entry["column"] is not None and self._personal(entry)
        return f": {entry['evidence']}" if entry["evidence"] and not hidden else ""

    def _undo(self, entry: Mapping[str, Any], **more: str) -> str:
        chosen = {"row": entry["row"], "column": entry["column"], **more}
        if more:  # a cluster says more than the row
            chosen.pop("row")
        if entry["action"] == ledger.CONVERT:
            chosen["rule"] = entry["rule"]
        if len(self.run.sources) > 1 and entry["row"] is not None and not more:
            chosen["source"] = self.source.name
        options = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in chosen.items() if value is not None)
        return f"undo with `data-sanitizer undo {shlex.quote(self.shown)} {options} -o NEW_RUN`"

    def _cell(self, column: str | None) -> str:
        return f", column {column}" if column is not None else ""

    def _of(self) -> str:
        return f" of {self.source.name}" if len(self.run.sources) > 1 else ""


def _sure(entry: Mapping[str, Any]) -> str:
    confidence = entry["confidence"]
    return "" if confidence is None or confidence >= 1 else f" ({_percent(confidence)})"


def _signed(bits: float) -> str:
    """With its sign, unless it is nothing."""
    return f"{bits:+.1f}" if round(bits, 1) else "0"


def _percent(confidence: float) -> str:
    """A confidence in percent, rounded down: only certainty is 100 %."""
    return f"{math.floor(round(confidence * 1e4, 2)) / 100:g} %"
