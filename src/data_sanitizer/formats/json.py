"""JSON: an array of records, an object of objects, or an object that holds one array of objects; a single object or value is one row.

A document is checked as a whole by RFC 8259 and refused with line and column where it is wrong or nested too deep. Records that are no
objects are quarantined among objects; where no record is an object with members, the records are the one column `value`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats import _bytes, _documents, _encoding, _grammar, jsonl
from data_sanitizer.model import Decision, ReadOptions

SUFFIXES = ("json", "geojson")
_MOST_ARRAYS = 256
_BLOCK = 8 << 20


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int = _BLOCK) -> jsonl.Objects:
    """Unfolds the document into one record a line in `scratch`, then reads those; `block` is the number of bytes held at once."""
    with _bytes.open_bytes(path, name, limits=options.limits) as stream:
        sample = _bytes.read_up_to(stream, _bytes.SAMPLE)
    encoding, _ = _encoding.choose(options.encoding, sample, len(sample) < _bytes.SAMPLE)
    document = _Document(jsonl.Lines(path, name, encoding, block, options.limits))
    lines = jsonl.Lines(document.unfolded(scratch), name, "utf-8", block, options.limits)
    return jsonl.objects(lines, options, scratch, "json", tuple(document.decisions))


def write(table: pl.LazyFrame, path: Path) -> None:
    """An array with one object a line."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-") as lines:
        jsonl.write(table, Path(lines.name))
        with path.open("wb") as out, Path(lines.name).open("rb") as source:
            for i, line in enumerate(source):
                out.write((b",\n" if i else b"[\n") + line.rstrip(b"\n"))
            out.write(b"\n]\n" if out.tell() else b"[]\n")


class _Document:
    """One JSON document, read from the start as often as needed."""

    def __init__(self, source: jsonl.Lines) -> None:
        self._source, self._name = source, source.name
        self.decisions: list[Decision] = []

    def unfolded(self, scratch: Path) -> Path:
        """A file in `scratch` with one record a line; raises what is wrong with the document."""
        first = self._checked()
        start, mode = self._table_in_object() if first == b"{" else (0, _documents.LINES)
        parts = self._parts(start, mode) if first in (b"{", b"[") else self._value()
        with tempfile.NamedTemporaryFile(dir=scratch, prefix="unfolded-", suffix=".jsonl", delete=False) as out:
            target = Path(out.name)
            try:
                for part in parts:
                    out.write(part)
            except OSError as error:
                raise _bytes.not_written(target, error) from error
        return target

    def _checked(self) -> bytes:
        """The document's first byte that means something, after all of it has been checked."""
        limits = self._source.limits
        checked = _grammar.Checked(self._blocks(0), limits.depth)
        if not checked.first and checked.fault == _grammar.CUT_OFF:
            raise errors.EmptyInput(path=self._name)
        if checked.fault == _grammar.CUT_OFF:
            raise errors.TruncatedInput(path=self._name, format="JSON", size=checked.size)
        if checked.fault == _grammar.TOO_DEEP:
            found = f"{checked.place} opens level {limits.depth + 1}"
            raise errors.JsonDepth(path=self._name, found=found, limit="depth", most=limits.depth)
        if checked.fault == _grammar.WRONG:
            why = f"{checked.place} (byte {checked.size}): {checked.why}"
            raise errors.MalformedInput(path=self._name, format="JSON", why=why)
        return checked.first

    def _blocks(self, start: int) -> Iterator[bytes]:
        source = self._source
        with _bytes.open_bytes(source.path, source.name, source.encoding, source.limits) as stream:
            while start and (skipped := _bytes.read_up_to(stream, min(start, source.block))):
                start -= len(skipped)
            while data := _bytes.read_up_to(stream, source.block):
                yield data

    def _value(self) -> Iterator[bytes]:
        """A document that is one string, number or word: line ends can stand only around it."""
        for data in self._blocks(0):
            yield data.replace(b"\n", b" ").replace(b"\r", b" ")
        yield b"\n"

    def _parts(self, start: int, mode: int) -> Iterator[bytes]:
        """The records as lines."""
        state = _documents.fresh()
        for data in self._blocks(start):
            out = np.empty(10 * len(data) + 16 if mode == _documents.MEMBER_LINES else len(data) + 2, np.uint8)
            used, taken = _documents.unfold(np.frombuffer(data, np.uint8), len(data), mode, state, out)
            yield out[:used].tobytes()
            if state[_documents.DEPTH] == 0 and taken and used:
                return

    def _table_in_object(self) -> tuple[int, int]:
        """Where the records of a top-level object are: (offset of their container, how to unfold it)."""
        state, counts, arrays = _documents.fresh(), np.zeros(3, np.int64), np.zeros((_MOST_ARRAYS, 4), np.int64)
        for data in self._blocks(0):
            _documents.outline(np.frombuffer(data, np.uint8), len(data), state, counts, arrays)
        members, objects, count = counts.tolist()
        if members > 1 and objects == members:
            self.decisions.append(Decision("table", "one row a key, the key in column _key", f"an object of {members} objects"))
            return 0, _documents.MEMBER_LINES
        tables = [row for row in arrays[: min(count, _MOST_ARRAYS)].tolist() if row[_documents.FIRST_INSIDE] == ord("{")]
        if len(tables) == 1:
            return self._one_array(tables[0], members), _documents.LINES
        return 0, _documents.ONE_LINE

    def _one_array(self, row: list[Any], members: int) -> int:
        key = self._text(row[_documents.KEY_START], row[_documents.KEY_END])
        rest = f"; its {members - 1} other members are left out" if members > 1 else ""
        self.decisions.append(Decision("table", f"the array {key}", f"the only array of objects in the document{rest}"))
        return int(row[_documents.VALUE_START])

    def _text(self, start: int, end: int) -> str:
        parts, left = b"", end - start
        for data in self._blocks(start):
            parts += data[:left]
            left = end - start - len(parts)
            if left <= 0:
                break
        return parts.decode("utf-8", errors="backslashreplace")
