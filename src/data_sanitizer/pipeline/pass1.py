"""Pass 1: read every row once; count, sample and key it, and keep it where pass 2 finds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from threading import local
from typing import Any, TypeVar

import numpy as np
import polars as pl

from data_sanitizer import extensions
from data_sanitizer.duplicates.exact import KeyFile
from data_sanitizer.model import Block
from data_sanitizer.pipeline.stored import StoredBlock, store
from data_sanitizer.ports import Reading
from data_sanitizer.profile import Keys, TableStatistics
from data_sanitizer.profile.column_profile import ColumnProfile, summarise
from data_sanitizer.profile.sample import RowSample
from data_sanitizer.recipe import Recipe

B = TypeVar("B")
R = TypeVar("R")


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


def survey(readings: Sequence[Reading], recipe: Recipe, scratch: Path, threads: int) -> Survey:
    """Read all sources once; what is learned does not depend on the size of blocks or the number of threads."""
    schema = joined_schema(readings)
    counting = _Counting(schema, frozenset(recipe.duplicates.columns(list(schema))), recipe.seed, scratch)
    keys, sources, blocks, first = KeyFile(scratch / "keys"), [], [], 0
    for number, reading in enumerate(readings):
        rows = quarantined = 0
        for block, (block_keys, stored) in in_order(reading.blocks(), partial(counting.take, source=number), threads):
            keys.append(_with_gaps(block, block_keys, rows))
            blocks.append(stored)
            rows += len(block.rows) + len(block.quarantined)
            quarantined += len(block.quarantined)
        sources.append(SourceRows(reading.name, first, rows, quarantined))
        first += rows
    keys.close()
    statistics = counting.total()
    profiles = {name: with_sensitivity(p) for name, p in summarise(statistics, schema).items()}
    return Survey(schema, tuple(sources), profiles, statistics.sample.rows(), keys, tuple(blocks))


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


@dataclass
class _Counting:
    """Statistics kept by each thread for itself and merged at the end."""

    schema: dict[str, pl.DataType]
    key_columns: frozenset[str]
    seed: int
    scratch: Path
    number: Iterator[int] = field(default_factory=count)
    parts: list[TableStatistics] = field(default_factory=list)
    own: Any = field(default_factory=local)

    def take(self, block: Block, source: int) -> tuple[Keys, StoredBlock]:
        if not hasattr(self.own, "statistics"):
            self.own.statistics = TableStatistics(sample=RowSample(self.seed))
            self.parts.append(self.own.statistics)
        frame = aligned(block, self.schema)
        keys, odd = self.own.statistics.update(frame, source, block.rows, self.key_columns)
        return keys, store(block, frame, odd, source, self.scratch / f"block-{next(self.number):08d}.arrow")

    def total(self) -> TableStatistics:
        merged = TableStatistics(sample=RowSample(self.seed))
        for part in self.parts:
            merged.merge(part)
        return merged


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
