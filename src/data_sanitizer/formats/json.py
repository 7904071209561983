"""JSON: an array of objects, an object of objects, or an object that holds one array of objects; a single object is one row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats import _bytes, _encoding, jsonl
from data_sanitizer.model import Decision, ReadOptions

SUFFIXES = ("json", "geojson")
_MOST_ARRAYS = 256
_BLOCK = 8 << 20


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int = _BLOCK) -> jsonl.Objects:
    """Unfolds the document into one object a line in `scratch`, then reads those; `block` is the number of bytes held at once."""
    with _bytes.open_bytes(path, name) as stream:
        sample = _bytes.read_up_to(stream, _bytes.SAMPLE)
    encoding, _ = _encoding.choose(options.encoding, sample, len(sample) < _bytes.SAMPLE)
    document = _Document(path, name, encoding, block)
    lines = document.unfolded(scratch)
    return jsonl.objects(lines, name, "utf-8", scratch, block, "json", tuple(document.decisions))


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

    def __init__(self, path: Path, name: str, encoding: str, block: int) -> None:
        self._path, self._name, self._encoding, self._block = path, name, encoding, block
        self.decisions: list[Decision] = []

    def unfolded(self, scratch: Path) -> Path:
        """A file in `scratch` with one record a line."""
        from data_sanitizer.formats import _documents

        start, mode = 0, _documents.LINES
        if self._first() == b"{":
            start, mode = self._table_in_object()
        with tempfile.NamedTemporaryFile(dir=scratch, prefix="unfolded-", suffix=".jsonl", delete=False) as out:
            target = Path(out.name)
            try:
                for part in self._parts(start, mode):
                    out.write(part)
            except OSError as error:
                raise _bytes.not_written(target, error) from error
        return target

    def _malformed(self, why: str) -> errors.MalformedInput:
        return errors.MalformedInput(path=self._name, format="JSON", why=why)

    def _first(self) -> bytes:
        """The document's first byte that means something."""
        for data in self._blocks(0):
            if start := data.lstrip():
                if start[:1] not in b"[{":
                    raise self._malformed("it begins neither with [ nor with {")
                return start[:1]
        raise errors.EmptyInput(path=self._name)

    def _blocks(self, start: int) -> Iterator[bytes]:
        with _bytes.open_bytes(self._path, self._name, self._encoding) as stream:
            while start and (skipped := _bytes.read_up_to(stream, min(start, self._block))):
                start -= len(skipped)
            while data := _bytes.read_up_to(stream, self._block):
                yield data

    def _parts(self, start: int, mode: int) -> Iterator[bytes]:
        """The records as lines; raises TruncatedInput where the container does not end."""
        from data_sanitizer.formats import _documents

        state, size, ended = _documents.fresh(), 0, False
        for data in self._blocks(start):
            size += len(data)
            if ended:
                self._nothing_after(data, start)
                continue
            out = np.empty(10 * len(data) + 16 if mode == _documents.MEMBER_LINES else len(data) + 2, np.uint8)
            used, taken = _documents.unfold(np.frombuffer(data, np.uint8), len(data), mode, state, out)
            yield out[:used].tobytes()
            ended = bool(state[_documents.DEPTH] == 0 and taken and used)
            if ended:
                self._nothing_after(data[taken:], start)
        if not ended:
            raise errors.TruncatedInput(path=self._name, format="JSON", size=start + size)

    def _nothing_after(self, data: bytes, start: int) -> None:
        if not start and data.strip():
            raise self._malformed("something follows after the end of the document")

    def _table_in_object(self) -> tuple[int, int]:
        """Where the records of a top-level object are: (offset of their container, how to unfold it)."""
        from data_sanitizer.formats import _documents

        state, counts, arrays = _documents.fresh(), np.zeros(4, np.int64), np.zeros((_MOST_ARRAYS, 4), np.int64)
        for data in self._blocks(0):
            if not _documents.outline(np.frombuffer(data, np.uint8), len(data), state, counts, arrays):
                raise self._malformed("something follows after the end of the document")
        if state[_documents.DEPTH]:
            raise errors.TruncatedInput(path=self._name, format="JSON", size=int(state[_documents.OFFSET]))
        members, objects, count, _ = counts.tolist()
        if members > 1 and objects == members:
            self.decisions.append(Decision("table", "one row a key, the key in column _key", f"an object of {members} objects"))
            return 0, _documents.MEMBER_LINES
        tables = [row for row in arrays[: min(count, _MOST_ARRAYS)].tolist() if row[_documents.FIRST_INSIDE] == ord("{")]
        if len(tables) == 1:
            return self._one_array(tables[0], members), _documents.LINES
        return 0, _documents.ONE_LINE

    def _one_array(self, row: list[Any], members: int) -> int:
        from data_sanitizer.formats import _documents

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
