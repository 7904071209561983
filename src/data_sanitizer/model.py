"""The plain values that travel between modules: frozen, picklable, without behaviour of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
    file: Path | None = None  # an uncompressed Arrow IPC file with `frame`, and its neighbours: the receiver may move it


def _limit(default: int, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a source may ask of us before it is refused; sizes in bytes. They protect, and change no row of a source that is read."""

    unpacked_bytes: int = _limit(50 << 30, "what compressed data may unpack to, and what the values of a Parquet or Arrow file may take")
    unpacked_ratio: int = _limit(200, "how many times larger it may be than the file, counted once it is larger than `unpacked_free`")
    unpacked_free: int = _limit(256 << 20, "up to here any ratio passes: small regular tables shrink a thousand times")
    archive_entries: int = _limit(2_000, "entries in a ZIP archive, which workbooks are too")
    sheet_cells: int = _limit(50_000_000, "filled cells in a sheet")
    sheet_sparseness: int = _limit(20, "cells in a sheet's bounding box for each filled one, counted from `sheet_free` cells on")
    sheet_free: int = _limit(4 << 20, "cells in a sheet's bounding box that are never too many")
    sheet_columns: int = _limit(16_384, "columns of a sheet, the most that Excel has")
    columns: int = _limit(20_000, "columns of a table")
    name_length: int = _limit(512, "characters in a column's name")
    field_bytes: int = _limit(1 << 20, "a longer cell is kept and flagged")
    longest_field: int = _limit(16 << 20, "a longer cell is refused")
    row_bytes: int = _limit(16 << 20, "a longer row is refused")
    depth: int = _limit(64, "levels of nesting in JSON, Parquet and Arrow")
    exponent: int = _limit(400, "a number with a larger exponent stays text")
    batch_bytes: int = _limit(128 << 20, "values of a Parquet or Arrow file that are handed on at a time")
    reader_memory: int = _limit(4 << 30, "memory that the process which reads may take; what the libraries need to start is not counted")
    reader_seconds: int = _limit(600, "processor seconds that it may take until it gives an answer: what the source is, or the next rows")
    reader_disk: int = _limit(64 << 30, "space that it may take on disk")
    footer_bytes: int = _limit(64 << 20, "the footer of a Parquet or Arrow file, which is read as a whole")


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
    mixed: tuple[
        tuple[str, str], ...
    ] = ()  # JSON: what to do with a key whose values differ in kind, as (key, policy); key "" is any other
    limits: ReadLimits = field(default_factory=ReadLimits)


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


Key = NDArray[np.uint64]  # (n, 2): 128 bits each


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a dataset, as it is kept."""

    no: int  # from 1, in the order in which they were made
    name: str  # of its inputs
    fingerprint: str  # the same for the same inputs: hexadecimal
    row_count: int  # records of its inputs
    counts: Mapping[str, Any]  # rows: in, kept, merged, quarantined, seen before, new; entities: created, merged, split
    inputs: tuple[Mapping[str, Any], ...]  # name, sha256, rows, quarantined: as in manifest.json
    place: str  # the folder or URL of its run
    manifest_sha256: str
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class DatasetState:
    """What a dataset is at a moment. `version` is another one as soon as anything of it changed."""

    tenant: str
    name: str
    rules: Mapping[str, Any]  # how its rows are compared; empty before the first delivery
    deliveries: tuple[Delivery, ...]
    apart: Key  # (pairs, 2, 2): rows, by key, that a person said are not one entity
    version: tuple[int, int]


@dataclass(frozen=True, slots=True)
class RowPart:
    """Some rows that a delivery was the first to bring, ascending by key. `told` and `cells` are Arrow IPC files."""

    delivery: int
    part: int
    keys: Key
    told: bytes  # where each row stands, its key after cleaning, and the row kept for it
    entities: Key
    cells: bytes = b""  # what is compared, as text


@dataclass(frozen=True, slots=True)
class EntityEvent:
    """What happened to the id of an entity: `created`, `merged` (into `other`) or `split` (rows went from it to `other`)."""

    no: int  # in the order of the dataset; 0 for those that were created, which come first in their delivery
    kind: str
    entity: str  # 32 hexadecimal digits
    other: str | None
    delivery: int  # in which it happened, or after which a person decided it
    actor: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """All that a delivery adds to its dataset. `changed` are entities of older parts: (delivery, part) -> those of all its rows."""

    delivery: Delivery
    rules: Mapping[str, Any]
    profile: Mapping[str, Any]
    created: Key  # ids of new entities
    changed: Mapping[tuple[int, int], Key]
    events: tuple[EntityEvent, ...]  # merged and split
    knowledge: bytes | None = None  # what was learned of all rows, packed; None: what was known stays, empty: nothing is known any more
    seen: bytes = b""  # which rows of earlier deliveries it had too, packed


@dataclass(frozen=True, slots=True)
class Split:
    """A person's decision that rows are not one entity: what follows from it for the dataset."""

    changed: Mapping[tuple[int, int], Key]  # as in NewDelivery
    events: tuple[EntityEvent, ...]
    apart: tuple[tuple[Key, Key], ...]  # for each event: every row of the one is not the entity of any row of the other
