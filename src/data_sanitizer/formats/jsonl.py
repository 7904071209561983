"""JSON Lines: one object a line; nested objects become columns `a.b`, keys that come and go are joined into one table.

A first pass learns every key and its kinds from all lines and a second one freezes the typed rows; `blocks` reads those. Each line stands
for itself: one that is not valid JSON, nested too deep, or no object is quarantined, and `NaN`, `Infinity` and repeated keys are kept and
flagged. A key whose values are of several kinds becomes text, or keeps one kind (`--mixed`). Where no record is an object with members,
the records themselves are the one column `value`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data_sanitizer import errors
from data_sanitizer.formats import _bytes, _encoding, _grammar, _objects, _tokens
from data_sanitizer.formats._columns import checked_names, plain_names
from data_sanitizer.formats._frozen import Frozen
from data_sanitizer.formats._mixed import ANY, CLASSES, EVOLVE, Policies, classes, kept, mask, note_firsts
from data_sanitizer.formats._sizes import LONG, check
from data_sanitizer.model import Block, Decision, ReadLimits, ReadOptions, RowIssue

SUFFIXES = ("jsonl", "ndjson", "ldjson", "jsonlines")
_BLOCK = 8 << 20  # bytes: their leaves, CSV and typed rows are alive together
_MOST_CELLS = 4 << 20
_NAMED = 8  # keys that a drift decision names
_REASONS = (
    "",
    "a character escape that stands for no character is kept as written",
    "NaN or Infinity, which JSON does not have, is kept",
    "a key occurs twice; the last value is kept",
    "not a JSON object",
    "not valid JSON",
    "nested deeper than the limit depth allows",
    "more different keys than a table can have columns",
    "a value of another kind than the column's, which its policy for mixed types sets aside",
)


def read(path: Path, name: str, options: ReadOptions, scratch: Path, block: int = _BLOCK) -> Objects:
    """Reads all lines twice: to learn the columns, then to freeze the rows in `scratch`."""
    with _bytes.open_bytes(path, name, limits=options.limits) as stream:
        sample = _bytes.read_up_to(stream, _bytes.SAMPLE)
    encoding, evidence = _encoding.choose(options.encoding, sample, len(sample) < _bytes.SAMPLE)
    told = _encoding.decision(encoding, evidence)
    lines = Lines(path, name, encoding, block, options.limits, b"\n" not in sample and b"\r" in sample)
    return objects(lines, options, scratch, "jsonl", (told,) if told else ())


def write(table: pl.LazyFrame, path: Path) -> None:
    """One object a line, in the order of the columns; null where there is no value."""
    table.sink_ndjson(path, maintain_order=True, check_extension=False)


def objects(lines: Lines, options: ReadOptions, scratch: Path, format: str, found: tuple[Decision, ...]) -> Objects:  # noqa: A002
    """The objects of a file with one a line, as a reading of the given format."""
    before, policies = _bytes.stamp(lines.path), Policies(options.mixed)
    schema = _learned(lines, _Schema(options.limits, policies))
    if not (columns := schema.columns()):
        schema = _learned(lines, _Schema(options.limits, policies, bare=True))
        columns = schema.columns()
        bare = Decision("table", f"one column, {_objects.WHOLE.decode()}", "no record is an object with members")
        found = (*found, bare)
    if not columns and (format == "jsonl" or schema.good or schema.records):
        raise lines.refusal(format)
    columns = columns or [_Column(_objects.WHOLE.decode(), (), pl.String(), 0, "")]
    checked_names([c.name for c in columns], options.limits, lines.name)
    reading = Objects(lines.name, format, columns, (*found, *schema.told(columns, format)), Frozen(scratch), options.limits)
    for data, _ in lines.pieces():
        reading.freeze(data, schema)
    _bytes.must_be_unchanged(lines.path, lines.name, before)
    return reading


def _learned(lines: Lines, schema: _Schema) -> _Schema:
    for data, wrong in lines.pieces():
        schema.learn(data, wrong)
    return schema


@dataclass(frozen=True, slots=True)
class Lines:
    """A file with one JSON value a line; `block` bytes are read at a time."""

    path: Path
    name: str
    encoding: str
    block: int
    limits: ReadLimits
    returns: bool = False  # lines end with a carriage return alone, which stands nowhere else in JSON but as a blank

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """Pieces of whole lines as UTF-8, each ending with a line end, and how many lines in it were in another encoding."""
        rest = b""
        with _bytes.open_bytes(self.path, self.name, self.encoding, self.limits) as stream:
            while data := _bytes.read_up_to(stream, self.block):
                data = data.replace(b"\r", b"\n") if self.returns else data
                end = data.rfind(b"\n") + 1
                if end:
                    yield _utf8(rest + data[:end])
                rest = data[end:] if end else rest + data
                self.check(len(rest))
        if rest:
            yield _utf8(rest + b"\n")

    def check(self, size: int) -> None:
        """Raises RowTooLarge where a line of `size` bytes is too long."""
        most = self.limits.row_bytes
        if size > most:
            raise errors.RowTooLarge(path=self.name, found=f"a record has more than {most} bytes", limit="row_bytes", most=most)

    def refusal(self, format: str) -> errors.InputError:  # noqa: A002
        """Why a file without one readable record is refused, and where its first line is wrong."""
        for number, line in enumerate(line for data, _ in self.pieces() for line in data.split(b"\n")):
            if not line.strip():
                continue
            checked = _grammar.Checked([line], self.limits.depth)
            place = checked.place.replace("line 1", f"line {number + 1}", 1)
            if checked.fault == _grammar.TOO_DEEP:
                return errors.JsonDepth(path=self.name, found=f"{place} is one level too many", limit="depth", most=self.limits.depth)
            why = f"{place}: {checked.why}" if checked.why else f"line {number + 1} ends before its value does"
            return errors.MalformedInput(path=self.name, format=format.upper(), why=why)
        return errors.EmptyInput(path=self.name)


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
    mixed: str  # what was done because its values are of several kinds, empty where nothing was
    allowed: int = ANY  # the kinds of values it takes, as bits


@dataclass
class _Schema:
    """Every path of keys that was met, and how often with each kind of value."""

    limits: ReadLimits
    policies: Policies
    bare: bool = False  # records are no objects: each is one value
    keys: _objects.Keys = field(default_factory=_objects.no_keys)
    kinds: Any = field(default_factory=lambda: np.zeros((_objects.NODES, _tokens.KINDS), np.int64))
    firsts: Any = field(default_factory=lambda: np.full((_objects.NODES, len(CLASSES)), np.iinfo(np.int64).max))
    cells: int = 0
    records: int = 0
    good: int = 0
    blank: int = 0
    wrong: int = 0  # lines that were not UTF-8
    lossy: set[int] = field(default_factory=set)

    def parse(self, data: bytes) -> tuple[_objects.Cells, int, int]:
        """The leaves of a block, the number of its records and of its blank lines."""
        cells = _objects.cells_for(len(data), data.count(b"\n"))
        count, blank = _objects.parse(np.frombuffer(data, np.uint8), len(data), self.bare, self.limits.depth, self.keys, cells)
        return cells, int(count), int(blank)

    def learn(self, data: bytes, wrong: int) -> None:
        """Adds a block."""
        cells, count, blank = self.parse(data)
        size = int(cells.lines[count, 2])
        _objects.tally(cells, size, self.kinds)
        if self.policies.needs_order:
            note_firsts(self.firsts, cells.node[:size], cells.kind[:size], self.cells)
        self.cells += size
        self.good += int(np.count_nonzero(cells.lines[:count, 3] <= _objects.REPEATED_KEY))
        self.records += count
        self.blank, self.wrong = self.blank + blank, self.wrong + wrong
        for at in np.flatnonzero(cells.kind[:size] == _tokens.WIDE_FLOAT).tolist():
            node = int(cells.node[at])
            if node not in self.lossy and not _exact(data[cells.start[at] : cells.end[at]].decode(), self.limits.exponent):
                self.lossy.add(node)

    def columns(self) -> list[_Column]:
        """The columns in order of first appearance; a key that only ever holds null counts where it holds no objects either."""
        used = int(self.keys.used[0])
        parents = set(self.keys.parent[1:used].tolist())
        total = self.kinds.sum(axis=1) - self.kinds[:, _tokens.OBJECT]
        paths: dict[tuple[str, ...], list[int]] = {}
        for node in np.flatnonzero(total[:used]).tolist():
            if total[node] > self.kinds[node, _tokens.NULL] or node not in parents:
                paths.setdefault(self._path(node), []).append(node)
        names, _ = plain_names([".".join(path) for path in paths])
        return [self._column(name, tuple(nodes)) for name, nodes in zip(names, paths.values(), strict=True)]

    def _path(self, node: int) -> tuple[str, ...]:
        parts: list[str] = []
        while node:
            start, size = int(self.keys.start[node]), int(self.keys.size[node])
            parts.append(_objects.text_of(self.keys.pool[start : start + size].tobytes()))
            node = int(self.keys.parent[node])
        return tuple(reversed(parts))

    def _column(self, name: str, nodes: tuple[int, ...]) -> _Column:
        counts = self.kinds[list(nodes)].sum(axis=0).tolist()
        found, policy = classes(counts), self.policies.of(name)
        present, allowed, done = sum(counts) - counts[_tokens.OBJECT], ANY, ""
        if len(found) > 1 and policy != EVOLVE:
            stays = kept(found, self.firsts[list(nodes)].min(axis=0), policy)
            allowed, aside = mask(stays), sum(found.values()) - found[stays]
            done = f"as {stays}; {aside} values of another kind set their records aside"
            counts = [count if allowed >> kind & 1 else 0 for kind, count in enumerate(counts)]
        elif "object" in found:
            done = "beside the columns of its members"
        kind, text = _type(counts, bool(self.lossy & set(nodes)))
        return _Column(name, nodes, kind, present, done or ("as text" if text else ""), allowed)

    def told(self, columns: list[_Column], format: str) -> Iterator[Decision]:  # noqa: A002
        """What the report says about the keys and the lines."""
        yield from self.drift(columns)
        yield from self.oddities(format)
        for key in self.policies.unknown([c.name for c in columns]):
            yield Decision("mixed types", f"nothing done for {key}", "no record has this key")

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
                yield Decision("mixed types", f"{column.name} {column.mixed}", why)

    def oddities(self, format: str) -> Iterator[Decision]:  # noqa: A002
        """Lines without content (in a document they come from unfolding it) and lines in another encoding."""
        if self.blank and format == "jsonl":
            yield Decision("blank lines", f"{self.blank} left out", "a line without content is not a record")
        if self.wrong:
            yield Decision("encoding", f"{self.wrong} lines read as cp1252", "the file is UTF-8, but these lines are not")


def _exact(number: str, exponent: int) -> bool:
    """Whether a 64-bit float keeps every digit of a number; one with a larger exponent than the limit is not even expanded."""
    power = number.lower().partition("e")[2].lstrip("+-").lstrip("0")
    if len(power) > 9 or int(power or 0) > exponent:
        return False
    return Decimal(number) == Decimal(repr(value)) if (value := float(number)) not in (float("inf"), float("-inf")) else False


def _type(counts: list[int], lossy: bool) -> tuple[pl.DataType, bool]:
    """The type that holds all values of a column unchanged, and whether it is text only because they differ in kind."""
    ints, wide = counts[_tokens.INT] + counts[_tokens.WIDE_INT], counts[_tokens.WIDE_INT]
    floats, huge = counts[_tokens.FLOAT] + counts[_tokens.WIDE_FLOAT], counts[_tokens.HUGE_INT]
    if len(set(classes(counts)) - {"object"}) > 1:
        return pl.String(), True
    if counts[_tokens.BOOL]:
        return pl.Boolean(), False
    if huge or (floats and (wide or lossy)):
        return pl.String(), True
    if floats:
        return pl.Float64(), False
    return (pl.Int64() if ints else pl.String()), False


class Objects:
    """Rows made of JSON objects, frozen with their types."""

    schema: Mapping[str, pl.DataType]

    def __init__(self, name: str, format: str, columns: list[_Column], decisions: tuple[Decision, ...], frozen: Frozen,  # noqa: A002
                 limits: ReadLimits) -> None:  # fmt: skip
        self.name, self.format, self.decisions = name, format, decisions
        self.schema = pl.Schema({c.name: c.kind for c in columns})
        self._columns, self._frozen, self._limits = columns, frozen, limits
        self._notes: list[tuple[NDArray[np.uint64], tuple[RowIssue, ...], tuple[RowIssue, ...]]] = []
        self._records = 0
        self._places = np.full(_objects.NODES, -1, np.int64)
        self._allowed = np.full(_objects.NODES, ANY, np.int64)
        for i, column in enumerate(columns):
            self._places[list(column.nodes)] = i
            self._allowed[list(column.nodes)] = column.allowed
        self._choosy = any(c.allowed != ANY for c in columns)

    def blocks(self) -> Iterator[Block]:
        """Every record once, in order."""
        for (rows, quarantined, flagged), frame in zip(self._notes, self._frozen.frames(), strict=True):
            yield Block(rows, frame, quarantined, flagged)

    def freeze(self, data: bytes, schema: _Schema) -> None:
        """Adds the records of a block; raises RowTooLarge and FieldTooLarge."""
        cells, count, _ = schema.parse(data)
        lines = cells.lines[:count]
        check(int((lines[:, 1] - lines[:, 0]).max(initial=0)), "row_bytes", "a record", self._limits, self.name)
        size = int(cells.lines[count, 2])
        lengths = cells.end[:size] - cells.start[:size]
        check(int(lengths.max(initial=0)), "longest_field", "a value", self._limits, self.name)
        starts = cells.lines[: count + 1, 2]
        long = np.unique(np.searchsorted(starts, np.flatnonzero(lengths > self._limits.field_bytes), side="right") - 1)
        if self._choosy:
            others = np.flatnonzero((self._allowed[cells.node[:size]] >> cells.kind[:size]) & 1 == 0)
            lines[np.unique(np.searchsorted(starts, others, side="right") - 1), 3] = _objects.OTHER_KIND
        step = max(1, _MOST_CELLS // len(self._columns))
        for first in range(0, count, step):
            self._freeze(data, cells, first, min(first + step, count), set(long.tolist()))

    def _freeze(self, data: bytes, cells: _objects.Cells, first: int, stop: int, long: set[int]) -> None:
        width = len(self._columns)
        size = int(cells.lines[stop - 1, 1] - cells.lines[first, 0])
        out = np.empty(2 * size + (stop - first) * (width + 1), np.uint8)
        used = _objects.write_rows(np.frombuffer(data, np.uint8), cells, first, stop, self._places, width, out)
        states = cells.lines[first:stop, 3]
        good = states <= _objects.REPEATED_KEY
        self._frozen.append(self._typed(out[:used].tobytes()))
        rows = np.arange(self._records, self._records + stop - first, dtype=np.uint64)[good]
        spans = cells.lines[first:stop, :2].tolist()
        odd = sorted({*np.flatnonzero(states != _objects.GOOD).tolist(), *(i - first for i in long if first <= i < stop)})
        reasons = {i: "; ".join(filter(None, (_REASONS[states[i]], LONG if first + i in long else ""))) for i in odd}
        issues = [(RowIssue(self._records + i, reasons[i], data[slice(*spans[i])].decode().strip()), good[i]) for i in odd]
        self._notes.append((rows, tuple(i for i, keep in issues if not keep), tuple(i for i, keep in issues if keep)))
        self._records += stop - first

    def _typed(self, data: bytes) -> pl.DataFrame:
        if not data:
            return pl.DataFrame(schema=self.schema)
        text = pl.read_csv(data, has_header=False, schema=dict.fromkeys(self.schema, pl.String()), infer_schema=False)
        return text.select(pl.col(name) == "true" if kind == pl.Boolean else pl.col(name).cast(kind) for name, kind in self.schema.items())
