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
from data_sanitizer.duplicates.exact import ExactDuplicates
from data_sanitizer.pipeline.pass1 import SourceRows, Survey, in_order
from data_sanitizer.pipeline.pass2 import CleanBlock
from data_sanitizer.pipeline.spool import ROW_GROUP, ZSTD, Spool
from data_sanitizer.recipe import Plan, Recipe, converts

DUPLICATES = {
    "source": pl.String(), "row": pl.UInt64(), "cluster": pl.String(), "survivor_source": pl.String(), "survivor_row": pl.UInt64(),
    "kind": pl.String(), "confidence": pl.Float32(), "decision": pl.String(),
}  # fmt: skip
MATCHES = {
    "source_a": pl.String(), "row_a": pl.UInt64(), "source_b": pl.String(), "row_b": pl.UInt64(), "confidence": pl.Float32(),
    "evidence": pl.String(),
}  # fmt: skip
QUARANTINE = {"source": pl.String(), "row": pl.UInt64(), "reason": pl.String(), "text": pl.String()}
RULE = "exact_duplicate"


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows went where."""

    kept: int
    removed: int
    quarantined: int


def write(blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, found: ExactDuplicates, recipe: Recipe, folder: Path, scratch: Path,
          output_format: str, threads: int) -> Written:  # fmt: skip
    """Write cleaned table, ledger, removed rows, quarantine, duplicates and matches into the folder."""
    out = _Output(blocks, survey, plan, found if recipe.duplicates.remove else _nothing(), scratch, threads)
    schema = ledger.cleaned_schema(survey.schema, converts(plan))
    with ThreadPoolExecutor(1) as beside:
        entries = beside.submit(_drained, out.entries, ledger.SCHEMA, lambda table: _parquet(table, folder / "ledger.parquet"))
        _drained(out.kept_rows, schema, lambda table: formats.write(table, folder / f"cleaned.{output_format}", output_format))
        entries.result()
    out.removed.write(folder / "removed.parquet")
    out.quarantine.write(folder / "quarantine.parquet")
    write_duplicates(found, survey.sources, recipe.duplicates.remove, folder)
    return Written(out.kept, out.removed.height, out.quarantine.height)


def _nothing() -> ExactDuplicates:
    return ExactDuplicates(np.empty(0, np.int64), np.empty(0, np.int64))


def _parquet(table: pl.LazyFrame, path: Path) -> None:
    table.sink_parquet(path, compression="zstd", compression_level=ZSTD, row_group_size=ROW_GROUP, maintain_order=True)


def _drained(
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


class _Output:
    """The blocks on their way out, and the small tables that fill meanwhile."""

    def __init__(self, blocks: Sequence[CleanBlock], survey: Survey, plan: Plan, found: ExactDuplicates, scratch: Path,
                 threads: int) -> None:  # fmt: skip
        self._blocks, self._survey, self._plan, self._found, self._threads = blocks, survey, plan, found, threads
        self.removed = Spool(scratch, "removed", removed_schema(survey.schema))
        self.quarantine = Spool(scratch, "quarantine", QUARANTINE)
        self.kept = 0

    def kept_rows(self) -> Iterator[pl.DataFrame]:
        """The rows that are kept, as the ledger says that they became, block by block; the others go to their tables."""
        for block, (frame, gone, survivors) in in_order(iter(self._blocks), self._cleaned, self._threads):
            self._quarantine(block)
            if gone.any():
                self._set_aside(block, gone, survivors)
            self.kept += frame.height
            yield frame

    def _cleaned(self, block: CleanBlock) -> tuple[pl.DataFrame, NDArray[np.bool_], NDArray[np.int64]]:
        """The rows of a block that are kept, which are not, and the survivors of those."""
        frame, rows = block.stored.frame(), block.stored.rows()
        gone, survivors = self._gone(block, rows)
        entries = pl.read_ipc(block.entries, columns=["row", "column", "action", "new"])
        cleaned = ledger.applied(frame, rows, entries, converts(self._plan))
        return cleaned.filter(pl.Series(~gone)) if gone.any() else cleaned, gone, survivors

    def _quarantine(self, block: CleanBlock) -> None:
        if issues := block.stored.quarantined():
            told = [(block.source.name, i.row, i.reason, i.text) for i in issues]
            self.quarantine.add(pl.DataFrame(told, schema=QUARANTINE, orient="row"))

    def _gone(self, block: CleanBlock, rows: NDArray[np.uint64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which rows of the block are removed, and the survivors of those."""
        ordinals = block.source.first + rows.astype(np.int64)
        if not len(self._found.rows):
            return np.zeros(len(ordinals), bool), np.empty(0, np.int64)
        place = np.searchsorted(self._found.rows, ordinals).clip(0, len(self._found.rows) - 1)
        gone = self._found.rows[place] == ordinals
        return gone, self._found.survivors[place[gone]]

    def _set_aside(self, block: CleanBlock, gone: NDArray[np.bool_], survivors: NDArray[np.int64]) -> None:
        """Keep the removed rows as they were read, but for masked cells: what those held is kept nowhere."""
        rows, numbers = block.stored.frame()[np.flatnonzero(gone)], block.stored.rows()[gone]  # a filter would keep all of the block's text
        if any(action.step == ledger.MASKING for action in self._plan.actions("clean")):
            masked = pl.col("row").is_in(pl.Series(numbers).implode()) & ledger.made_by(ledger.MASKING)
            rows = ledger.applied(rows, numbers, pl.read_ipc(block.entries).filter(masked), {})
        own = removed_schema(self._survey.schema)
        source, row, reason = list(own)[:3]
        told: dict[str, pl.Expr | pl.Series] = {
            source: pl.lit(block.source.name),
            row: pl.Series(numbers),
            reason: self._reasons(survivors),
        }
        self.removed.add(rows.with_columns(**told).select(list(own)))

    def _reasons(self, survivors: NDArray[np.int64]) -> pl.Series:
        return placed(survivors, self._survey.sources).select(pl.format("same as row {} of {}", "row", "source"))[:, 0]

    def entries(self) -> Iterator[pl.DataFrame]:
        """The ledger: for each source the entries of whole columns, then those of its rows in order."""
        for source in self._survey.sources:
            yield data_cleaning.column_entries(self._plan, source.name)
            for block in (b for b in self._blocks if b.source is source):
                entries = pl.read_ipc(block.entries)
                rows = block.stored.rows()
                gone, survivors = self._gone(block, rows)
                if gone.any():
                    removed = pl.Series("row", rows[gone])
                    removals = ledger.entries(
                        removed, source=source.name, action=ledger.REMOVE, rule=RULE, rule_version=1, evidence=self._reasons(survivors)
                    )
                    entries = pl.concat([entries, removals]).sort("row", maintain_order=True)
                yield entries


def placed(ordinals: NDArray[np.int64], sources: Sequence[SourceRows]) -> pl.DataFrame:
    """Source name and row number of rows counted over all sources."""
    firsts = np.array([s.first for s in sources])
    # A source without rows shares its first ordinal with the next one; the last of them is the one that has the row.
    number = np.searchsorted(firsts, ordinals, side="right") - 1
    names = pl.Series("source", [s.name for s in sources], pl.String).gather(number)
    return pl.DataFrame({"source": names, "row": pl.Series(ordinals - firsts[number], dtype=pl.UInt64)})


def write_duplicates(found: ExactDuplicates, sources: Sequence[SourceRows], remove: bool, folder: Path) -> None:
    """duplicates.parquet and matches.parquet, in order of rows."""
    survivors = np.unique(found.survivors)
    ordinals = np.concatenate([found.rows, survivors])
    leaders = np.concatenate([found.survivors, survivors])
    kept = np.concatenate([np.full(len(found.rows), not remove), np.full(len(survivors), fill_value=True)])
    order = np.argsort(ordinals, kind="stable")
    own, leader = placed(ordinals[order], sources), placed(leaders[order], sources)
    table = own.with_columns(
        cluster=pl.Series(leaders[order]).cast(pl.String), survivor_source=leader["source"], survivor_row=leader["row"],
        kind=pl.lit("exact"),
        confidence=pl.lit(1.0, pl.Float32), decision=pl.when(pl.Series(kept[order])).then(pl.lit("kept")).otherwise(pl.lit("removed")),
    )  # fmt: skip
    a, b = placed(found.survivors, sources), placed(found.rows, sources)
    matches = pl.DataFrame({"source_a": a["source"], "row_a": a["row"], "source_b": b["source"], "row_b": b["row"]})
    matches = matches.with_columns(confidence=pl.lit(1.0, pl.Float32), evidence=pl.lit('{"all columns": "exact"}'))
    for name, frame, schema in (("duplicates", table, DUPLICATES), ("matches", matches, MATCHES)):
        _parquet(frame.select([pl.col(c).cast(t) for c, t in schema.items()]).lazy(), folder / f"{name}.parquet")
