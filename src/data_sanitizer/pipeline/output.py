"""The end of a run: the rows that are kept, the ledger, the removed rows and the duplicates, each written once and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.io.plugins import register_io_source

from data_sanitizer import data_cleaning, formats, ledger
from data_sanitizer.pipeline import duplicate_tables, golden
from data_sanitizer.pipeline.duplicates import Found
from data_sanitizer.pipeline.pass1 import Survey, in_order
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.pipeline.spool import ROW_GROUP, ZSTD, Spool
from data_sanitizer.recipe import Plan, converts

QUARANTINE = {"source": pl.String(), "row": pl.UInt64(), "reason": pl.String(), "text": pl.String()}


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows went where."""

    kept: int
    removed: int
    quarantined: int


def write(blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, found: Found, filled: pl.DataFrame | None, folder: Path, scratch: Path,
          output_format: str,
          threads: int) -> Written:  # fmt: skip
    """Write cleaned table, ledger, removed rows, quarantine, duplicates and matches into the folder."""
    out = _Output(blocks, survey, plan, found, filled, scratch, threads)
    schema = ledger.cleaned_schema(survey.schema, converts(plan))
    with ThreadPoolExecutor(1) as beside:
        entries = beside.submit(drained, out.entries, ledger.SCHEMA, lambda table: _parquet(table, folder / "ledger.parquet"))
        drained(out.kept_rows, schema, lambda table: formats.write(table, folder / f"cleaned.{output_format}", output_format))
        entries.result()
    drained(out.removed_rows, removed_schema(survey.schema), lambda table: _parquet(table, folder / "removed.parquet"))
    out.quarantine.write(folder / "quarantine.parquet")
    duplicate_tables.write(found, folder, scratch)
    return Written(out.kept, out.removed, out.quarantine.height)


def _parquet(table: pl.LazyFrame, path: Path) -> None:
    table.sink_parquet(path, compression="zstd", compression_level=ZSTD, row_group_size=ROW_GROUP, maintain_order=True)


def drained(
    rows: Callable[[], Iterator[pl.DataFrame]], schema: Mapping[str, pl.DataType], write_table: Callable[[pl.LazyFrame], None]
) -> None:
    """Write what a generator gives; an error of the generator comes out as it is, and not as Polars wraps it."""
    failures: list[BaseException] = []

    def watched(*_: object) -> Iterator[pl.DataFrame]:
        try:
            yield from rows()
        except BaseException as error:
            failures.append(error)
            raise

    try:
        write_table(register_io_source(watched, schema=dict(schema)))
    except BaseException:
        if failures:
            raise failures[0] from None
        raise


def removed_schema(schema: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """The columns of removed.parquet: where the row stood, why it went, and the row; our names give way to the user's."""
    own = {"source": pl.String(), "row": pl.UInt64(), "reason": pl.String()}
    return {**{free_name(name, schema): dtype for name, dtype in own.items()}, **schema}


def free_name(name: str, schema: Mapping[str, pl.DataType]) -> str:
    """The name, with underscores behind it as long as a column of the user's has it."""
    while name in schema:
        name += "_"
    return name


@dataclass(frozen=True, slots=True)
class Removed:
    """Why rows are removed: in words, whether as near-duplicates, and how sure that is."""

    reasons: pl.Series
    alike: NDArray[np.bool_]
    confidences: NDArray[np.float32]

    def entries(self, rows: pl.Series, source: str) -> pl.DataFrame:
        """The ledger entries of these removals."""
        rule = pl.Series(np.where(self.alike, duplicate_tables.NEAR, duplicate_tables.EXACT), dtype=pl.String)
        sure = pl.Series(self.confidences)
        return ledger.entries(rows, source=source, action=ledger.REMOVE, rule=rule, rule_version=1, evidence=self.reasons, confidence=sure)


class _Output:
    """The blocks on their way out, and the small tables that fill meanwhile."""

    def __init__(self, blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, found: Found, filled: pl.DataFrame | None, scratch: Path,
                 threads: int) -> None:  # fmt: skip
        self._blocks, self._survey, self._plan, self._found, self._threads = blocks, survey, plan, found, threads
        self._filled = filled
        self.quarantine = Spool(scratch, "quarantine", QUARANTINE)
        self.kept = self.removed = 0

    def kept_rows(self) -> Iterator[pl.DataFrame]:
        """The rows that are kept, as the ledger says that they became, block by block; quarantined ones go to their table."""
        for block, frame in in_order(iter(self._blocks), self._cleaned, self._threads):
            self._quarantine(block)
            self.kept += frame.height
            yield frame

    def removed_rows(self) -> Iterator[pl.DataFrame]:
        """The rows that are removed, as they were, block by block."""
        yield pl.DataFrame(schema=removed_schema(self._survey.schema))
        for _, frame in in_order(iter(self._blocks), self._aside, self._threads):
            self.removed += frame.height
            yield frame

    def _cleaned(self, block: CleanBlock) -> pl.DataFrame:
        """The rows of a block that are kept."""
        frame, rows, entries = block.stored.frame(), block.stored.rows(), self._entries(block)
        gone, _ = self._gone(block)
        if 2 * gone.sum() > len(gone):  # what goes need not be cleaned
            staying = pl.Series("row", rows[~gone])
            return ledger.applied(frame.filter(pl.Series(~gone)), rows[~gone], entries.filter(pl.col("row").is_in(staying.implode())),
                                  converts(self._plan))  # fmt: skip
        cleaned = ledger.applied(frame, rows, entries, converts(self._plan))
        return cleaned.filter(pl.Series(~gone)) if gone.any() else cleaned

    def _entries(self, block: CleanBlock) -> pl.DataFrame:
        entries = pl.read_ipc(block.entries)
        return entries if self._filled is None else golden.joined(entries, self._filled, block, self._survey, self._plan)

    def _quarantine(self, block: CleanBlock) -> None:
        if issues := block.stored.quarantined():
            told = [(block.source.name, i.row, i.reason, i.text) for i in issues]
            self.quarantine.add(pl.DataFrame(told, schema=QUARANTINE, orient="row"))

    def _gone(self, block: CleanBlock) -> tuple[NDArray[np.bool_], Removed]:
        """Which rows of the block are removed, and why those are."""
        found, ordinals = self._found, block.ordinals()
        place = np.searchsorted(found.rows, ordinals).clip(0, max(len(found.rows) - 1, 0))
        gone = found.rows[place] == ordinals if len(found.rows) else np.zeros(len(ordinals), bool)
        place = place[gone]
        reasons = duplicate_tables.reasons(found.survivors[place], found.alike[place], found.places)
        return gone, Removed(reasons, found.alike[place], found.confidences[place])

    def _aside(self, block: CleanBlock) -> pl.DataFrame:
        """The removed rows as they were read, but for masked cells: what those held is kept nowhere."""
        gone, why = self._gone(block)
        rows, numbers = block.stored.frame()[np.flatnonzero(gone)], block.stored.rows()[gone]  # a filter would keep all of the block's text
        if any(action.step == ledger.MASKING for action in self._plan.actions("clean")):
            masked = pl.col("row").is_in(pl.Series(numbers).implode()) & ledger.made_by(ledger.MASKING)
            rows = ledger.applied(rows, numbers, pl.read_ipc(block.entries).filter(masked), {})
        own = removed_schema(self._survey.schema)
        source, row, reason = list(own)[:3]
        told: dict[str, pl.Expr | pl.Series] = {
            source: pl.lit(block.source.name),
            row: pl.Series(numbers),
            reason: why.reasons,
        }
        return rows.with_columns(**told).select(list(own))

    def entries(self) -> Iterator[pl.DataFrame]:
        """The ledger: for each source the entries of whole columns, then those of its rows in order."""
        for source in self._survey.sources:
            yield data_cleaning.column_entries(self._plan, source.name)
            for block in (b for b in self._blocks if b.source is source):
                entries = self._entries(block)
                gone, why = self._gone(block)
                if gone.any():
                    removals = why.entries(pl.Series("row", block.stored.rows()[gone]), source.name)
                    entries = pl.concat([entries, removals]).sort("row", maintain_order=True)
                yield entries
