"""Compressed sources: what the first bytes say, and the content as a stream that is counted while it is unpacked.

A file may unpack to `unpacked_ratio` times its size, and to `unpacked_free` bytes whatever its size, but never to more than
`unpacked_bytes`. Only bytes that came out count: what headers promise is not believed.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from data_sanitizer import errors
from data_sanitizer.formats import _archive
from data_sanitizer.model import ReadLimits

PIECE = 1 << 18
_INPUT = 1 << 14  # compressed bytes read at a time: few, so that what was read is about what was unpacked
_FIRST_LOOK = 16 << 20  # bytes
_ZSTD_PIECE = 1 << 12  # compressed bytes a step: a zstd block of 128 KB can hide in 4 bytes, so this bounds one step at 128 MB
_DICTIONARY = 256 << 20  # bytes that xz may ask for; `xz -9` asks for 65 MB
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


def kind(head: bytes) -> str | None:
    """What the first ten bytes say: gzip, zstd, bzip2, xz, zip (an archive or a document that is one), or None."""
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return "bzip2"
    magics = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ", "xz"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"))
    return next((name for magic, name in magics if head.startswith(magic)), None)


def packing(file: BinaryIO, name: str, limits: ReadLimits) -> str | None:
    """How an open file is compressed, None where it is not; it stands at its start again. Raises ArchiveRejected."""
    file.seek(0)
    found = kind(file.read(10))
    if found == "zip" and _archive.only_member(file, name, limits) is None:
        found = None
    file.seek(0)
    return found


def size_of(file: BinaryIO) -> int:
    """The bytes of a file; it stands at its start afterwards."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size


class Allowance:
    """What may still come out of a file of `size` bytes; raises DecompressionLimit when it is used up."""

    def __init__(self, size: int, name: str, limits: ReadLimits) -> None:
        self._name, self._size, self._limits, self.used = name, size, limits, 0
        self._most = min(limits.unpacked_bytes, max(limits.unpacked_free, limits.unpacked_ratio * size))

    def take(self, count: int) -> None:
        """Count bytes that came out."""
        self.used += count
        if self.used <= self._most:
            return
        limit = "unpacked_bytes" if self.used > self._limits.unpacked_bytes else "unpacked_ratio"
        found = f"{self._size} bytes hold more than {self._most} bytes"
        raise errors.DecompressionLimit(path=self._name, found=found, limit=limit, most=getattr(self._limits, limit))


def refuse_bomb(file: BinaryIO, packed: str, name: str, limits: ReadLimits) -> None:
    """Raises DecompressionLimit for a file that unpacks to too much from its start on, before anything is done with what it holds.

    Others cost no more than their first megabytes: it stops as soon as the ratio is a usual one. What comes later is counted while it is
    read.
    """
    stream = Unpacked(file, packed, name, limits)
    while stream.following():
        if stream.used > _FIRST_LOOK and stream.used <= limits.unpacked_ratio * file.tell():
            return


class Pieces(io.RawIOBase):
    """A readable stream over a function that gives the next bytes, empty at the end."""

    def __init__(self, following: Callable[[], bytes], source: Any) -> None:
        self.following, self._source, self._rest = following, source, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        target = memoryview(buffer).cast("B")
        if not self._rest:
            self._rest = memoryview(self.following())
        size = min(len(target), len(self._rest))
        target[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        self._source.close()
        super().close()


class Unpacked(Pieces):
    """The content of a compressed file; an end before the end is TruncatedInput, too much content DecompressionLimit."""

    def __init__(self, file: BinaryIO, packed: str, name: str, limits: ReadLimits) -> None:
        self._file, self._name, self._kind = file, name, packed
        self._size = size_of(file)
        self._allowance = Allowance(self._size, name, limits)
        self._engine: Any = None
        self._input = b""
        if packed == "zip":
            self._member = _archive.opened(file, name, limits)
        ways = {"zip": self._unzip, "zstd": self._unzstd}
        super().__init__(self._counted(ways.get(packed, self._unpack)), file)

    @property
    def used(self) -> int:
        """Bytes that came out so far."""
        return self._allowance.used

    def _counted(self, following: Callable[[], bytes]) -> Callable[[], bytes]:
        def counted() -> bytes:
            data = following()
            self._allowance.take(len(data))
            return data

        return counted

    def _truncated(self) -> errors.TruncatedInput:
        return errors.TruncatedInput(path=self._name, format=self._kind, size=self._size)

    def _damaged(self) -> errors.MalformedInput:
        return errors.MalformedInput(path=self._name, format=self._kind, why="the compressed data is damaged")

    def _unpack(self) -> bytes:
        """The next bytes of gzip, bzip2 or xz: one member after the other; zeros between them are padding."""
        while True:
            if not self._input and (self._engine is None or self._engine.needs_input):
                self._input = self._file.read(_INPUT)
            if self._engine is None:
                start, self._input = self._input, self._input.lstrip(b"\0")
                if not self._input:
                    if start:
                        continue
                    return b""
                self._engine = _ENGINES[self._kind]()
            out, fed = self._step()
            if self._engine.eof:
                self._input, self._engine = self._engine.unused_data, None
            elif not out and not fed:
                raise self._truncated()
            if out:
                return out

    def _step(self) -> tuple[bytes, bool]:
        """What comes out next, and whether anything went in."""
        data, self._input = self._input, b""
        try:
            return self._engine.decompress(data, PIECE), bool(data)
        except _DAMAGE as error:
            raise self._damaged() from error

    def _unzip(self) -> bytes:
        try:
            return self._member.read(_INPUT)
        except EOFError as error:
            raise self._truncated() from error
        except (*_DAMAGE, _archive.BadZipFile) as error:
            raise self._damaged() from error

    def _unzstd(self) -> bytes:
        import zstandard

        while True:
            data = self._input or self._file.read(_ZSTD_PIECE)
            self._input = b""
            if not data:
                if self._engine is not None:
                    raise self._truncated()
                return b""
            self._engine = self._engine or zstandard.ZstdDecompressor().decompressobj()
            try:
                out: bytes = self._engine.decompress(data)
            except zstandard.ZstdError as error:
                raise self._damaged() from error
            if self._engine.eof:
                self._input, self._engine = self._engine.unused_data, None
            if out:
                return out


class _Gunzip:
    """zlib's decompressor in the form of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _unxz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY)


_ENGINES: dict[str, Callable[[], Any]] = {"gzip": _Gunzip, "bzip2": bz2.BZ2Decompressor, "xz": _unxz}
