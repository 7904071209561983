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
    header: int | None = None  # how many rows name the columns; 0 (or False): none
    sheet: str | None = None
    quote: str | None = None  # empty: fields are never quoted
    escape: str | None = None  # empty: a quote inside a quoted field is doubled
    skip_lines: int | None = None  # physical lines at the top that are not looked at


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


@dataclass(frozen=True, slots=True)
class Samples:
    """MinHash signatures of rows of one chunk of a delivery; the row is named by its 128-bit hash."""

    dataset: str
    delivery: int
    chunk: int
    hashes: NDArray[np.uint64]  # (n, 2)
    signatures: NDArray[np.uint32]  # (n, numbers)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a search for similar rows found: one line per pair, by query, then by falling similarity, then by hash."""

    queries: NDArray[np.int64]  # (m,) which of the signatures asked for
    hashes: NDArray[np.uint64]  # (m, 2) the row found
    similarity: NDArray[np.float64]  # (m,) share of equal numbers in the two signatures, counted on all of them
    degraded: bool = False  # the vector index did not answer; this is what the index in the process found
