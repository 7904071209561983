"""The plain values that travel between modules: frozen, picklable, without behaviour of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing the reader had to decide about a source, and why; shown in the report."""

    subject: str  # "encoding", "delimiter", "header", "sheet", "schema drift", …
    choice: str
    evidence: str


@dataclass(frozen=True, slots=True)
class RowIssue:
    """A record that was not read as the others: quarantined (kept out of the table) or flagged (kept in it)."""

    row: int  # record number in the source, from 0
    reason: str  # in plain words, never with cell content
    text: str  # the record as it stood in the source


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive records of one source: `frame` holds the readable ones, `rows` their record numbers (uint64, ascending)."""

    rows: NDArray[np.uint64]
    frame: pl.DataFrame
    quarantined: tuple[RowIssue, ...] = ()
    flagged: tuple[RowIssue, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a source; None means: find out from the content and record the decision."""

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None  # False: the file has no header row
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a store as it was when it was looked at."""

    key: str
    size: int  # bytes
    version: str  # ETag or generation: another one as soon as the bytes are others


@dataclass(frozen=True, slots=True)
class Action:
    """One step applied to one column, with everything it learned from the profile: what a worker needs to clean a chunk."""

    step: str
    version: int
    column: str
    parameters: dict[str, Any] = field(default_factory=dict)
    evidence: str = ""
    confidence: float = 1.0
    mode: str = (
        "clean"  # clean: cells become other cells; convert: the column gets a type; flag: cells are marked; note: the column is marked
    )
    odd_only: bool = False  # every cell stays in which pass 1 saw nothing odd (see `profile._cells.odd_cells`)
