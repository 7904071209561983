"""An object of a store as the source of a table: a seekable stream of ranges, read ahead, whose SHA-256 is taken on the way."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from data_sanitizer.errors import InputChanged, InputNotFound
from data_sanitizer.model import StoredObject
from data_sanitizer.stores import Location

HEAD = 2 << 20  # bytes at the start, kept: they are looked at several times before the reading proper begins
RANGE = 4 << 20  # bytes a request: large enough that its delay counts little, small enough that three of them do
AHEAD = 2  # requests on their way while the one before is read


class StoredSource:
    """A `ports.Source`: one object, pinned to the version that it had when it was found; with a name where it is known by another one."""

    def __init__(self, location: Location, found: StoredObject, name: str | None = None) -> None:
        self.location, self.found, self._name = location, found, name
        self.local = Path("/") / location.key if location.scheme == "file" else None
        self._digest, self._lock = _Digest(), Lock()
        self._head: bytes | None = None

    @property
    def name(self) -> str:
        """The URL, or the name that was given."""
        return self._name or str(self.location)

    @property
    def size(self) -> int:
        """Bytes of the object."""
        return self.found.size

    def open(self) -> io.RawIOBase:
        """The bytes from the start; raises InputChanged where they are not those of the version any more."""
        return ObjectStream(self)

    def stamp(self) -> tuple[int, str]:
        """Size and version as they are now; raises InputChanged where the object is gone."""
        try:
            now = self.location.store.find(self.location.key)
        except InputNotFound as error:
            raise InputChanged(path=self.name) from error
        return now.size, now.version

    def sha256(self) -> str:
        """Of all bytes, in hexadecimal; reads only those that no stream of this source has given yet."""
        while (start := self._digest.upto) < self.size:
            self.fetched(start)
        return self._digest.hexdigest()

    def fetched(self, start: int) -> bytes:
        """The range that begins at `start`, which is 0, HEAD, or a number of whole ranges behind it."""
        if start == 0:
            with self._lock:
                if self._head is None:
                    self._head = self._read(0)
            return self._head
        return self._read(start)

    def _read(self, start: int) -> bytes:
        size = min(RANGE if start else HEAD, self.size - start)
        data = self.location.store.read(self.found, start, size)
        self._digest.take(start, data)
        return data


class _Digest:
    """The SHA-256 of bytes that arrive in ranges; a range that comes too early waits for the ones before it."""

    def __init__(self) -> None:
        self._sum, self._lock, self.upto = hashlib.sha256(), Lock(), 0
        self._early: dict[int, bytes] = {}

    def take(self, start: int, data: bytes) -> None:
        with self._lock:
            if start > self.upto:
                if start - self.upto <= (AHEAD + 1) * RANGE:  # what lies farther off was not read in order: it will come again
                    self._early[start] = data
                return
            while data and start == self.upto:
                self._sum.update(data)
                start = self.upto = start + len(data)
                data = self._early.pop(start, b"")
            self._early = {at: early for at, early in self._early.items() if at > self.upto}

    def hexdigest(self) -> str:
        return self._sum.hexdigest()


class ObjectStream(io.RawIOBase):
    """Bytes of one object from any position; in a row they are asked for before they are wanted."""

    def __init__(self, source: StoredSource) -> None:
        self._source, self._position = source, 0
        self._ranges: dict[int, Future[bytes]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._last = -1

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move, without asking the store for anything."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes, at most up to the end of a range."""
        target = memoryview(buffer).cast("B")
        if self._position >= self._source.size or not target:
            return 0
        start = _range_of(self._position)
        data = self._range(start)
        piece = memoryview(data)[self._position - start :][: len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Let go of what was read ahead."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._ranges.clear()
        super().close()

    def _range(self, start: int) -> bytes:
        """The range, and those behind it on their way once two have been read in a row."""
        if start == 0 and start not in self._ranges:
            self._last = 0
            return self._source.fetched(0)
        in_a_row = start == _following(self._last) or start == self._last
        wanted = [start]
        while in_a_row and len(wanted) <= AHEAD and (following := _following(wanted[-1])) < self._source.size:
            wanted.append(following)
        for at in [at for at in self._ranges if at not in wanted]:
            del self._ranges[at]
        for at in wanted:
            if at not in self._ranges:
                self._ranges[at] = self._ask(at)
        self._last = start
        return self._ranges[start].result()

    def _ask(self, start: int) -> Future[bytes]:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(AHEAD + 1, thread_name_prefix="read-ahead")
        return self._pool.submit(self._source.fetched, start)


def _range_of(position: int) -> int:
    """Where the range begins that a byte lies in."""
    return 0 if position < HEAD else HEAD + (position - HEAD) // RANGE * RANGE


def _following(start: int) -> int:
    """Where the range after this one begins; the first one where there is none before."""
    return 0 if start < 0 else HEAD if start == 0 else start + RANGE
