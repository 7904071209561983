"""CSV, TSV and other delimited text: read at full speed in bounded memory, every odd record kept, padded or quarantined by name.

Blocks of some megabytes are cut at record ends and parsed by Polars. Only blocks that a plain parser would misread (ragged records, stray
quotes, blank lines, old line ends) are first written anew by the exact scanner. The result is the same for any block size.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats import _bytes, _dialect, _encoding
from data_sanitizer.model import Block, Decision, ReadOptions, RowIssue
from data_sanitizer.ports import Source

SUFFIXES = ("csv", "tsv", "tab", "txt", "psv", "dat")
_FAVOURITES = {".tsv": "\t", ".tab": "\t", ".psv": "|"}
_MOST_CELLS = 4 << 20  # cells in one block: 64 MB of string views, however short the records are
_LONGEST_RECORD = 64 << 20
_MOST_COLUMNS = 20_000
_STEP = 1 << 18  # bytes counted at a time: they stay in the processor's cache


def read(path: Path | Source, name: str, options: ReadOptions, scratch: Path, block: int = _bytes.BLOCK) -> Delimited:
    """Finds encoding, delimiter and header from the first megabyte; `block` is the number of bytes parsed at once."""
    if options.delimiter is not None and (len(options.delimiter) != 1 or options.delimiter in '"\r\n' or not options.delimiter.isascii()):
        raise errors.UsageError(why="A delimiter is one ASCII character other than a quote or a line end.")
    raw, complete = _sample(path, name, "utf-8")
    encoding, evidence = _encoding.choose(options.encoding, raw, complete)
    sample, complete = (raw, complete) if encoding == "utf-8" else _sample(path, name, encoding)
    if not sample.strip():
        raise errors.EmptyInput(path=name)
    text = _bytes.as_utf8(sample)[0].decode("utf-8", errors="strict" if complete else "ignore")
    dialect = _dialect.detect(text, complete, options, _favourite(path if isinstance(path, Path) else Path(name)))
    if len(dialect.names) > _MOST_COLUMNS:
        raise errors.MalformedInput(path=name, format="CSV", why=f"it has {len(dialect.names)} columns, more than {_MOST_COLUMNS}")
    told = _encoding.decision(encoding, evidence)
    return Delimited(path, name, encoding, dialect, (*([told] if told else []), *dialect.decisions), block)


def write(table: pl.LazyFrame, path: Path) -> None:
    """UTF-8, comma, LF, header, quotes only where needed; an empty field is null and `""` an empty text."""
    table.sink_csv(path, maintain_order=True, check_extension=False)


def _favourite(path: Path) -> str | None:
    return next((_FAVOURITES[s] for s in reversed(path.suffixes) if s in _FAVOURITES), None)


def _sample(path: Path | Source, name: str, encoding: str) -> tuple[bytes, bool]:
    """The first megabyte in UTF-8 (cut at a character) and whether that is all there is."""
    with _bytes.open_bytes(path, name, encoding) as stream:
        data = _bytes.read_up_to(stream, _bytes.SAMPLE + 1)
    return data[: _bytes.SAMPLE], len(data) <= _bytes.SAMPLE


@dataclass
class _Tally:
    """What one pass meets that the sample could not show."""

    records: int = 0
    blank_lines: int = 0
    other_encoding: int = 0

    def decisions(self) -> Iterator[Decision]:
        if self.blank_lines:
            yield Decision("blank lines", f"{self.blank_lines} left out", "a line without content is not a record")
        if self.other_encoding:
            yield Decision("encoding", f"{self.other_encoding} lines read as cp1252", "the file is UTF-8, but these lines are not")


class Delimited:
    """A delimited text that has been looked at; `decisions` is complete once `blocks` has been read to its end."""

    format = "csv"
    schema: Mapping[str, pl.DataType]

    def __init__(self, path: Path | Source, name: str, encoding: str, dialect: _dialect.Dialect, found: tuple[Decision, ...],
                 block: int) -> None:  # fmt: skip
        self.name, self.decisions = name, found
        self.schema = pl.Schema(dict.fromkeys(dialect.names, pl.String()))
        self._path, self._encoding, self._dialect, self._block = path, encoding, dialect, block
        self._stamp, self._late = _bytes.stamp(path), cast("tuple[Decision, ...]", ())
        self._cuts: list[tuple[int, int]] | None = None

    def blocks(self) -> Iterator[Block]:
        """Every record once, in order; raises TruncatedInput, MalformedInput or InputChanged where the bytes end, break or are new."""
        _bytes.must_be_unchanged(self._path, self.name, self._stamp)
        tally = _Tally()
        with _bytes.open_bytes(self._path, self.name, self._encoding) as stream:
            _bytes.read_up_to(stream, self._dialect.start)
            for data, expected in self._pieces(stream):
                yield self._block_of(data, expected, tally)
        _bytes.must_be_unchanged(self._path, self.name, self._stamp)
        before, self._late = self._late, tuple(tally.decisions())
        self.decisions = (*(d for d in self.decisions if d not in before), *self._late)

    def _pieces(self, stream: io.RawIOBase) -> Iterator[tuple[bytes, int]]:
        """Whole records and how many they are; the second time they are cut where they were cut the first time."""
        if self._cuts is not None:
            for size, expected in self._cuts:
                data = _bytes.read_up_to(stream, size)
                yield data if len(data) == size else data + b"\n", expected
            return
        cuts = []
        for data, expected in _Cutter(stream, self).pieces():
            cuts.append((len(data), expected))
            yield data, expected
        self._cuts = cuts

    def _block_of(self, data: bytes, expected: int, tally: _Tally) -> Block:
        frame = self._parsed(data) if expected >= 0 else None
        if frame is not None and frame.height == expected:
            first, tally.records = tally.records, tally.records + frame.height
            return Block(np.arange(first, tally.records, dtype=np.uint64), frame)
        data, wrong = _bytes.as_utf8(data)
        tally.other_encoding += wrong
        return self._exact(data, tally)

    def _parsed(self, data: bytes) -> pl.DataFrame | None:
        """The plain parser's reading, None where it refuses the data."""
        if not data:
            return pl.DataFrame(schema=self.schema)
        try:
            return pl.read_csv(
                data,
                has_header=False,
                schema=self.schema,
                infer_schema=False,
                separator=self._dialect.delimiter,
            )
        except pl.exceptions.PolarsError:
            return None

    def _exact(self, data: bytes, tally: _Tally) -> Block:
        """The block by the exact scanner: odd records written anew, those that do not fit set aside."""
        from data_sanitizer.formats import _records

        source = np.frombuffer(data, np.uint8)
        most = int(np.count_nonzero(source == _records.LF)) + (int(np.count_nonzero(source == _records.CR)) if self._dialect.cr else 0)
        records = np.empty((most, 5), np.int64)
        out = np.empty(4 * len(data) + most * (len(self.schema) + 1), np.uint8)
        size, count, blanks = _records.rewrite(source, len(data), self.rules(), records, out)
        records = records[:count]
        frame = self._parsed(out[:size].tobytes())
        kept = records[:, 4] == 1
        if frame is None or frame.height != np.count_nonzero(kept):
            raise errors.MalformedInput(path=self.name, format="CSV", why=f"the records after record {tally.records} cannot be separated")
        issues = list(self._issues(data, records, tally.records))
        first, tally.records, tally.blank_lines = tally.records, tally.records + count, tally.blank_lines + blanks
        rows = np.arange(first, tally.records, dtype=np.uint64)[kept]
        return Block(rows, frame, tuple(i for i, keep in issues if not keep), tuple(i for i, keep in issues if keep))

    def _issues(self, data: bytes, records: np.ndarray[tuple[int, int], np.dtype[np.int64]], first: int) -> Iterator[tuple[RowIssue, bool]]:
        from data_sanitizer.formats import _records

        cols = len(self.schema)
        odd = np.flatnonzero((records[:, 2] != cols) | (records[:, 3] >= _records.STRAY))
        for i in odd.tolist():
            start, end, fields, form, keep = records[i].tolist()
            reasons = [f"{fields} fields where the header has {cols}"] if fields != cols else []
            if form == _records.OPEN:
                reasons.append("a quote opens and is never closed")
            elif form == _records.STRAY:
                reasons.append("a quote stands inside a quoted field")
            text = data[start:end].decode("utf-8").rstrip("\r\n")
            yield RowIssue(first + i, "; ".join(reasons), text), bool(keep)

    def rules(self) -> _records.Rules:  # type: ignore[name-defined]  # noqa: F821
        """The dialect in the form that the scanners take."""
        from data_sanitizer.formats import _records

        escape = ord(self._dialect.escape) if self._dialect.escape else 0
        sep = ord(self._dialect.delimiter)
        return _records.Rules(sep, ord('"'), escape, self._dialect.cr, len(self.schema), _records.FIELD_LIMIT)


class _Cutter:
    """Cuts a stream of bytes into pieces of whole records and says of each how many they are: -1 where a plain parser would misread it."""

    def __init__(self, stream: io.RawIOBase, reading: Delimited) -> None:
        self._stream, self._name, self._reading = stream, reading.name, reading
        self._cols = len(reading.schema)
        self._sep = ord(reading._dialect.delimiter)
        self._buffer = bytearray(reading._block + 1)
        self._line_ends = b"\r\n" if reading._dialect.cr else b"\n"
        self._have, self._final = 0, False

    def pieces(self) -> Iterator[tuple[bytes, int]]:
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
        if len(self._buffer) > _LONGEST_RECORD:
            raise errors.MalformedInput(path=self._name, format="CSV", why=f"a record is longer than {_LONGEST_RECORD >> 20} MB")
        larger = bytearray(2 * len(self._buffer))
        larger[: self._have] = self._buffer[: self._have]
        self._buffer = larger

    def _cut(self) -> tuple[int, int]:
        """End of the whole records in the buffer, and how many they are where they are regular, else -1."""
        if not (self._reading._dialect.cr or self._reading._dialect.escape):
            end, lines, seps = self._counted() if self._buffer.find(b'"', 0, self._have) < 0 else self._glanced()
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
        end, lines, seps = _records.glance(data, self._have, self._sep, self._final)
        return int(end), int(lines) if self._cols > 1 else 0, int(seps)

    def _scanned(self) -> tuple[int, int]:
        from data_sanitizer.formats import _records

        data = np.frombuffer(self._buffer, np.uint8)
        most = max(1, _MOST_CELLS // self._cols)
        end, records, regular = _records.scan(data, self._have, self._final, self._reading.rules(), most)
        return int(end), int(records) if regular else -1
