"""The bytes of a source from its start: unpacked from gzip or zstd by content, and as UTF-8 whatever the file's encoding was."""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from data_sanitizer import errors
from data_sanitizer.formats._sources import as_source
from data_sanitizer.ports import Source

BLOCK = 12 << 20  # bytes: large enough that the calls for each block cost little beside it, small enough that a few stay below 150 MB
SAMPLE = 1 << 20  # bytes looked at before anything is decided
_PIECE = 1 << 18
_ZSTD_PIECE = 1 << 12  # compressed bytes a step: a zstd block of 128 KB can hide in 4 bytes, so this bounds one step at 128 MB


def compression(head: bytes) -> str | None:
    """What the first bytes say about compression: gzip, zstd or None."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else None


def open_file(place: Path | Source, name: str) -> BinaryIO:
    """The source's bytes as they are stored, unbuffered; raises InputNotFound, InputIsDirectory or InputUnreadable."""
    try:
        return cast("BinaryIO", as_source(place, name).open())
    except FileNotFoundError as error:
        raise errors.InputNotFound(path=name) from error
    except IsADirectoryError as error:
        raise errors.InputIsDirectory(path=name) from error
    except OSError as error:
        raise errors.InputUnreadable(path=name, why=os.strerror(error.errno or 0)) from error


def open_bytes(place: Path | Source, name: str, encoding: str = "utf-8") -> io.RawIOBase:
    """The table's bytes as UTF-8 without a byte order mark; raises TruncatedInput and MalformedInput where unpacking or decoding fails."""
    file = open_file(place, name)
    packed = compression(file.read(4))
    file.seek(0)
    stream = cast("io.RawIOBase", file) if packed is None else _Unpacked(file, packed, name)
    if encoding in ("utf-8", "utf-8-sig"):
        return stream if encoding == "utf-8" else _skipped(stream, len(codecs.BOM_UTF8))
    return _Transcoded(stream, encoding, name)


def read_up_to(stream: io.RawIOBase, size: int) -> bytes:
    """The next `size` bytes, fewer only at the end."""
    data = bytearray(size)
    have = 0
    with memoryview(data) as view:
        while have < size and (count := stream.readinto(view[have:]) or 0):
            have += count
        return bytes(view[:have])


def spool(stream: io.RawIOBase | BinaryIO, target: Path) -> Path:
    """Copies all of a stream to a file, in pieces; raises DiskFull or OutputNotWritable."""
    try:
        with target.open("wb") as out:
            shutil.copyfileobj(cast("BinaryIO", stream), out, _PIECE)
    except OSError as error:
        raise not_written(target, error) from error
    return target


def not_written(path: Path, error: OSError) -> errors.EnvironmentFailed:
    """What the system's refusal to write means to the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.DiskFull(path=str(path))
    return errors.OutputNotWritable(path=str(path), why=os.strerror(error.errno or errno.EIO))


def stamp(place: Path | Source) -> object:
    """What changes when a source is written to or replaced."""
    return as_source(place, "").stamp()


def must_be_unchanged(place: Path | Source, name: str, before: object) -> None:
    """Raises InputChanged where the source is not the one that `before` was taken of."""
    try:
        same = stamp(place) == before
    except OSError as error:
        raise errors.InputChanged(path=name) from error
    if not same:
        raise errors.InputChanged(path=name)


def windows_1252(data: bytes) -> str:
    """Western 8-bit text as browsers read it: cp1252, and the five bytes that it leaves undefined as control characters."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return "".join(bytes([b]).decode("cp1252") if b not in _UNDEFINED else chr(b) for b in data)


_UNDEFINED = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def as_utf8(block: bytes) -> tuple[bytes, int]:
    """The block with every line that is not UTF-8 read as cp1252 instead, and how many lines that were."""
    lines, wrong = block.split(b"\n"), 0
    for i, line in enumerate(lines):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            lines[i] = windows_1252(line).encode("utf-8")
            wrong += 1
    return b"\n".join(lines), wrong


def _skipped(stream: io.RawIOBase, count: int) -> io.RawIOBase:
    read_up_to(stream, count)
    return stream


class _Pieces(io.RawIOBase):
    """A readable stream over a function that gives the next bytes, empty at the end."""

    def __init__(self, following: Callable[[], bytes], source: Any) -> None:
        self._next, self._source, self._rest = following, source, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._rest:
            self._rest = memoryview(self._next())
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        self._source.close()
        super().close()


class _Unpacked(_Pieces):
    """The content of a gzip or zstd file; an end before the end is TruncatedInput."""

    def __init__(self, file: BinaryIO, kind: str, name: str) -> None:
        self._file, self._name, self._kind = file, name, kind
        self._gzip = gzip.GzipFile(fileobj=io.BufferedReader(cast("io.RawIOBase", file), _PIECE)) if kind == "gzip" else None
        self._frame: Any = None
        self._left = b""
        super().__init__(self._gunzip if kind == "gzip" else self._unzstd, file)

    def _truncated(self) -> errors.TruncatedInput:
        return errors.TruncatedInput(path=self._name, format=self._kind, size=self._file.seek(0, os.SEEK_END))

    def _gunzip(self) -> bytes:
        assert self._gzip is not None
        try:
            return self._gzip.read(_PIECE)
        except EOFError as error:
            raise self._truncated() from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise errors.MalformedInput(path=self._name, format="gzip", why="the compressed data is damaged") from error

    def _unzstd(self) -> bytes:
        import zstandard

        while True:
            data = self._left or self._file.read(_ZSTD_PIECE)
            self._left = b""
            if not data:
                if self._frame is not None:
                    raise self._truncated()
                return b""
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                out: bytes = self._frame.decompress(data)
            except zstandard.ZstdError as error:
                raise errors.MalformedInput(path=self._name, format="zstd", why="the compressed data is damaged") from error
            if self._frame.eof:
                self._left, self._frame = self._frame.unused_data, None
            if out:
                return out


class _Transcoded(_Pieces):
    """Text in another encoding as UTF-8; bytes that the encoding does not know are MalformedInput."""

    def __init__(self, stream: io.RawIOBase, encoding: str, name: str) -> None:
        self._stream, self._encoding, self._name, self._done = stream, encoding, name, False
        self._decoder = codecs.getincrementaldecoder(encoding)()
        super().__init__(self._recode, stream)

    def _recode(self) -> bytes:
        while not self._done:
            data = self._stream.read(_PIECE) or b""
            self._done = not data
            if text := self._decode(data):
                return text.encode("utf-8")
        return b""

    def _decode(self, data: bytes) -> str:
        if self._encoding == "cp1252":
            return windows_1252(data)
        try:
            return self._decoder.decode(data, final=self._done)
        except UnicodeDecodeError as error:
            why = f"bytes that {self._encoding} does not define; name the right encoding"
            raise errors.MalformedInput(path=self._name, format="text", why=why) from error
