"""Cuts a stream of delimited text into pieces of whole records."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np

from data_sanitizer import errors
from data_sanitizer.formats._delimiters import rules
from data_sanitizer.formats._dialect import Dialect
from data_sanitizer.model import ReadLimits

_MOST_CELLS = 4 << 20  # cells in one piece: 64 MB of string views, however short the records are
_STEP = 1 << 18  # bytes counted at a time: they stay in the processor's cache


class Cutter:
    """Cuts a stream of bytes into pieces of whole records and says of each how many they are: -1 where a plain parser would misread it."""

    def __init__(self, stream: io.RawIOBase, name: str, dialect: Dialect, block: int, limits: ReadLimits) -> None:
        signs, self._cols = dialect.signs, len(dialect.names)
        self._stream, self._name, self._signs, self._longest = stream, name, signs, limits.row_bytes
        self._sep = ord(signs.delimiter)
        self._quote = signs.quote.encode()
        self._plain = not (signs.cr or signs.escape or signs.blanks)
        self._buffer = bytearray(block + 1)
        self._line_ends = b"\r\n" if signs.cr else b"\n"
        self._have, self._final = 0, False

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """The pieces, in order."""
        while self._fill():
            end, expected = self._cut()
            if end == 0:
                self._grow()
                continue
            yield bytes(memoryview(self._buffer)[:end]), expected
            self._have -= end
            self._buffer[: self._have] = self._buffer[end : end + self._have]

    def _fill(self) -> bool:
        """Reads until the buffer is full or the source ends; the end of the last record is always marked by a line end."""
        room = len(self._buffer) - 1
        with memoryview(self._buffer) as view:
            while not self._final and self._have < room:
                size = self._stream.readinto(view[self._have : room]) or 0
                self._have += size
                self._final = size == 0
            if self._final and self._have and view[self._have - 1] not in self._line_ends:
                view[self._have] = 10
                self._have += 1
        return self._have > 0

    def _grow(self) -> None:
        if self._have > self._longest:
            found = f"a record has more than {self._longest} bytes"
            raise errors.RowTooLarge(path=self._name, found=found, limit="row_bytes", most=self._longest)
        larger = bytearray(2 * len(self._buffer))
        larger[: self._have] = self._buffer[: self._have]
        self._buffer = larger

    def _cut(self) -> tuple[int, int]:
        """End of the whole records in the buffer, and how many they are where they are regular, else -1."""
        if self._plain:
            quoted = self._quote and self._buffer.find(self._quote, 0, self._have) >= 0
            end, lines, seps = self._glanced() if quoted else self._counted()
            if lines > 0 and seps + lines <= _MOST_CELLS and seps == lines * (self._cols - 1) and not self._has_cr_field(end):
                return end, lines
        return self._scanned()

    def _has_cr_field(self, end: int) -> bool:
        """Whether some field ends in a CR of its own, which the plain parser would drop."""
        return self._buffer.find(b"\r", 0, end) >= 0 and self._buffer.find(bytes((13, self._sep)), 0, end) >= 0

    def _counted(self) -> tuple[int, int, int]:
        """Where there are no quotes: the end of the last line, lines, delimiters. A delimiter too many is the parser's to find."""
        end, seps, lines = self._buffer.rfind(b"\n", 0, self._have) + 1, 0, 0
        data = np.frombuffer(self._buffer, np.uint8, end)
        for i in range(0, end, _STEP):
            part = data[i : i + _STEP]
            seps += int(np.count_nonzero(part == self._sep))
            lines += int(np.count_nonzero(part == 10))
        return end, lines, seps

    def _glanced(self) -> tuple[int, int, int]:
        """The same with quotes, as far as each stands where quotes belong; no lines otherwise, or in a table of one column."""
        from data_sanitizer.formats import _records

        data = np.frombuffer(self._buffer, np.uint8)
        end, lines, seps = _records.glance(data, self._have, self._sep, ord(self._quote), self._final)
        return int(end), int(lines) if self._cols > 1 else 0, int(seps)

    def _scanned(self) -> tuple[int, int]:
        from data_sanitizer.formats import _records

        data = np.frombuffer(self._buffer, np.uint8)
        most = max(1, _MOST_CELLS // self._cols)
        end, records, regular = _records.scan(data, self._have, self._final, rules(self._signs, self._cols), most)
        return int(end), int(records) if regular else -1
