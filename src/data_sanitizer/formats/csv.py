"""CSV, TSV and other delimited text: read at full speed in bounded memory, every odd record kept, padded or quarantined by name.

Blocks of some megabytes are cut at record ends and parsed by Polars. Only blocks that a plain parser would misread (ragged records, stray
quotes, blank lines, old line ends) are first written anew by the exact scanner. The result is the same for any block size.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import errors
from data_sanitizer.formats import _bytes, _dialect, _encoding, _facts, _line_ends
from data_sanitizer.formats._columns import checked_names
from data_sanitizer.formats._cutter import Cutter
from data_sanitizer.formats._footer import without_footer
from data_sanitizer.formats._line_ends import WithLineFeeds
from data_sanitizer.formats._sizes import long_rows
from data_sanitizer.formats._tally import Tally
from data_sanitizer.model import Block, Decision, ReadLimits, ReadOptions
from data_sanitizer.ports import Source

SUFFIXES = ("csv", "tsv", "tab", "txt", "psv", "dat")
_FAVOURITES = {".tsv": "\t", ".tab": "\t", ".psv": "|"}


def read(path: Path | Source, name: str, options: ReadOptions, scratch: Path, block: int = _bytes.BLOCK) -> Delimited:
    """Finds encoding, signs and header from the first megabyte; `block` is the number of bytes parsed at once."""
    _must_be_possible(options)
    raw, complete = _sample(path, name, "utf-8", options.limits)
    encoding, evidence = _encoding.choose(options.encoding, raw, complete)
    sample, complete = (raw, complete) if encoding == "utf-8" else _sample(path, name, encoding, options.limits)
    if not sample.strip():
        raise errors.EmptyInput(path=name)
    text = _bytes.as_utf8(sample)[0].decode("utf-8", errors="strict" if complete else "ignore").encode("utf-8")
    ends = _line_ends.unusual(text)
    favourite = _favourite(path if isinstance(path, Path) else Path(name))
    dialect = _dialect.detect(text.replace(ends, b"\n") if ends else text, complete, options, favourite)
    checked_names(dialect.names, options.limits, name)
    found = [d for d in (_encoding.decision(encoding, evidence), _told(ends)) if d]
    return Delimited(path, name, encoding, dialect, ends, (*found, *dialect.decisions), block, options.limits)


def _told(ends: bytes | None) -> Decision | None:
    return Decision("line ends", _line_ends.NAMES[ends], "there is no LF and no CR") if ends else None


def write(table: pl.LazyFrame, path: Path) -> None:
    """UTF-8, comma, LF, header, quotes only where needed; an empty field is null and `""` an empty text."""
    table.sink_csv(path, maintain_order=True, check_extension=False)


def write_under(table: pl.LazyFrame, path: Path, header: Sequence[str] | None) -> None:
    """As `write`, under a header of any texts (empty or equal ones too), or under none."""
    with path.open("wb") as file:
        if header is not None:
            file.write(
                pl.DataFrame([[text or (None if header[1:] else "") for text in header]], orient="row")
                .write_csv(include_header=False)
                .encode("utf-8")
            )
        table.sink_csv(file, include_header=False, maintain_order=True)


def _must_be_possible(options: ReadOptions) -> None:
    for what, sign in (("delimiter", options.delimiter), ("quote", options.quote or None), ("escape sign", options.escape or None)):
        if sign is not None and (len(sign) != 1 or sign in "\r\n" or not sign.isascii()):
            raise errors.UsageError(why=f"A {what} is one ASCII character other than a line end.")
    quote = '"' if options.quote is None else options.quote
    if options.delimiter is not None and options.delimiter in (quote, options.escape):
        raise errors.UsageError(why="A delimiter cannot be the quote or the escape sign as well.")
    if (options.skip_lines or 0) < 0 or int(options.header or 0) < 0:
        raise errors.UsageError(why="The number of lines to skip and of header rows is 0 or more.")


def _favourite(path: Path) -> str | None:
    return next((_FAVOURITES[s] for s in reversed(path.suffixes) if s in _FAVOURITES), None)


def _sample(path: Path | Source, name: str, encoding: str, limits: ReadLimits) -> tuple[bytes, bool]:
    """The first megabyte in UTF-8 (cut at a character) and whether that is all there is."""
    with _bytes.open_bytes(path, name, encoding, limits) as stream:
        data = _bytes.read_up_to(stream, _bytes.SAMPLE + 1)
    return data[: _bytes.SAMPLE], len(data) <= _bytes.SAMPLE


class Delimited:
    """A delimited text that has been looked at; `decisions` is complete once `blocks` has been read to its end."""

    format = "csv"
    schema: Mapping[str, pl.DataType]

    def __init__(self, path: Path | Source, name: str, encoding: str, dialect: _dialect.Dialect, ends: bytes | None,
                 found: tuple[Decision, ...], block: int, limits: ReadLimits) -> None:  # fmt: skip
        self.name, self.decisions, self.dialect = name, found, dialect
        self.header = dialect.layout.labels
        self.schema = pl.Schema(dict.fromkeys(dialect.names, pl.String()))
        self._path, self._encoding, self._ends, self._block, self._limits = path, encoding, ends, block, limits
        self._stamp, self._late = _bytes.stamp(path), cast("tuple[Decision, ...]", ())
        self._cuts: list[tuple[int, int]] | None = None

    def blocks(self) -> Iterator[Block]:
        """Every record once, in order; raises TruncatedInput, MalformedInput or InputChanged where the bytes end, break or are new."""
        _bytes.must_be_unchanged(self._path, self.name, self._stamp)
        tally = Tally(self.dialect)
        with self._open() as stream:
            _bytes.read_up_to(stream, self.dialect.start)
            blocks = (self._block_of(data, expected, tally) for data, expected in self._pieces(stream))
            yield from without_footer(blocks, tally)
        _bytes.must_be_unchanged(self._path, self.name, self._stamp)
        before, self._late = self._late, tuple(tally.decisions())
        self.decisions = (*(d for d in self.decisions if d not in before), *self._late)

    def _open(self) -> io.RawIOBase:
        stream = _bytes.open_bytes(self._path, self.name, self._encoding, self._limits)
        return WithLineFeeds(stream, self._ends) if self._ends else stream

    def _pieces(self, stream: io.RawIOBase) -> Iterator[tuple[bytes, int]]:
        """Whole records and how many they are; the second time they are cut where they were cut the first time."""
        if self._cuts is not None:
            for size, expected in self._cuts:
                data = _bytes.read_up_to(stream, size)
                yield data if len(data) == size else data + b"\n", expected
            return
        cuts = []
        for data, expected in Cutter(stream, self.name, self.dialect, self._block, self._limits).pieces():
            cuts.append((len(data), expected))
            yield data, expected
        self._cuts = cuts

    def _block_of(self, data: bytes, expected: int, tally: Tally) -> Block:
        frame = self._parsed(data, self.dialect.quote) if expected >= 0 else None
        if frame is not None and frame.height == expected and not self._headers(frame).any():
            rows = tally.regular(data, expected)
            return Block(rows, frame, flagged=long_rows(frame, rows, self._limits, self.name))
        data, wrong = _bytes.as_utf8(data)
        tally.other_encoding += wrong
        return self._exact(data, tally)

    def _parsed(self, data: bytes, quote: str) -> pl.DataFrame | None:
        """The plain parser's reading, None where it refuses the data."""
        if not data:
            return pl.DataFrame(schema=self.schema)
        try:
            return pl.read_csv(
                data,
                has_header=False,
                schema=self.schema,
                infer_schema=False,
                separator=self.dialect.delimiter,
                quote_char=quote or None,
            )
        except pl.exceptions.PolarsError:
            return None

    def _headers(self, frame: pl.DataFrame) -> NDArray[np.bool_]:
        """The rows that are the header again, as where files were joined; only where it can be told from values."""
        layout = self.dialect.layout
        again = np.zeros(frame.height, bool)
        if layout.labels is None or layout.rows != 1 or frame.width == 1 or not any(layout.kinds):
            return again
        key = next(i for i, name in enumerate(layout.labels) if name)
        for i in frame.select((frame.to_series(key) == layout.labels[key]).arg_true()).to_series().to_list():
            again[i] = tuple(cell or "" for cell in frame.row(i)) == layout.labels
        return again

    def _exact(self, data: bytes, tally: Tally) -> Block:
        """The block by the exact scanner: odd records written anew, those that do not fit set aside."""
        from data_sanitizer.formats import _delimiters, _rewriting

        plain, facts = _rewriting.rewritten(data, _delimiters.rules(self.dialect.signs, len(self.schema)), False)
        frame = self._parsed(plain, '"')
        written = facts[:, _facts.KEPT] == 1
        if frame is None or frame.height != np.count_nonzero(written):
            raise errors.MalformedInput(path=self.name, format="CSV", why=f"the records after record {tally.records} cannot be separated")
        rows, kept, quarantined, flagged = tally.odd(data, facts, self._headers(frame))
        frame = frame if kept.all() else frame.filter(pl.Series(kept))
        return Block(rows[kept], frame, quarantined, (*flagged, *long_rows(frame, rows[kept], self._limits, self.name)))
