"""Pass 2: clean every row once, compare it with what was read, and key it anew where its cells changed.

What changed is kept as ledger entries: which rows are duplicates is known only when all are clean, and then input + ledger = output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import data_cleaning, ledger
from data_sanitizer.data_cleaning import CleanedChunk
from data_sanitizer.duplicates.exact import Keys
from data_sanitizer.model import RowIssue
from data_sanitizer.pipeline.chunks import Chunks, Part, must_agree
from data_sanitizer.pipeline.pass1 import SourceRows, Survey, in_order
from data_sanitizer.pipeline.stored import StoredBlock
from data_sanitizer.ports import Checkpoints
from data_sanitizer.profile import add_to_keys
from data_sanitizer.profile._cells import scan
from data_sanitizer.recipe import Plan, Recipe

STAGE = "pass2"  # under which the chunks of this pass are kept


@dataclass(frozen=True, slots=True)
class CleanBlock:
    """One block after pass 2: as it was read, its entries in a file, and what cleaning did to its keys."""

    stored: StoredBlock
    source: SourceRows
    entries: Path
    changed: NDArray[np.int64]  # places among the rows whose key is another after cleaning
    difference: Keys  # and by how much

    def ordinals(self) -> NDArray[np.int64]:
        """The number of each row when all sources are counted through."""
        return self.source.first + self.stored.rows().astype(np.int64)


def clean(
    survey: Survey, plan: Plan, recipe: Recipe, threads: int, kept: Checkpoints | None = None,
    tell: Callable[[int], None] = lambda rows: None,
) -> list[CleanBlock]:  # fmt: skip
    """Clean all rows and correct the keys of the survey; returns the blocks in order. `tell` gets the number of rows so far."""
    compared = frozenset(recipe.duplicates.columns(list(survey.schema)))
    chunks = Chunks(STAGE, kept, lambda chunk: None, lambda summary: None)
    done, rows = [], 0
    work = partial(_once, survey=survey, plan=plan, compared=compared)
    for part, block in in_order(chunks.parts(iter(survey.blocks)), work, threads):
        if kept is not None:
            chunks.done(part, _known(block), block.stored.height)
        survey.keys.change(block.ordinals()[block.changed], block.difference)
        done.append(replace(block, changed=_NONE, difference=_NO_KEYS))
        tell(rows := rows + block.stored.height)
    chunks.end()
    return done


def _known(block: CleanBlock) -> tuple[Any, ...]:
    return (block.stored.source, block.stored.first, block.stored.height), block.entries.read_bytes(), block.changed, block.difference


def _once(part: Part[StoredBlock], *, survey: Survey, plan: Plan, compared: frozenset[str]) -> CleanBlock:
    """A block cleaned, or what is known of it from an earlier attempt."""
    stored = part.block
    if part.known is None:
        return _block(stored, survey=survey, plan=plan, compared=compared)
    extent, entries, changed, difference = part.known
    must_agree(extent, (stored.source, stored.first, stored.height))
    path = stored.path.with_suffix(".entries")
    path.write_bytes(entries)
    return CleanBlock(stored, survey.sources[stored.source], path, changed, difference)


_NONE, _NO_KEYS = np.empty(0, np.int64), np.empty((0, 2), np.uint64)


def _block(stored: StoredBlock, *, survey: Survey, plan: Plan, compared: frozenset[str]) -> CleanBlock:
    source, odd = survey.sources[stored.source], stored.odd(list(survey.schema))
    chunk = data_cleaning.clean_chunk(stored.frame(), stored.rows(), plan, survey.sensitive, odd)
    changed, difference = _key_changes(chunk, stored.height, compared)
    entries = stored.path.with_suffix(".entries")
    _all_entries(stored, chunk, source.name).write_ipc(entries)
    return CleanBlock(stored, source, entries, changed, difference)


def _all_entries(stored: StoredBlock, chunk: CleanedChunk, source: str) -> pl.DataFrame:
    """The entries of the cells and those of the reader, in order of rows."""
    entries = chunk.entries.with_columns(source=pl.lit(source))
    if not stored.extent.issues:
        return entries
    told = [_issues(stored.flagged(), source, ledger.FLAG), _issues(stored.quarantined(), source, ledger.QUARANTINE)]
    return pl.concat([entries, *told]).sort("row", maintain_order=True)


def _issues(issues: Sequence[RowIssue], source: str, action: str) -> pl.DataFrame:
    rows = pl.Series("row", [i.row for i in issues], pl.UInt64)
    reasons = pl.Series("evidence", [i.reason for i in issues], pl.String)
    return ledger.entries(rows, source=source, action=action, rule="reader", rule_version=1, evidence=reasons)


def _key_changes(chunk: CleanedChunk, height: int, compared: frozenset[str]) -> tuple[NDArray[np.int64], Keys]:
    """The rows whose key is another than that of the cells as read, and the difference."""
    changes = [c for c in chunk.changes if c.column in compared]
    if not changes:
        return _NONE, _NO_KEYS
    before, said = scan(pl.concat([c.before.alias("") for c in changes])), scan(pl.concat([c.said.alias("") for c in changes]))
    difference, changed, first = np.zeros((height, 2), np.uint64), np.zeros(height, bool), 0
    for change in changes:
        cells = slice(first, first := first + len(change.rows))
        part = np.zeros((len(change.rows), 2), np.uint64)
        add_to_keys(part, change.column, before, -1, cells)
        add_to_keys(part, change.column, said, part=cells)
        difference[change.rows] += part
        changed[change.rows] = True
    places = np.flatnonzero(changed & difference.any(axis=1))
    return places, difference[places]
