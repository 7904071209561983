"""Parts of a pass that are kept as they are done, so that the next attempt at the same run does not do them again.

A chunk is some blocks in a row. It ends when its work has taken long enough to be worth keeping; what is found again is the same as what
would be computed, so neither where chunks end nor whether there are any changes a byte of the result.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import zstandard

from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.ports import Checkpoints

B = TypeVar("B")
_LEVEL = 1  # of zstd: what is kept is read at most once


@dataclass(frozen=True, slots=True)
class Part(Generic[B]):
    """A block on its way through a pass: its number, that of its chunk, and what is known of it from an earlier attempt."""

    no: int
    chunk: int
    block: B
    known: Any = None


@dataclass(slots=True)
class _Chunk:
    first: int
    begun: float
    last: int | None = None  # number of the last block, when that is known
    items: list[Any] = field(default_factory=list)
    rows: int = 0


class Chunks:
    """The chunks of one stage. `summary` gives what a chunk of a number has beside its blocks, `adopt` gets that of one that was kept."""

    def __init__(self, stage: str, kept: Checkpoints | None, summary: Callable[[int], Any], adopt: Callable[[Any], None]) -> None:
        self._stage, self._kept, self._summary, self._adopt = stage, kept, summary, adopt
        self._open: dict[int, _Chunk] = {}
        self._known: dict[int, Any] = {}
        self._no = self._chunk = 0
        self._beside = ThreadPoolExecutor(1)
        self._saving: Future[None] | None = None

    def parts(self, blocks: Iterator[B]) -> Iterator[Part[B]]:
        """The blocks with their numbers; those of several calls are counted through."""
        for block in blocks:
            self._begin()
            yield Part(self._no, self._chunk, block, self._known.pop(self._no, None))
            self._no += 1

    def done(self, part: Part[Any], item: Any, rows: int) -> None:
        """A block has been through; to be called in order. `item` is what the work on it gave, to be known of it later."""
        if self._kept is None or part.known is not None:
            return
        chunk = self._open[part.chunk]
        chunk.items.append(item)
        chunk.rows += rows
        if chunk.last == part.no:
            self._save(part.chunk)

    def end(self) -> None:
        """The pass is over: the chunk at hand is kept where that is worth it, and everything is stored."""
        if self._kept is not None and self._chunk in self._open and self._is_worth(self._open[self._chunk]):
            self._save(self._chunk)
        self._wait()
        self._beside.shutdown()

    def _begin(self) -> None:
        """Begin a chunk where the one at hand is long enough, or where one was kept that begins here."""
        if self._kept is None or self._no in self._known:
            return
        data = self._kept.load(self._stage, self._no)
        at_hand = self._open.get(self._chunk)
        if at_hand is not None and (data is not None or self._is_worth(at_hand)):
            at_hand.last = self._no - 1
            if len(at_hand.items) == self._no - at_hand.first:
                self._save(self._chunk)
        if data is not None:
            self._take(data)
        elif at_hand is None or at_hand.last is not None:
            self._chunk += 1
            self._open[self._chunk] = _Chunk(self._no, time.monotonic())

    def _take(self, data: bytes) -> None:
        items, summary = pickle.loads(zstandard.decompress(data))  # noqa: S301  its digest stands in the database
        self._known = {self._no + place: item for place, item in enumerate(items)}
        self._adopt(summary)

    def _is_worth(self, chunk: _Chunk) -> bool:
        return self._kept is not None and time.monotonic() - chunk.begun >= self._kept.worth

    def _save(self, number: int) -> None:
        chunk = self._open.pop(number)
        data = pickle.dumps((chunk.items, self._summary(number)), protocol=5)
        self._wait()
        self._saving = self._beside.submit(self._store, chunk, data)

    def _store(self, chunk: _Chunk, data: bytes) -> None:
        if self._kept is not None:
            self._kept.save(self._stage, chunk.first, zstandard.compress(data, _LEVEL), chunk.rows)

    def _wait(self) -> None:
        if self._saving is not None:
            self._saving.result()


def must_agree(known: tuple[int, ...], found: tuple[int, ...]) -> None:
    """Raise where a block is not the one of which something is known: the same source is always cut into the same blocks."""
    if known != found:
        raise DataSanitizerError(why="a source was cut into other blocks than before")
