"""Pass 2: clean every row, compare, write the ledger, leave out the duplicates, write the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from data_sanitizer import data_cleaning, formats, ledger
from data_sanitizer.data_cleaning import CleanedChunk
from data_sanitizer.duplicates.exact import ExactDuplicates
from data_sanitizer.model import Block, RowIssue
from data_sanitizer.pipeline.pass1 import SourceRows, Survey, aligned, in_order
from data_sanitizer.pipeline.spool import Spool
from data_sanitizer.ports import Reading
from data_sanitizer.recipe import Plan, Recipe, cleaned_schema

DUPLICATES = {
    "source": pl.String(), "row": pl.UInt64(), "cluster": pl.String(), "survivor_source": pl.String(), "survivor_row": pl.UInt64(),
    "kind": pl.String(), "confidence": pl.Float32(), "decision": pl.String(),
}  # fmt: skip
MATCHES = {
    "source_a": pl.String(), "row_a": pl.UInt64(), "source_b": pl.String(), "row_b": pl.UInt64(), "confidence": pl.Float32(),
    "evidence": pl.String(),
}  # fmt: skip
QUARANTINE = {"source": pl.String(), "row": pl.UInt64(), "reason": pl.String(), "text": pl.String()}


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows went where."""

    kept: int
    removed: int
    quarantined: int
    entries: int


def write(readings: Sequence[Reading], survey: Survey, plan: Plan, found: ExactDuplicates, recipe: Recipe, folder: Path, scratch: Path,
          output_format: str, threads: int) -> Written:  # fmt: skip
    """Write cleaned table, ledger, removed rows, quarantine, duplicates and matches into the folder."""
    run = _Run(readings, survey, plan, found, recipe.duplicates.remove, scratch, threads)
    table = register_io_source(lambda *_: run.watched(), schema=cleaned_schema(survey.schema, plan))
    try:
        formats.write(table, folder / f"cleaned.{output_format}", output_format)
    except BaseException:
        # Polars wraps what went wrong while it asked for rows in an error of its own: give the cause, not the wrapping.
        if run.failure is not None:
            raise run.failure from None
        raise
    run.ledger.write(folder / "ledger.parquet")
    run.removed.write(folder / "removed.parquet")
    run.quarantine.write(folder / "quarantine.parquet")
    write_duplicates(found, survey.sources, recipe.duplicates.remove, folder)
    return Written(run.kept, run.removed.height, run.quarantine.height, run.ledger.height)


def removed_schema(schema: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """The columns of removed.parquet: where the row stood, why it went, and the row; our names give way to the user's."""
    own = {"source": pl.String(), "row": pl.UInt64(), "reason": pl.String()}
    return {**{free_name(name, schema): dtype for name, dtype in own.items()}, **schema}


def free_name(name: str, schema: Mapping[str, pl.DataType]) -> str:
    """The name, with underscores behind it as long as a column of the user's has it."""
    while name in schema:
        name += "_"
    return name


class _Run:
    """The state of one pass 2: what is still to be read, and the spools that fill while the table is written."""

    def __init__(self, readings: Sequence[Reading], survey: Survey, plan: Plan, found: ExactDuplicates, remove: bool, scratch: Path,
                 threads: int) -> None:  # fmt: skip
        self.readings, self.survey, self.plan, self.found, self.remove, self.threads = readings, survey, plan, found, remove, threads
        self.ledger = Spool(scratch, "ledger", ledger.SCHEMA)
        self.removed = Spool(scratch, "removed", removed_schema(survey.schema))
        self.quarantine = Spool(scratch, "quarantine", QUARANTINE)
        self.kept = 0
        self.failure: BaseException | None = None

    def watched(self) -> Iterator[pl.DataFrame]:
        """The rows that are kept; remembers the error that ended them early."""
        try:
            yield from self.cleaned()
        except BaseException as error:
            self.failure = error
            raise

    def cleaned(self) -> Iterator[pl.DataFrame]:
        """The rows that are kept, block by block, while all else goes to the spools."""
        for reading, source in zip(self.readings, self.survey.sources, strict=True):
            self.ledger.add(data_cleaning.column_entries(self.plan, source.name))
            for block, chunk in in_order(reading.blocks(), self._clean, self.threads):
                frame = self._settle(block, chunk, source)
                self.kept += frame.height
                yield frame

    def _clean(self, block: Block) -> CleanedChunk:
        return data_cleaning.clean_chunk(aligned(block, self.survey.schema), block.rows, self.plan, self.survey.sensitive)

    def _settle(self, block: Block, chunk: CleanedChunk, source: SourceRows) -> pl.DataFrame:
        """Write down what happened to the rows of a block; returns those that are kept."""
        ordinals = source.first + block.rows.astype(np.int64)
        index = np.searchsorted(self.found.rows, ordinals).clip(0, max(len(self.found.rows) - 1, 0))
        gone = (self.found.rows[index] == ordinals) if len(self.found.rows) and self.remove else np.zeros(len(ordinals), bool)
        entries = [chunk.entries.with_columns(source=pl.lit(source.name)), _issues(block.flagged, source.name, ledger.FLAG)]
        entries.append(_issues(block.quarantined, source.name, ledger.QUARANTINE))
        if gone.any():
            survivors = self._place(self.found.survivors[index[gone]])
            entries.append(self._remove(block, gone, survivors, source))
        joined = pl.concat([e for e in entries if e.height] or [pl.DataFrame(schema=ledger.SCHEMA)])
        self.ledger.add(joined.sort("row", maintain_order=True))
        self.quarantine.add(_quarantined(block.quarantined, source.name))
        return chunk.frame.filter(pl.Series(~gone)) if gone.any() else chunk.frame

    def _remove(self, block: Block, gone: np.ndarray, survivors: pl.DataFrame, source: SourceRows) -> pl.DataFrame:
        rows = pl.Series("row", block.rows[gone])
        reason = survivors.select(pl.format("same as row {} of {}", "row", "source"))[:, 0]
        own = removed_schema(self.survey.schema)
        names = list(own)[:3]
        kept = aligned(block, self.survey.schema).filter(pl.Series(gone))
        self.removed.add(kept.with_columns(**{names[0]: pl.lit(source.name), names[1]: rows, names[2]: reason}).select(list(own)))
        return ledger.entries(rows, source=source.name, action=ledger.REMOVE, rule="exact_duplicate", rule_version=1, evidence=reason)

    def _place(self, ordinals: np.ndarray) -> pl.DataFrame:
        return placed(ordinals, self.survey.sources)


def placed(ordinals: np.ndarray, sources: Sequence[SourceRows]) -> pl.DataFrame:
    """Source name and row number of rows counted over all sources."""
    number = np.searchsorted([s.first for s in sources], ordinals, side="right") - 1
    # A source without rows shares its first ordinal with the next one; the last of them is the one that has the row.
    names = pl.Series([s.name for s in sources], dtype=pl.String).gather(number)
    firsts = np.array([s.first for s in sources])[number]
    return pl.DataFrame({"source": names, "row": pl.Series(ordinals - firsts, dtype=pl.UInt64)})


def _issues(issues: Sequence[RowIssue], source: str, action: str) -> pl.DataFrame:
    rows = pl.Series("row", [i.row for i in issues], pl.UInt64)
    reasons = pl.Series("evidence", [i.reason for i in issues], pl.String)
    return ledger.entries(rows, source=source, action=action, rule="reader", rule_version=1, evidence=reasons)


def _quarantined(issues: Sequence[RowIssue], source: str) -> pl.DataFrame:
    rows = [(source, i.row, i.reason, i.text) for i in issues]
    return pl.DataFrame(rows, schema=QUARANTINE, orient="row")


def write_duplicates(found: ExactDuplicates, sources: Sequence[SourceRows], remove: bool, folder: Path) -> None:
    """duplicates.parquet and matches.parquet, in order of rows."""
    survivors = np.unique(found.survivors)
    ordinals = np.concatenate([found.rows, survivors])
    leaders = np.concatenate([found.survivors, survivors])
    decisions = np.concatenate([np.full(len(found.rows), "removed" if remove else "kept"), np.full(len(survivors), "kept")])
    order = np.argsort(ordinals, kind="stable")
    own, leader = placed(ordinals[order], sources), placed(leaders[order], sources)
    table = own.with_columns(
        cluster=pl.Series(leaders[order]).cast(pl.String), survivor_source=leader["source"], survivor_row=leader["row"],
        kind=pl.lit("exact"), confidence=pl.lit(1.0, pl.Float32), decision=pl.Series(decisions[order], dtype=pl.String),
    )  # fmt: skip
    a, b = placed(found.survivors, sources), placed(found.rows, sources)
    matches = pl.DataFrame({"source_a": a["source"], "row_a": a["row"], "source_b": b["source"], "row_b": b["row"]})
    matches = matches.with_columns(confidence=pl.lit(1.0, pl.Float32), evidence=pl.lit('{"all columns": "exact"}'))
    for name, frame, schema in (("duplicates", table, DUPLICATES), ("matches", matches, MATCHES)):
        spool = Spool(folder, name, schema)
        spool.add(frame.select(list(schema)).cast(dict(schema)))  # type: ignore[arg-type]
        spool.write(folder / f"{name}.parquet")
