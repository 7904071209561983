"""A source that is not on this machine: the parent, which has the network and the credentials, reads it; the child asks for bytes."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import socket
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from data_sanitizer import errors
from data_sanitizer.ports import Source
from data_sanitizer.sandbox import wire

_PIECE = 1 << 20  # bytes given at a time


class FarSource:
    """In the child: a source that the parent reads."""

    local = None

    def __init__(self, name: str, number: int, line: Line) -> None:
        self.name, self._number, self._line = name, number, line

    def open(self) -> io.RawIOBase:
        """The bytes from the start."""
        return _FarStream(self._line, self._line.call("open", self._number))

    def stamp(self) -> object:
        """A digest of the stamp that the source itself gives."""
        return self._line.call("stamp", self._number)


class Line:
    """The child's end: one question, one answer."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._lock = end, Lock()

    def call(self, what: str, *values: int) -> Any:
        """The parent's answer; raises the error that the source raised there."""
        with self._lock:
            wire.send(self._end, wire.message({"do": what, "values": list(values)}))
            data = wire.receive(self._end)
        if data is None:
            raise EOFError
        answer = pickle.loads(data)  # noqa: S301  from the parent
        if isinstance(answer, errors.DataSanitizerError | OSError):
            raise answer
        return answer


class _FarStream(io.RawIOBase):
    def __init__(self, line: Line, number: int) -> None:
        self._line, self._number, self._at = line, number, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_END:
            offset += self._line.call("size", self._number)
        self._at = offset + (self._at if whence == os.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        data = self._line.call("read", self._number, self._at, min(len(target), _PIECE))
        target[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._line.call("close", self._number)
        super().close()


class Answering:
    """In the parent: answers the child's questions about the sources that it was given, in a thread of its own."""

    def __init__(self, end: socket.socket, sources: Mapping[int, Source]) -> None:
        self._end, self._sources = end, sources
        self._streams: dict[int, io.RawIOBase] = {}
        self._opened = 0
        self.busy = False  # whether a question waits for its answer

    def serve(self) -> None:
        """Until the child ends, or asks what no child asks."""
        while (data := wire.receive(self._end)) is not None:
            self.busy = True
            answer = self._answer(wire.parsed(data) or {})
            self.busy = False
            if answer is None:
                break
            try:
                wire.send(self._end, pickle.dumps(answer))
            except OSError:
                break
        for stream in self._streams.values():
            stream.close()
        self._end.close()

    def _answer(self, told: dict[str, Any]) -> Any:
        """The answer, an error of the tree where the source raised one, None for a question that makes no sense."""
        calls: dict[Any, Callable[..., Any]] = {
            "open": self._open, "stamp": self._stamp, "size": self._size, "read": self._read, "close": self._close,
        }  # fmt: skip
        try:
            return calls[told["do"]](*map(int, told["values"]))
        except errors.DataSanitizerError as error:
            return error
        except OSError as error:
            return OSError(error.errno, os.strerror(error.errno or 0))
        except (KeyError, TypeError, ValueError):
            return None

    def _open(self, number: int) -> int:
        self._opened += 1
        self._streams[self._opened] = self._sources[number].open()
        return self._opened

    def _stamp(self, number: int) -> str:
        return hashlib.sha256(repr(self._sources[number].stamp()).encode()).hexdigest()

    def _size(self, stream: int) -> int:
        return self._streams[stream].seek(0, os.SEEK_END)

    def _read(self, stream: int, start: int, size: int) -> bytes:
        source = self._streams[stream]
        if source.tell() != start:
            source.seek(start)
        return source.read(max(0, min(size, _PIECE))) or b""

    def _close(self, stream: int) -> bool:
        self._streams.pop(stream).close()
        return True
