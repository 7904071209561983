"""Pass 2: clean every row once, compare it with what was read, and key it anew where its cells changed.

The cleaned blocks wait in the scratch folder: which rows are duplicates is known only when all are clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import data_cleaning, ledger
from data_sanitizer.data_cleaning import CleanedChunk
from data_sanitizer.duplicates.exact import ExactDuplicates, Keys, find
from data_sanitizer.model import Block, RowIssue
from data_sanitizer.pipeline.pass1 import SourceRows, Survey, aligned, in_order
from data_sanitizer.ports import Reading
from data_sanitizer.profile import add_to_keys
from data_sanitizer.profile._cells import scan
from data_sanitizer.recipe import Plan, Recipe


@dataclass(frozen=True, slots=True)
class CleanBlock:
    """One block after cleaning: its rows in a file, its entries in another, and what was never a row."""

    source: SourceRows
    rows: NDArray[np.uint64]
    cleaned: Path
    entries: Path
    changed: NDArray[np.int64]  # places in `rows` whose key is another after cleaning
    difference: Keys  # and by how much
    quarantined: tuple[RowIssue, ...]


def clean(readings: Sequence[Reading], survey: Survey, plan: Plan, recipe: Recipe, scratch: Path, threads: int) -> list[CleanBlock]:
    """Clean all sources and correct the keys of the survey; returns the blocks in order."""
    compared = frozenset(recipe.duplicates.columns(list(survey.schema)))
    done = []
    for number, (reading, source) in enumerate(zip(readings, survey.sources, strict=True)):
        work = partial(_block, source=source, prefix=f"{number:04d}", survey=survey, plan=plan, compared=compared, scratch=scratch)
        for _, block in in_order(reading.blocks(), work, threads):
            survey.keys.change(source.first + block.rows.astype(np.int64)[block.changed], block.difference)
            done.append(block)
    return done


def duplicates(survey: Survey, budget: int) -> ExactDuplicates:
    """Rows equal to an earlier one in every compared column, as cleaning left them."""
    return find(survey.keys, budget)


def _block(
    block: Block, *, source: SourceRows, prefix: str, survey: Survey, plan: Plan, compared: frozenset[str], scratch: Path
) -> CleanBlock:
    frame = aligned(block, survey.schema)
    chunk = data_cleaning.clean_chunk(frame, block.rows, plan, survey.sensitive)
    changed, difference = _key_changes(chunk, compared)
    first = min([*block.rows[:1].tolist(), *(i.row for i in block.quarantined[:1])], default=0)
    cleaned, entries = (scratch / f"{what}.{prefix}.{first:015d}.arrow" for what in ("cleaned", "entries"))
    chunk.frame.write_ipc(cleaned)  # not compressed: that would take as long as all steps together
    _all_entries(block, chunk, source.name).write_ipc(entries)
    return CleanBlock(source, block.rows, cleaned, entries, changed, difference, block.quarantined)


def _all_entries(block: Block, chunk: CleanedChunk, source: str) -> pl.DataFrame:
    """The entries of the cells and those of the reader, in order of rows."""
    entries = chunk.entries.with_columns(source=pl.lit(source))
    if not (block.flagged or block.quarantined):
        return entries
    told = [_issues(block.flagged, source, ledger.FLAG), _issues(block.quarantined, source, ledger.QUARANTINE)]
    return pl.concat([entries, *told]).sort("row", maintain_order=True)


def _issues(issues: Sequence[RowIssue], source: str, action: str) -> pl.DataFrame:
    rows = pl.Series("row", [i.row for i in issues], pl.UInt64)
    reasons = pl.Series("evidence", [i.reason for i in issues], pl.String)
    return ledger.entries(rows, source=source, action=action, rule="reader", rule_version=1, evidence=reasons)


def _key_changes(chunk: CleanedChunk, compared: frozenset[str]) -> tuple[NDArray[np.int64], Keys]:
    """The rows whose key is another than that of the cells as read, and the difference."""
    difference = np.zeros((chunk.frame.height, 2), np.uint64)
    changed = np.zeros(chunk.frame.height, bool)
    for change in chunk.changes:
        if change.column in compared:
            part = np.zeros((len(change.rows), 2), np.uint64)
            add_to_keys(part, change.column, scan(change.before), -1)
            add_to_keys(part, change.column, scan(change.said))
            difference[change.rows] += part
            changed[change.rows] = True
    places = np.flatnonzero(changed & difference.any(axis=1))
    return places, difference[places]
