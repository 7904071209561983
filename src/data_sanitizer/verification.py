"""Proves of a finished run that input + ledger = output and output - ledger = input, cell by cell, without cleaning again.

No step is asked what it would do: the input is read once more, and the ledger alone must lead from it to the output and back. Sources
are read in blocks and the tables of the run in step with them, so that memory does not grow with the rows; only the numbers of rows that
were removed, set aside or belong to a cluster are kept, 8 bytes each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import contract_rows, ledger, run_folder
from data_sanitizer import inputs as given
from data_sanitizer.errors import RunUnreadable, UsageError, VerificationFailed
from data_sanitizer.model import Block, ReadOptions, RowIssue
from data_sanitizer.ports import Reading
from data_sanitizer.replay import Ordinals, Replay, Run, Stretch, open_run, slices
from data_sanitizer.sandbox.reading import Sandbox
from data_sanitizer.stores import Location, Stores


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared and found to agree."""

    rows: int  # records of all inputs
    kept: int
    merged: int
    quarantined: int
    cells: int  # compared in both directions
    masked: int  # compared forward only: the value before is not kept
    entries: int

    def __str__(self) -> str:
        rows = f"{self.rows} rows = {self.kept} kept + {self.merged} merged + {self.quarantined} quarantined"
        masked = f"; {self.masked} masked cells can be checked forward only" if self.masked else ""
        both = "input + ledger = output, and output - ledger = input"
        return f"Verified: {both}, in all {self.cells} cells and {self.entries} ledger entries. {rows}{masked}."


def verify(run: Path | Location, inputs: Sequence[str], reading: ReadOptions | None = None, stores: Stores | None = None) -> Verification:
    """Compare a run with its inputs, given in the order of the run, wherever they lie now.

    Raises VerificationFailed with the source, row and column where they differ, UsageError where the number of inputs is another one,
    and RunUnreadable where the folder holds no finished run. The inputs are read with the options of the run, unless `reading` says
    otherwise.
    """
    with run_folder.at_hand(run) as folder:
        return _judged(folder, given.found(inputs, stores or Stores()), reading)


def _judged(run: Path, places: list[given.Place], reading: ReadOptions | None) -> Verification:
    manifest = run_folder.read_manifest(run)
    try:
        return _verified(run, places, reading or run_folder.reading_from(manifest.get("reading", {})))
    except RunUnreadable as error:
        raise VerificationFailed(run=run, why=error.facts["why"]) from error
    except (pl.exceptions.PolarsError, OSError, KeyError, TypeError, ValueError) as error:
        raise VerificationFailed(run=run, why="a table of the run cannot be read, or an entry says what no run writes") from error


def _verified(run: Path, given_places: list[given.Place], reading: ReadOptions) -> Verification:
    opened = open_run(run)
    if len(given_places) != len(opened.sources):
        made = f"{run} was made from {len(opened.sources)} inputs, but {len(given_places)} are given"
        raise UsageError(why=f"{made}. Give them all, in the same order.")
    check = _Check(opened)
    check.outputs()
    places = check.inputs(given_places)
    with tempfile.TemporaryDirectory(prefix="data-sanitizer-") as scratch, Sandbox(Path(scratch)) as reader:
        check.sources([contract_rows.holding(reader.open(place, reading), opened.manifest.get("contract", {})) for place in places])
    check.account()
    check.duplicates()
    return check.result()


@dataclass
class _Check:
    """The comparison as far as it has come."""

    run: Run
    kept: int = 0
    cells: int = 0
    masked: int = 0
    entries: int = 0
    removed: list[Ordinals] = field(default_factory=list)
    aside: list[Ordinals] = field(default_factory=list)

    def fail(self, why: str) -> VerificationFailed:
        return VerificationFailed(run=self.run.folder, why=why)

    def outputs(self) -> None:
        """The files are those that the run wrote."""
        for name, told in self.run.manifest["outputs"].items():
            path = self.run.folder / Path(name).name
            if not path.exists():
                raise self.fail(f"{name} is missing")
            if run_folder.sha256(path) != told["sha256"]:
                raise self.fail(f"{name} has another sha256 than manifest.json tells")

    def inputs(self, places: list[given.Place]) -> list[given.Place]:
        """The inputs in the order of the run, told apart by their content; one that was read from a pipe is taken as it comes."""
        hashes = {given.name(place): given.sha256(place) for place in places}
        left, found = list(places), []
        for own, told in zip(places, self.run.manifest["inputs"], strict=True):
            candidates = [p for p in (own, *left) if p in left and told["sha256"] in (None, hashes[given.name(p)])]
            if not candidates:
                if hashes[given.name(own)] is None:  # it cannot be opened: the reader says why
                    return places
                raise self.fail(f"no input given has the sha256 of {told['name']}")
            found.append(candidates[0])
            left.remove(candidates[0])
        return found

    def sources(self, readings: Sequence[Reading]) -> None:
        """Every block of every source, beside what the run made of it."""
        self._columns(readings)
        replay = Replay(self.run)
        for source, reading in zip(self.run.sources, readings, strict=True):
            self._whole_columns(replay.columns(source))
            stop = 0
            for block in reading.blocks():
                start, stop = stop, stop + len(block.rows) + len(block.quarantined)
                if stop > source.rows:
                    raise self.fail(f"{source.name} has more records than the {source.rows} of manifest.json")
                self._block(block, replay.stretch(source, start, stop))
            if stop != source.rows:
                raise self.fail(f"{source.name} has {stop} records, not the {source.rows} of manifest.json")
        replay.end()

    def _columns(self, readings: Sequence[Reading]) -> None:
        """The columns of all inputs, in order of first appearance, are those of the run; a column of several types is text."""
        joined: dict[str, pl.DataType] = {}
        for reading in readings:
            for name, dtype in reading.schema.items():
                joined[name] = dtype if joined.get(name, dtype) == dtype else pl.String()
        if list(joined.items()) != list(self.run.schema.items()):
            raise self.fail("the columns of the inputs are not those of removed.parquet")

    def _whole_columns(self, entries: pl.DataFrame) -> None:
        self.entries += entries.height
        wrong = ~pl.col("action").is_in([ledger.CONVERT, ledger.FLAG]) | ~pl.col("column").is_in(list(self.run.schema))
        self._none(entries.filter(wrong | pl.col("column").is_null()), "a ledger entry without a row is about no column")
        conversions = entries.filter(pl.col("action") == ledger.CONVERT)
        self._none(conversions.filter(pl.struct("source", "column").is_duplicated()), "a column is converted twice")
        if set(conversions["column"]) != set(self.run.converted):
            raise self.fail("a column is converted in one source and not in another")

    def _block(self, block: Block, run: Stretch) -> None:
        """The three questions about a block: are the rows accounted for, does the ledger lead forward, does it lead back?"""
        self._rows(block, run)
        self._entries(block, run)
        read = _aligned(block, self.run)
        keep = np.isin(block.rows, run.kept)
        self._removed(run, read.filter(pl.Series(~keep)))
        cleaned = self._forward(block, run, read, keep)
        self._back(block, run, read, cleaned)
        self.kept += len(run.kept)
        self.cells += read.height * read.width
        self.entries += run.entries.height
        self.removed.append(run.source.first + run.gone.astype(np.int64))
        self.aside.append(run.source.first + run.quarantine["row"].to_numpy().astype(np.int64))

    def _rows(self, block: Block, run: Stretch) -> None:
        """Every record is read or set aside, here as in the run."""
        both = np.concatenate([block.rows, np.array([i.row for i in block.quarantined], np.uint64)])
        if not np.array_equal(np.sort(both), np.arange(run.start, run.stop, dtype=np.uint64)):
            raise self.fail(f"the records {run.start} to {run.stop - 1} of {run.source.name} are not numbered without gaps")
        told = list(run.quarantine.select("row", "reason", "text").iter_rows())
        if told != [(i.row, i.reason, i.text) for i in sorted(block.quarantined, key=_row_of)]:
            row = _first_difference(told, block.quarantined, run)
            raise self.fail(f"row {row} of {run.source.name} is not set aside as quarantine.parquet tells")

    def _entries(self, block: Block, run: Stretch) -> None:
        """Every entry is about something that exists, once; every row removed or set aside has its entry."""
        e = run.entries
        readable = pl.Series("row", block.rows).implode()
        action, column, row = pl.col("action"), pl.col("column"), pl.col("row")
        cell = action.is_in([ledger.SET, ledger.FLAG]) & column.is_in(list(self.run.schema)) & row.is_in(readable)
        whole = column.is_null() & ((action.is_in([ledger.REMOVE, ledger.FLAG]) & row.is_in(readable)) | (action == ledger.QUARANTINE))
        self._none(e.filter(~(cell | whole).fill_null(value=False)), "a ledger entry is about a cell that does not exist")
        sets = e.filter(action == ledger.SET)
        self._none(sets.filter(pl.struct("row", "column").is_duplicated()), "a cell has two entries")
        for kind, rows in ((ledger.REMOVE, run.gone), (ledger.QUARANTINE, run.quarantine["row"].to_numpy())):
            told = e.filter(action == kind)["row"].to_numpy()
            if not np.array_equal(told, rows):
                wrong = np.setxor1d(told, rows)
                row_number = wrong[0] if len(wrong) else told[0]
                raise self.fail(f"row {row_number} of {run.source.name} has not one {kind} entry for one row kept beside the table")

    def _removed(self, run: Stretch, read: pl.DataFrame) -> None:
        """Removed rows are kept as they were read, save masked cells, which stay masked."""
        rows = run.gone
        masked = run.entries.filter(
            (pl.col("action") == ledger.SET) & ledger.made_by(ledger.MASKING) & pl.col("row").is_in(pl.Series(rows).implode())
        )
        for name, index, _ in ledger.changed_cells(rows, masked):
            read = read.with_columns(ledger.replaced(read[name], index, run.removed[name].gather(index.astype(np.uint32))).alias(name))
        for name in read.columns:
            self._same(read[name], run.removed[name], rows, run, name, "removed.parquet has not the row as it was read")

    def _forward(self, block: Block, run: Stretch, read: pl.DataFrame, keep: NDArray[np.bool_]) -> pl.DataFrame:
        """Input + ledger = output; returns the cleaned rows, those kept from the output and those removed from the ledger."""
        for name, index, cells in ledger.changed_cells(block.rows, run.entries):
            masked = cells.select(ledger.made_by(ledger.MASKING))[:, 0]
            before = ledger.as_text(read[name].gather(index.astype(np.uint32)))
            self._same(before.filter(~masked), cells["old"].filter(~masked), cells["row"].filter(~masked).to_numpy(), run, name,
                       "the ledger tells of another value before the change")  # fmt: skip
        made = ledger.applied(read, block.rows, run.entries, self.run.converted)
        for name, index, cells in ledger.changed_cells(block.rows, run.entries):
            after = ledger.as_text(made[name].gather(index.astype(np.uint32)))
            self._same(after, cells["new"], cells["row"].to_numpy(), run, name, "the ledger tells of a value that the column cannot hold")
        expected = made.filter(pl.Series(keep))
        for name in made.columns:
            self._same(self._as_stored(expected[name]), run.cleaned[name], run.kept, run, name, "input + ledger is not the cleaned cell")
        if not len(run.gone):
            return run.cleaned
        order = np.argsort(np.concatenate([run.kept, run.gone]), kind="stable")
        return pl.concat([run.cleaned, made.filter(pl.Series(~keep))])[order]

    def _back(self, block: Block, run: Stretch, read: pl.DataFrame, cleaned: pl.DataFrame) -> None:
        """Output - ledger = input, save masked cells, whose value before is kept nowhere."""
        kept = run.entries.filter(~ledger.made_by(ledger.MASKING) | (pl.col("action") != ledger.SET))
        given_back = ledger.given_back(cleaned, block.rows, kept, self.run.converted)
        masked = run.entries.filter((pl.col("action") == ledger.SET) & ledger.made_by(ledger.MASKING))
        columns = {name: ledger.replaced(given_back[name], index, read[name].gather(index.astype(np.uint32)))
                   for name, index, _ in ledger.changed_cells(block.rows, masked)}  # fmt: skip
        self.masked += masked.height
        given_back = given_back.with_columns(**columns)
        for name in read.columns:
            one, other = self._as_stored(read[name]), self._as_stored(given_back[name])
            self._same(one, other, block.rows, run, name, "the cleaned cell - ledger is not the input")

    def _as_stored(self, column: pl.Series) -> pl.Series:
        """JSON knows no NaN and no infinity: the file has null for them."""
        if self.run.format != "jsonl" or not column.dtype.is_float():
            return column
        return column.to_frame("cell").select(pl.when(pl.col("cell").is_finite()).then(pl.col("cell")))[:, 0]

    def _same(self, one: pl.Series, other: pl.Series, rows: ledger.Rows, run: Stretch, column: str, why: str) -> None:
        if len(one) != len(other) or one.dtype != other.dtype:
            raise self.fail(f"column {column!r} of {run.source.name}: {why}")
        different = one.ne_missing(other).arg_true()
        if len(different):
            raise self.fail(f"row {rows[different[0]]}, column {column!r} of {run.source.name}: {why}")

    def _none(self, entries: pl.DataFrame, why: str) -> None:
        if entries.height:
            source, row, column = entries.select("source", "row", "column").row(0)
            where = [f"row {row}"] if row is not None else []
            where += [f"column {column!r}"] if column in self.run.schema else []
            raise self.fail(f"{', '.join([*where, source])}: {why}")

    def account(self) -> None:
        """In = kept + merged + quarantined, as counted now and as manifest.json tells."""
        rows, counted = self.run.manifest["rows"], self.result()
        told = tuple(rows[k] for k in ("in", "kept", "merged", "quarantined"))
        if told != (counted.rows, counted.kept, counted.merged, counted.quarantined) or told[0] != sum(told[1:]):
            raise self.fail("the rows in are not those kept + merged + quarantined of manifest.json")
        for source, aside in zip(self.run.sources, self._aside_by_source(), strict=True):
            if source.quarantined != aside:
                raise self.fail(f"{source.name} has {aside} quarantined rows, not the {source.quarantined} of manifest.json")

    def _aside_by_source(self) -> Iterator[int]:
        aside = _joined(self.aside)
        return (int(((aside >= s.first) & (aside < s.first + s.rows)).sum()) for s in self.run.sources)

    def duplicates(self) -> None:
        """Every removed row has a survivor, which is kept, or came with an earlier delivery."""
        parts = [self._members(part) for part in slices(self.run.table("duplicates"))]
        own, survivors = _joined([p[0] for p in parts]), _joined([p[1] for p in parts])
        told = np.concatenate([np.empty(0, np.bool_), *(p[2] for p in parts)])
        gone, aside = _joined(self.removed), _joined(self.aside)
        if (own < 0).any():
            raise self.fail("duplicates.parquet tells of a row of an earlier delivery as if it were its own")
        if len(np.unique(own)) != len(own):
            raise self.fail("duplicates.parquet has a row in two clusters")
        if not np.array_equal(np.sort(own[told]), gone):
            where = self._where(np.setxor1d(own[told], gone)[0])
            raise self.fail(f"{where} is removed in one of duplicates.parquet and removed.parquet and not in the other")
        for wrong in (np.intersect1d(survivors[told], gone), np.intersect1d(np.concatenate([own, survivors]), aside)):
            if len(wrong):
                raise self.fail(f"{self._where(wrong[0])} is a survivor in duplicates.parquet and not kept")

    def _members(self, part: pl.DataFrame) -> tuple[Ordinals, Ordinals, NDArray[np.bool_]]:
        """Rows of clusters, their survivors, and whether they are said to be removed."""
        survivors = self.run.ordinals(part["survivor_source"], part["survivor_row"])
        return self.run.ordinals(part["source"], part["row"]), survivors, (part["decision"] == "removed").to_numpy()

    def _where(self, ordinal: int) -> str:
        source = next(s for s in reversed(self.run.sources) if s.first <= ordinal)
        return f"row {ordinal - source.first} of {source.name}"

    def result(self) -> Verification:
        """What was compared so far."""
        rows = sum(s.rows for s in self.run.sources)
        merged, aside = sum(map(len, self.removed)), sum(map(len, self.aside))
        return Verification(rows, self.kept, merged, aside, self.cells, self.masked, self.entries)


def _row_of(issue: RowIssue) -> int:
    return issue.row


def _first_difference(told: Sequence[tuple[int, str, str]], issues: Sequence[RowIssue], run: Stretch) -> int:
    facts = {(i.row, i.reason, i.text) for i in issues}
    return min((row for row, *_ in facts.symmetric_difference(told)), default=run.start)


def _aligned(block: Block, run: Run) -> pl.DataFrame:
    """The block with the columns of all sources, in their types."""
    nothing = pl.repeat(None, block.frame.height, eager=True, dtype=pl.String)
    return pl.DataFrame([_as(block.frame[c] if c in block.frame.columns else nothing.alias(c), dtype) for c, dtype in run.schema.items()])


def _as(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    return column if column.dtype == dtype else column.cast(dtype)


def _joined(parts: Sequence[Ordinals]) -> Ordinals:
    return np.concatenate([np.empty(0, np.int64), *parts])
