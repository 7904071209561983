"""Reads a finished run in step with its sources: for any stretch of rows, what was kept, removed, set aside, and every entry about it.

Tables are read a piece at a time, in the order in which they were written; nothing here grows with the number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import ledger, run_folder
from data_sanitizer.errors import RunUnreadable
from data_sanitizer.model import Action

TABLES = ("duplicates", "ledger", "matches", "quarantine", "removed")
_CELLS = 1 << 19  # cells in one piece: some tens of megabytes as text
ENTRIES = 100_000  # ledger entries in one piece: a row group

Ordinals = NDArray[np.int64]  # rows counted through all sources


@dataclass(frozen=True, slots=True)
class Source:
    """One input as the run knows it; `first` is the number of its row 0 when all sources are counted through."""

    name: str
    number: int
    first: int
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive records of one source, as the run left them. Row numbers ascend."""

    source: Source
    start: int
    stop: int  # first record behind it
    kept: NDArray[np.uint64]
    cleaned: pl.DataFrame  # the kept rows, in the types of the cleaned table
    gone: NDArray[np.uint64]
    removed: pl.DataFrame  # the removed rows as they were read, behind source, row and reason
    quarantine: pl.DataFrame
    entries: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its manifest, its sources, the columns as read and as cleaned."""

    folder: Path
    manifest: Mapping[str, Any]
    sources: tuple[Source, ...]
    schema: Mapping[str, pl.DataType]  # as read
    converted: Mapping[str, Action]
    earlier: tuple[str, ...] = ()  # sources of earlier deliveries to its dataset, as it calls them

    @property
    def cleaned_schema(self) -> dict[str, pl.DataType]:
        """The types of the cleaned table."""
        return ledger.cleaned_schema(self.schema, self.converted)

    @property
    def format(self) -> str:
        """parquet, csv or jsonl."""
        return self.cleaned.suffix[1:]

    @property
    def cleaned(self) -> Path:
        """The cleaned table that the manifest names."""
        names = [str(n) for n in self.manifest["outputs"] if n.startswith("cleaned.")]
        if len(names) != 1 or names[0].removeprefix("cleaned.") not in run_folder.FORMATS:
            raise RunUnreadable(path=self.folder, why="its manifest.json names no cleaned table")
        return self.folder / names[0]

    def table(self, name: str) -> pl.LazyFrame:
        """One of the tables beside the cleaned one: ledger, removed, …"""
        return _scan(self.folder / f"{name}.parquet")

    def source_named(self, name: str) -> Source | None:
        """The source of this name, as it was given when the run was made."""
        return next((s for s in self.sources if s.name == name), None)

    def numbers(self, names: pl.Series) -> Ordinals:
        """Which source each name stands for, -1 for one of an earlier delivery; raises RunUnreadable where it is none of them."""
        by_name = {**dict.fromkeys(self.earlier, -1), **{s.name: number for number, s in enumerate(self.sources)}}
        number = names.replace_strict(list(by_name), list(by_name.values()), default=None, return_dtype=pl.Int64)
        if number.null_count():
            raise RunUnreadable(path=self.folder, why="a table tells of a source that the run does not have")
        return number.to_numpy().astype(np.int64)

    def ordinals(self, names: pl.Series, rows: pl.Series) -> Ordinals:
        """Rows counted through all sources, -1 for one of an earlier delivery; raises RunUnreadable where there is no such row."""
        source = self.numbers(names)
        ends = np.array([*(s.rows for s in self.sources), np.iinfo(np.int64).max], np.uint64)[source]
        if rows.null_count() or bool((rows.to_numpy() >= ends).any()):
            raise RunUnreadable(path=self.folder, why="a table tells of a row that its source does not have")
        first: Ordinals = np.array([*(s.first for s in self.sources), 0], np.int64)[source]
        ordinals: Ordinals = np.where(source < 0, -1, first + rows.to_numpy().astype(np.int64))
        return ordinals


def open_run(folder: Path) -> Run:
    """Look at a finished run; raises RunUnreadable where it is none or its files do not fit together."""
    manifest = run_folder.read_manifest(folder)
    try:
        inputs, outputs = [(str(i["name"]), int(i["rows"]), int(i["quarantined"])) for i in manifest["inputs"]], manifest["outputs"]
    except (KeyError, TypeError, ValueError) as error:
        raise RunUnreadable(path=folder, why="its manifest.json does not tell inputs and outputs") from error
    if missing := [t for t in TABLES if f"{t}.parquet" not in outputs]:
        raise RunUnreadable(path=folder, why=f"its manifest.json does not list {missing[0]}.parquet")
    names = _source_names(folder, [name for name, _, _ in inputs])
    firsts = np.cumsum([0, *(rows for _, rows, _ in inputs)]).tolist()
    facts = zip(names, firsts, inputs, strict=False)
    sources = tuple(Source(name, number, first, *counts) for number, (name, first, (_, *counts)) in enumerate(facts))
    earlier = tuple(map(str, (manifest.get("dataset") or {}).get("earlier", ())))
    return Run(folder, manifest, sources, _schema(folder), _conversions(folder), earlier)


def _source_names(folder: Path, short: Sequence[str]) -> list[str]:
    """The names as given, which stand in report.json; the manifest has no paths and so only their last parts."""
    try:
        told = json.loads((folder / "report.json").read_text("utf-8"))["sources"]
        names = [str(source["name"]) for source in told]
    except (OSError, ValueError, KeyError, TypeError):
        names = list(short)
    if [Path(name).name for name in names] != [Path(name).name for name in short]:
        raise RunUnreadable(path=folder, why="report.json and manifest.json tell of different sources")
    if len(set(names)) != len(names):
        raise RunUnreadable(path=folder, why="two of its sources have the same name")
    return names


def _schema(folder: Path) -> dict[str, pl.DataType]:
    """The columns as read, which removed.parquet has behind source, row and reason."""
    try:
        columns = _scan(folder / "removed.parquet").collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunUnreadable(path=folder, why="its removed.parquet cannot be read") from error
    return dict(list(columns.items())[3:])


def _conversions(folder: Path) -> dict[str, Action]:
    try:
        found = _scan(folder / "ledger.parquet").filter(pl.col("action") == ledger.CONVERT).collect()
        return ledger.conversions(found)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunUnreadable(path=folder, why="its ledger.parquet cannot be read") from error
    except (KeyError, ValueError, TypeError) as error:
        raise RunUnreadable(path=folder, why="its ledger has a conversion that no step can repeat") from error


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False)


class Replay:
    """One pass over the tables of a run, in the order of its rows; raises RunUnreadable where they do not agree with that order."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._size = max(1, _CELLS // max(1, len(run.schema)))
        self._ledger = _Cursor(run, "ledger", self._entry_places, ENTRIES)
        self._removed = _Cursor(run, "removed", self._row_places, self._size)
        self._quarantine = _Cursor(run, "quarantine", self._row_places, ENTRIES)
        self._cleaned = _Cleaned(run, self._size)

    def columns(self, source: Source) -> pl.DataFrame:
        """The entries about whole columns, which stand before those about the rows of a source."""
        return self._ledger.take(_place(source))

    def stretch(self, source: Source, start: int, stop: int) -> Stretch:
        """The next records of a source; stretches follow each other without a gap."""
        last = _place(source, stop - 1)
        entries, removed, quarantine = self._ledger.take(last), self._removed.take(last), self._quarantine.take(last)
        gone, aside = removed[:, 1].to_numpy(), quarantine["row"].to_numpy()
        kept = np.ones(stop - start, bool)
        kept[gone.astype(np.int64) - start] = False
        kept[aside.astype(np.int64) - start] = False
        if kept.sum() != len(kept) - len(gone) - len(aside):
            raise RunUnreadable(path=self.run.folder, why=f"a row of {source.name} was removed or set aside twice")
        rows = (start + np.flatnonzero(kept)).astype(np.uint64)
        return Stretch(source, start, stop, rows, self._cleaned.take(len(rows)), gone, removed, quarantine, entries)

    def stretches(self, source: Source) -> Iterator[Stretch]:
        """All records of a source, some tens of thousands at a time."""
        for start in range(0, source.rows, self._size):
            yield self.stretch(source, start, min(start + self._size, source.rows))

    def end(self) -> None:
        """Raise RunUnreadable where a table tells of more than the sources have."""
        for part in (self._ledger, self._removed, self._quarantine):
            if part.left():
                raise RunUnreadable(path=self.run.folder, why=f"{part.name} tells of more rows than were read")
        if self._cleaned.left():
            raise RunUnreadable(path=self.run.folder, why=f"{self.run.cleaned.name} has more rows than were kept")

    def _row_places(self, frame: pl.DataFrame) -> Ordinals:
        """The places of the rows that a table tells of in its first two columns, source and row."""
        places = 2 * (self.run.ordinals(frame[:, 0], frame[:, 1]) + self.run.numbers(frame[:, 0])) + 1
        if (places < 0).any():
            raise RunUnreadable(path=self.run.folder, why="a table tells of a row of an earlier delivery as if it were its own")
        return places

    def _entry_places(self, frame: pl.DataFrame) -> Ordinals:
        """Entries about a whole column come before the rows of their source."""
        of_row = frame["row"].is_not_null()
        places = np.array([_place(s) for s in self.run.sources], np.int64)[self.run.numbers(frame["source"])]
        places[of_row.to_numpy()] = self._row_places(frame.filter(of_row))
        return places


def _place(source: Source, row: int | None = None) -> int:
    """The place of a row, or of what concerns all rows of a source, in the order of a table; no two have the same one."""
    before = 2 * (source.first + source.number)
    return before if row is None else before + 2 * row + 1


class _Cursor:
    """A table in order of places, taken from its start up to a place."""

    def __init__(self, run: Run, name: str, places: Callable[[pl.DataFrame], Ordinals], size: int) -> None:
        self.name, self._run, self._places = f"{name}.parquet", run, places
        table = run.table(name)
        self._frames = slices(table, size)
        self._held = table.head(0).collect()
        self._at: Ordinals = np.empty(0, np.int64)
        self._last = -1

    def take(self, until: int) -> pl.DataFrame:
        """All that stands at places up to and with `until` and was not taken before."""
        parts = [self._held[:0]]
        while self._fill():
            count = int(np.searchsorted(self._at, until, side="right"))
            parts.append(self._held[:count])
            self._held, self._at = self._held[count:], self._at[count:]
            if len(self._at):
                break
        return pl.concat(parts)

    def left(self) -> bool:
        """Whether anything was not taken."""
        return self._fill()

    def _fill(self) -> bool:
        """Hold at least one row, unless none is left."""
        while not self._held.height:
            frame = next(self._frames, None)
            if frame is None:
                return False
            self._held, self._at = frame, self._places(frame)
            if (np.diff(self._at, prepend=self._last) < 0).any():
                raise RunUnreadable(path=self._run.folder, why=f"{self.name} is not in the order of the rows")
            self._last = int(self._at[-1])
        return True


class _Cleaned:
    """The cleaned table, taken a number of rows at a time."""

    def __init__(self, run: Run, size: int) -> None:
        self._run, self._frames = run, _typed(run, size)
        self._held: list[pl.DataFrame] = []

    def take(self, rows: int) -> pl.DataFrame:
        """The next rows; raises RunUnreadable where there are fewer."""
        have = sum(f.height for f in self._held)
        while have < rows:
            frame = next(self._frames, None)
            if frame is None:
                raise RunUnreadable(path=self._run.folder, why=f"{self._run.cleaned.name} has fewer rows than were kept")
            self._held.append(frame)
            have += frame.height
        table = pl.concat([pl.DataFrame(schema=self._run.cleaned_schema), *self._held])
        self._held = [table[rows:]]
        return table[:rows]

    def left(self) -> bool:
        """Whether rows were not taken."""
        return any(f.height for f in self._held) or next(self._frames, None) is not None


def slices(table: pl.LazyFrame, size: int = ENTRIES) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file in order, some at a time; only the slice is decoded."""
    for first in range(0, table.select(pl.len()).collect().item(), size):
        yield table.slice(first, size).collect()


def _typed(run: Run, size: int) -> Iterator[pl.DataFrame]:
    """The cleaned rows in the types of the cleaned table, whatever the file keeps of them."""
    schema = run.cleaned_schema
    table = _as_stored(run, schema)
    if table.collect_schema().names() != list(schema):
        raise RunUnreadable(path=run.folder, why=f"{run.cleaned.name} has not the columns of its source")
    if run.format == "parquet":
        if dict(table.collect_schema()) != schema:
            raise RunUnreadable(path=run.folder, why=f"the columns of {run.cleaned.name} have not the types that the ledger tells")
        yield from slices(table, size)
        return
    for frame in table.collect_batches(chunk_size=size, maintain_order=True):
        columns = [ledger.from_text(frame[name], dtype) for name, dtype in schema.items()]
        if lost := [c.name for c in columns if c.null_count() != frame[c.name].null_count()]:
            raise RunUnreadable(path=run.folder, why=f"column {lost[0]!r} of {run.cleaned.name} holds cells that are not of its type")
        yield pl.DataFrame(columns)


def _as_stored(run: Run, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """The file as Parquet has it, or all cells as text."""
    if run.format == "parquet":
        return _scan(run.cleaned)
    if run.format == "csv":
        return pl.scan_csv(run.cleaned, infer_schema=False, glob=False)
    return pl.scan_ndjson(run.cleaned, schema=dict.fromkeys(schema, pl.String()))
