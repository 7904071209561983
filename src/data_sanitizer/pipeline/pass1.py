"""Pass 1: read every row once; count, sample and key it, and keep it where pass 2 finds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import get_ident
from typing import TypeVar

import numpy as np
import polars as pl

from data_sanitizer import extensions
from data_sanitizer.duplicates.exact import KeyFile
from data_sanitizer.model import Block
from data_sanitizer.pipeline.chunks import Chunks, Part, must_agree
from data_sanitizer.pipeline.stored import StoredBlock, store
from data_sanitizer.ports import Checkpoints, Reading
from data_sanitizer.profile import Keys, OddCells, TableStatistics
from data_sanitizer.profile.column_profile import ColumnProfile, summarise
from data_sanitizer.profile.sample import RowSample
from data_sanitizer.recipe import Recipe

B = TypeVar("B")
R = TypeVar("R")
STAGE = "pass1"  # under which the chunks of this pass are kept


@dataclass(frozen=True, slots=True)
class SourceRows:
    """How many records a source has, and where its rows begin when all sources are counted through."""

    name: str
    first: int
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What pass 1 learned."""

    schema: dict[str, pl.DataType]
    sources: tuple[SourceRows, ...]
    profiles: dict[str, ColumnProfile]
    sample: pl.DataFrame
    keys: KeyFile
    blocks: tuple[StoredBlock, ...]

    @property
    def rows(self) -> int:
        """Records of all sources."""
        return sum(s.rows for s in self.sources)

    @property
    def sensitive(self) -> frozenset[str]:
        """Columns that hold personal data."""
        return frozenset(c for c, p in self.profiles.items() if p.sensitive)


def joined_schema(readings: Sequence[Reading]) -> dict[str, pl.DataType]:
    """The columns of all sources in order of first appearance; a column whose types differ becomes text."""
    schema: dict[str, pl.DataType] = {}
    for reading in readings:
        for name, dtype in reading.schema.items():
            schema[name] = dtype if schema.get(name, dtype) == dtype else pl.String()
    return schema


def aligned(block: Block, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """The block's frame with exactly the columns of the joined schema."""
    frame = block.frame
    if frame.schema == schema:
        return frame
    return frame.select(
        [pl.col(c).cast(t) if c in frame.columns else pl.lit(None, t).alias(c) for c, t in schema.items()]
        if frame.width
        else [pl.lit(None, t).alias(c) for c, t in schema.items()]
    )


def survey(
    readings: Sequence[Reading], recipe: Recipe, scratch: Path, threads: int, kept: Checkpoints | None = None,
    tell: Callable[[int], None] = lambda rows: None,
) -> Survey:  # fmt: skip
    """Read all sources once; what is learned does not depend on the size of blocks or the number of threads.

    `tell` gets the number of rows so far, after each block."""
    schema = joined_schema(readings)
    counting = _Counting(schema, frozenset(recipe.duplicates.columns(list(schema))), recipe.seed, scratch)
    chunks = Chunks(STAGE, kept, counting.of_chunk, counting.whole.merge)
    keys, sources, blocks, first = KeyFile(scratch / "keys"), [], [], 0
    for number, reading in enumerate(readings):
        rows = quarantined = 0
        for part, (block_keys, odd, stored) in in_order(chunks.parts(reading.blocks()), partial(counting.take, source=number), threads):
            block = part.block
            chunks.done(part, (_extent(block), block_keys, odd), len(block.rows))
            keys.append(_with_gaps(block, block_keys, rows))
            blocks.append(stored)
            rows += len(block.rows) + len(block.quarantined)
            quarantined += len(block.quarantined)
            tell(first + rows)
        sources.append(SourceRows(reading.name, first, rows, quarantined))
        first += rows
    chunks.end()
    keys.close()
    statistics = counting.total()
    profiles = {name: with_sensitivity(p) for name, p in summarise(statistics, schema).items()}
    return Survey(schema, tuple(sources), profiles, statistics.sample.rows(), keys, tuple(blocks))


def _extent(block: Block) -> tuple[int, ...]:
    first = (int(block.rows[0]), int(block.rows[-1])) if len(block.rows) else ()
    return (len(block.rows), len(block.quarantined), len(block.flagged), *first)


def _with_gaps(block: Block, keys: Keys, first: int) -> Keys:
    """The keys of a block's records with zeros where a record was quarantined."""
    if not block.quarantined:
        return keys
    all_keys = np.zeros((len(block.rows) + len(block.quarantined), 2), np.uint64)
    all_keys[block.rows.astype(np.int64) - first] = keys
    return all_keys


def with_sensitivity(profile: ColumnProfile) -> ColumnProfile:
    """The profile with the kind of personal data that the column holds."""
    found = extensions.load("steps", "flag_personal_data").find(profile)
    return replace(profile, sensitive=found[0] if found else None, personal=found or False)


class _Counting:
    """Statistics kept by each thread for itself, a chunk at a time, and merged at its end."""

    def __init__(self, schema: dict[str, pl.DataType], key_columns: frozenset[str], seed: int, scratch: Path) -> None:
        self._schema, self._key_columns, self._seed, self._scratch = schema, key_columns, seed, scratch
        self._parts: dict[tuple[int, int], TableStatistics] = {}  # by chunk and thread
        self.whole = self._empty()

    def take(self, part: Part[Block], source: int) -> tuple[Keys, OddCells, StoredBlock]:
        block = part.block
        frame = aligned(block, self._schema)
        if part.known is None:
            statistics = self._parts.setdefault((part.chunk, get_ident()), self._empty())
            keys, odd = statistics.update(frame, source, block.rows, self._key_columns)
        else:
            extent, keys, odd = part.known
            must_agree(extent, _extent(block))
        return keys, odd, store(block, frame, odd, source, self._scratch / f"block-{part.no:08d}.arrow")

    def of_chunk(self, chunk: int) -> TableStatistics:
        """What a chunk that is done has given; the whole has it from then on."""
        merged = self._empty()
        for key in [key for key in list(self._parts) if key[0] == chunk]:
            merged.merge(self._parts.pop(key))
        self.whole.merge(merged)
        return merged

    def total(self) -> TableStatistics:
        for part in self._parts.values():
            self.whole.merge(part)
        return self.whole

    def _empty(self) -> TableStatistics:
        return TableStatistics(sample=RowSample(self._seed))


def in_order(blocks: Iterator[B], work: Callable[[B], R], threads: int) -> Iterator[tuple[B, R]]:
    """Each block with the result of the work on it, in order; at most `threads` blocks are in work or waiting."""
    if threads <= 1:
        yield from ((block, work(block)) for block in blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[B, Future[R]]] = deque()
        try:
            for block in blocks:
                waiting.append((block, pool.submit(work, block)))
                if len(waiting) >= threads:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
