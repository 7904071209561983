"""JSON Lines: one object a line; nested objects become columns `a.b`, keys that come and go are joined into one table.

A first pass learns every key and its kinds from all lines and a second one freezes the typed rows; `blocks` reads those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data_sanitizer import errors
from data_sanitizer.formats import _bytes, _encoding
from data_sanitizer.formats._columns import plain_names
from data_sanitizer.formats._frozen import Frozen
from data_sanitizer.model import Block, Decision, ReadOptions, RowIssue

if TYPE_CHECKING:
    from data_sanitizer.formats import _objects

SUFFIXES = ("jsonl", "ndjson", "ldjson", "jsonlines")
_BLOCK = 8 << 20  # bytes: their leaves, CSV and typed rows are alive together
_LONGEST_LINE = 64 << 20
_MOST_COLUMNS = 20_000
_MOST_CELLS = 4 << 20
_NAMED = 8  # keys that a drift decision names
_REASONS = (
    "",
    "a character escape that stands for no character is kept as written",
    "a key occurs twice; the last value is kept",
    "not a JSON object",
    "not valid JSON",
    "nested deeper than 64 levels",
    "more different keys than a table can have columns",
)


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int = _BLOCK) -> Objects:
    """Reads all lines twice: to learn the columns, then to freeze the rows in `scratch`."""
    with _bytes.open_bytes(path, name) as stream:
        sample = _bytes.read_up_to(stream, _bytes.SAMPLE)
    encoding, evidence = _encoding.choose(options.encoding, sample, len(sample) < _bytes.SAMPLE)
    told = _encoding.decision(encoding, evidence)
    return objects(path, name, encoding, scratch, block, "jsonl", (told,) if told else ())


def write(table: pl.LazyFrame, path: Path) -> None:
    """One object a line, in the order of the columns; null where there is no value."""
    table.sink_ndjson(path, maintain_order=True, check_extension=False)


def objects(path: Path, name: str, encoding: str, scratch: Path, block: int, format: str, found: tuple[Decision, ...]) -> Objects:  # noqa: A002
    """The objects of a file with one a line, as a reading of the given format."""
    schema, before = _Schema(), _bytes.stamp(path)
    for data, wrong in _lines(path, name, encoding, block):
        schema.learn(data, wrong)
    columns = schema.columns()
    if not columns:
        raise errors.MalformedInput(path=name, format=format.upper(), why="it holds no object with a value")
    if len(columns) > _MOST_COLUMNS:
        why = f"it has {len(columns)} different keys, more than {_MOST_COLUMNS}"
        raise errors.MalformedInput(path=name, format=format.upper(), why=why)
    reading = Objects(name, format, columns, (*found, *schema.drift(columns), *schema.oddities(format)), Frozen(scratch))
    for data, _ in _lines(path, name, encoding, block):
        reading.freeze(data, schema)
    _bytes.must_be_unchanged(path, name, before)
    return reading


def _lines(path: Path, name: str, encoding: str, block: int) -> Iterator[tuple[bytes, int]]:
    """Pieces of whole lines as UTF-8, each ending with a line end, and how many lines in it were in another encoding."""
    rest = b""
    with _bytes.open_bytes(path, name, encoding) as stream:
        while data := _bytes.read_up_to(stream, block):
            end = data.rfind(b"\n") + 1
            if end:
                yield _utf8(rest + data[:end])
            rest = data[end:] if end else rest + data
            if len(rest) > _LONGEST_LINE:
                raise errors.MalformedInput(path=name, format="JSON", why=f"a record is longer than {_LONGEST_LINE >> 20} MB")
    if rest:
        yield _utf8(rest + b"\n")


def _utf8(data: bytes) -> tuple[bytes, int]:
    if data.isascii():
        return data, 0
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _bytes.as_utf8(data)
    return data, 0


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    nodes: tuple[int, ...]
    kind: pl.DataType
    present: int  # lines that have the key
    mixed: bool  # values of several kinds, so read as text


@dataclass
class _Schema:
    """Every path of keys that was met, and how often with each kind of value."""

    keys: _objects.Keys = field(init=False)
    kinds: Any = field(init=False)
    good: int = 0
    blank: int = 0
    wrong: int = 0  # lines that were not UTF-8
    lossy: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        from data_sanitizer.formats import _objects

        self.keys = _objects.no_keys()
        self.kinds = np.zeros((_objects.NODES, _objects.KINDS), np.int64)

    def parse(self, data: bytes) -> tuple[_objects.Cells, int, int]:
        """The leaves of a block, the number of its records and of its blank lines."""
        from data_sanitizer.formats import _objects

        cells = _objects.cells_for(len(data), data.count(b"\n"))
        count, blank = _objects.parse(np.frombuffer(data, np.uint8), len(data), self.keys, cells)
        return cells, int(count), int(blank)

    def learn(self, data: bytes, wrong: int) -> None:
        """Adds a block."""
        from data_sanitizer.formats import _objects

        cells, count, blank = self.parse(data)
        size = int(cells.lines[count, 2])
        _objects.tally(cells, size, self.kinds)
        self.good += int(np.count_nonzero(cells.lines[:count, 3] <= _objects.REPEATED_KEY))
        self.blank, self.wrong = self.blank + blank, self.wrong + wrong
        for at in np.flatnonzero(cells.kind[:size] == _objects.WIDE_FLOAT).tolist():
            node = int(cells.node[at])
            if node not in self.lossy and not _exact(data[cells.start[at] : cells.end[at]].decode()):
                self.lossy.add(node)

    def columns(self) -> list[_Column]:
        """The columns in order of first appearance; a key that only ever holds null counts where it holds no objects either."""
        from data_sanitizer.formats import _objects

        used = int(self.keys.used[0])
        parents = set(self.keys.parent[1:used].tolist())
        total = self.kinds.sum(axis=1)
        paths: dict[tuple[str, ...], list[int]] = {}
        for node in np.flatnonzero(total[:used]).tolist():
            if total[node] > self.kinds[node, _objects.NULL] or node not in parents:
                paths.setdefault(self._path(node), []).append(node)
        names, _ = plain_names([".".join(path) for path in paths])
        return [self._column(name, tuple(nodes)) for name, nodes in zip(names, paths.values(), strict=True)]

    def _path(self, node: int) -> tuple[str, ...]:
        from data_sanitizer.formats import _objects

        parts: list[str] = []
        while node:
            start, size = int(self.keys.start[node]), int(self.keys.size[node])
            parts.append(_objects.text_of(self.keys.pool[start : start + size].tobytes()))
            node = int(self.keys.parent[node])
        return tuple(reversed(parts))

    def _column(self, name: str, nodes: tuple[int, ...]) -> _Column:
        counts = self.kinds[list(nodes)].sum(axis=0).tolist()
        kind, mixed = _type(counts, bool(self.lossy & set(nodes)))
        return _Column(name, nodes, kind, sum(counts), mixed)

    def drift(self, columns: list[_Column]) -> Iterator[Decision]:
        """Keys that are not in every row, and keys whose values are of several kinds."""
        partial = [c for c in columns if c.present < self.good]
        if partial:
            named = ", ".join(f"{c.name} in {c.present}" for c in partial[:_NAMED])
            more = f" and {len(partial) - _NAMED} more" if len(partial) > _NAMED else ""
            choice = f"{len(partial)} of {len(columns)} columns are not in every record"
            yield Decision("schema drift", choice, f"of {self.good} records: {named}{more}")
        for column in columns:
            if column.mixed:
                why = "its values are of several kinds, or numbers that would lose digits"
                yield Decision("mixed types", f"{column.name} as text", why)

    def oddities(self, format: str) -> Iterator[Decision]:  # noqa: A002
        """Lines without content (in a document they come from unfolding it) and lines in another encoding."""
        if self.blank and format == "jsonl":
            yield Decision("blank lines", f"{self.blank} left out", "a line without content is not a record")
        if self.wrong:
            yield Decision("encoding", f"{self.wrong} lines read as cp1252", "the file is UTF-8, but these lines are not")


def _exact(number: str) -> bool:
    """Whether a 64-bit float keeps every digit of a number."""
    return Decimal(number) == Decimal(repr(value)) if (value := float(number)) not in (float("inf"), float("-inf")) else False


def _type(counts: list[int], lossy: bool) -> tuple[pl.DataType, bool]:
    """The type that holds all values of a column unchanged, and whether it is text only because they differ in kind."""
    from data_sanitizer.formats import _objects as o

    text = counts[o.STRING] + counts[o.ESCAPED]
    ints, wide = counts[o.INT] + counts[o.WIDE_INT], counts[o.WIDE_INT]
    floats, huge = counts[o.FLOAT] + counts[o.WIDE_FLOAT], counts[o.HUGE_INT]
    kinds = sum(map(bool, (text, ints + floats + huge, counts[o.BOOL], counts[o.ARRAY])))
    if kinds > 1:
        return pl.String(), True
    if counts[o.BOOL]:
        return pl.Boolean(), False
    if huge or (floats and (wide or lossy)):
        return pl.String(), True
    if floats:
        return pl.Float64(), False
    return (pl.Int64() if ints else pl.String()), False


class Objects:
    """Rows made of JSON objects, frozen with their types."""

    schema: Mapping[str, pl.DataType]

    def __init__(self, name: str, format: str, columns: list[_Column], decisions: tuple[Decision, ...], frozen: Frozen) -> None:  # noqa: A002
        self.name, self.format, self.decisions = name, format, decisions
        self.schema = pl.Schema({c.name: c.kind for c in columns})
        self._columns, self._frozen = columns, frozen
        self._notes: list[tuple[np.ndarray[Any, np.dtype[np.uint64]], tuple[RowIssue, ...], tuple[RowIssue, ...]]] = []
        self._records = 0

    def blocks(self) -> Iterator[Block]:
        """Every record once, in order."""
        for (rows, quarantined, flagged), frame in zip(self._notes, self._frozen.frames(), strict=True):
            yield Block(rows, frame, quarantined, flagged)

    def freeze(self, data: bytes, schema: _Schema) -> None:
        """Adds the records of a block."""
        cells, count, _ = schema.parse(data)
        columns = np.full(len(schema.kinds), -1, np.int64)
        for i, column in enumerate(self._columns):
            columns[list(column.nodes)] = i
        step = max(1, _MOST_CELLS // len(self._columns))
        for first in range(0, count, step):
            self._freeze(data, cells, first, min(first + step, count), columns)

    def _freeze(self, data: bytes, cells: _objects.Cells, first: int, stop: int, columns: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        from data_sanitizer.formats import _objects

        width = len(self._columns)
        size = int(cells.lines[stop - 1, 1] - cells.lines[first, 0])
        out = np.empty(2 * size + (stop - first) * (width + 1), np.uint8)
        used = _objects.write_rows(np.frombuffer(data, np.uint8), cells, first, stop, columns, width, out)
        states = cells.lines[first:stop, 3]
        good = states <= _objects.REPEATED_KEY
        self._frozen.append(self._typed(out[:used].tobytes()))
        rows = np.arange(self._records, self._records + stop - first, dtype=np.uint64)[good]
        odd = np.flatnonzero(states != _objects.GOOD).tolist()
        spans = cells.lines[first:stop, :2].tolist()
        issues = [(RowIssue(self._records + i, _REASONS[states[i]], data[slice(*spans[i])].decode().strip()), good[i]) for i in odd]
        self._notes.append((rows, tuple(i for i, keep in issues if not keep), tuple(i for i, keep in issues if keep)))
        self._records += stop - first

    def _typed(self, data: bytes) -> pl.DataFrame:
        if not data:
            return pl.DataFrame(schema=self.schema)
        text = pl.read_csv(data, has_header=False, schema=dict.fromkeys(self.schema, pl.String()), infer_schema=False)
        return text.select(pl.col(name) == "true" if kind == pl.Boolean else pl.col(name).cast(kind) for name, kind in self.schema.items())
