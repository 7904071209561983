"""Reads a table as well as we can and writes it plainly, without changing a cell.

Parquet and Arrow get types where every cell of a column can be written back from its type exactly as it stood; all other columns, and all
columns of text formats, stay text.
CSV from CSV keeps the header as its author wrote it, empty and equal names too, and has none where there was none; all other formats need
names that are unique.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import polars as pl

from data_sanitizer import extensions, formats, inputs, ledger, run_folder
from data_sanitizer.errors import OutputExists, UsageError
from data_sanitizer.model import Action, Block, ReadOptions, RowIssue
from data_sanitizer.pipeline import pass1
from data_sanitizer.pipeline.output import drained
from data_sanitizer.ports import Reading
from data_sanitizer.recipe import DuplicateRules, Recipe, converts, make_plan
from data_sanitizer.sandbox.reading import Sandbox
from data_sanitizer.stores import Location, Stores
from data_sanitizer.stores._parts import of_file

_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".arrow": "arrow", ".feather": "arrow"}
_TYPED = ("parquet", "arrow")
_TYPES = Recipe("types", (("booleans", {"words": "true/false"}), ("numbers", {}), ("dates", {"order": None})), DuplicateRules(near=False))
_NAMED = 5  # records that a line about those kept out names


def convert(source: str, output: Path | Location, options: ReadOptions, force: bool = False, stores: Stores | None = None) -> list[str]:
    """Write the source to `output` in the format its ending names; returns what was decided and what was kept out, a line each."""
    suffix = Path(output.name).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise UsageError(why=f"The ending {suffix!r} names no format to write. Known endings: {', '.join(_BY_SUFFIX)}.")
    places = inputs.found([source], stores or Stores())
    if len(places) > 1:
        raise UsageError(why=f"{source} means {len(places)} files. Convert one at a time, or clean them together.")
    with (
        tempfile.TemporaryDirectory(prefix="data-sanitizer-") as scratch,
        _aside(output, force) as aside,
        Sandbox(Path(scratch), keep=_BY_SUFFIX[suffix] in _TYPED) as reader,  # the types come from pass 1, which keeps the blocks
    ):
        reading, issues = reader.open(places[0], options), _Issues()
        types = _write(reading, aside, _BY_SUFFIX[suffix], Path(scratch), issues)
    return [*(f"{d.subject}: {d.choice} ({d.evidence})" for d in reading.decisions), *types, *issues.told()]


def _write(reading: Reading, aside: Path, name: str, scratch: Path, issues: _Issues) -> list[str]:
    """Write all rows; returns which columns got a type, where the format has types."""
    with run_folder.translated(aside):
        if name in _TYPED:
            return _write_typed(reading, aside, name, scratch, issues)
        header = getattr(reading, "header", ())
        drained(lambda: _plain(reading, issues), reading.schema, lambda table: formats.write(table, aside, name, header))
        return []


@contextmanager
def _aside(output: Path | Location, force: bool) -> Iterator[Path]:
    """A file that takes the place of `output`, or is uploaded there, when the block ends without an error."""
    if isinstance(output, Location):
        with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as folder:
            yield Path(folder) / output.name
            output.store.forget(output.key)
            output.store.write(output.key, of_file(Path(folder) / output.name), new=not force)
        return
    if output.exists() and not force:
        raise OutputExists(path=output)
    aside = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        with run_folder.translated(output):
            yield aside
            aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)


@dataclass
class _Issues:
    """The records that were kept out or marked, by reason: how many, and the numbers of the first ones."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    first: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, quarantined: tuple[RowIssue, ...] | list[RowIssue], flagged: tuple[RowIssue, ...] | list[RowIssue]) -> None:
        """Count the issues of a block."""
        for what, issues in (("kept out", quarantined), ("flagged", flagged)):
            for issue in issues:
                self.counts[what, issue.reason] += 1
                if len(known := self.first.setdefault((what, issue.reason), [])) < _NAMED:
                    known.append(issue.row)

    def told(self) -> Iterator[str]:
        """A line for each reason."""
        for (what, reason), count in self.counts.items():
            rows = ", ".join(map(str, self.first[what, reason]))
            yield f"{what}: {count} records ({reason}); record {rows}{', …' if count > _NAMED else ''}"


def _plain(reading: Reading, issues: _Issues) -> Iterator[pl.DataFrame]:
    for block in reading.blocks():
        issues.add(block.quarantined, block.flagged)
        yield block.frame


class _Counted:
    """A reading whose issues are counted on the way."""

    def __init__(self, reading: Reading, issues: _Issues) -> None:
        self.name, self.format, self.schema, self.decisions = reading.name, reading.format, reading.schema, reading.decisions
        self._reading, self._issues = reading, issues

    def blocks(self) -> Iterator[Block]:
        for block in self._reading.blocks():
            self._issues.add(block.quarantined, block.flagged)
            yield block


def _write_typed(reading: Reading, path: Path, name: str, scratch: Path, issues: _Issues) -> list[str]:
    """Reads all rows, decides on types from all of them, and writes; says which columns got a type."""
    survey = pass1.survey([_Counted(reading, issues)], _TYPES, scratch, os.cpu_count() or 1)
    wanted = converts(make_plan(_TYPES, survey.profiles))
    actions = {c: a for c, a in wanted.items() if all(_exact(block.frame([c]), a) for block in survey.blocks)}

    def typed() -> Iterator[pl.DataFrame]:
        for block in survey.blocks:
            yield block.frame().with_columns(**{c: _step(a).parse(a) for c, a in actions.items()})

    drained(typed, ledger.cleaned_schema(survey.schema, actions), lambda table: formats.write(table, path, name))
    return list(_types_told(actions))


def _exact(frame: pl.DataFrame, action: Action) -> bool:
    """Whether every cell of the column can be written back from its type as it stood."""
    step, column = _step(action), action.column
    back = frame.select(step.parse(action).alias(column)).select(step.back(action).alias(column))
    return not frame[column].ne_missing(back[column]).any()


def _step(action: Action) -> ModuleType:
    return extensions.load("steps", action.step)


def _types_told(actions: Mapping[str, Action]) -> Iterator[str]:
    for column, action in actions.items():
        written, kind = _step(action).form(action)
        yield f"type: {column} is {kind} (written as {written} in every cell)"
