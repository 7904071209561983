"""The bytes of a source from its start: unpacked by content, and as UTF-8 whatever the file's encoding was."""

from __future__ import annotations

import codecs
import errno
import io
import os
import shutil
from pathlib import Path
from typing import BinaryIO, cast

from data_sanitizer import errors
from data_sanitizer.formats._compression import PIECE, Pieces, Unpacked, packing
from data_sanitizer.formats._sources import as_source
from data_sanitizer.model import ReadLimits
from data_sanitizer.ports import Source

BLOCK = 8 << 20  # bytes: large enough that the calls for each block cost little beside it; 12 MB would be 3 % faster and take 65 MB more
SAMPLE = 1 << 20  # bytes looked at before anything is decided


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


def open_bytes(place: Path | Source, name: str, encoding: str = "utf-8", limits: ReadLimits | None = None) -> io.RawIOBase:
    """The table's bytes as UTF-8 without a byte order mark; raises TruncatedInput, MalformedInput, ArchiveRejected or DecompressionLimit
    where unpacking or decoding fails.
    """
    file, limits = open_file(place, name), limits or ReadLimits()
    packed = packing(file, name, limits)
    stream = cast("io.RawIOBase", file) if packed is None else Unpacked(file, packed, name, limits)
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
            shutil.copyfileobj(cast("BinaryIO", stream), out, PIECE)
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


class _Transcoded(Pieces):
    """Text in another encoding as UTF-8; bytes that the encoding does not know are MalformedInput."""

    def __init__(self, stream: io.RawIOBase, encoding: str, name: str) -> None:
        self._stream, self._encoding, self._name, self._done = stream, encoding, name, False
        self._decoder = codecs.getincrementaldecoder(encoding)()
        super().__init__(self._recode, stream)

    def _recode(self) -> bytes:
        while not self._done:
            data = self._stream.read(PIECE) or b""
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
