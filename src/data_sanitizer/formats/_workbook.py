"""What a workbook is before it is opened: every part is unpacked once with a budget, its cells are counted, nothing is built."""

from __future__ import annotations

import html
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from data_sanitizer import errors
from data_sanitizer.formats import _archive, _compression
from data_sanitizer.formats import _sheet_scan as scan
from data_sanitizer.model import ReadLimits

_PIECE = 1 << 20
_LONGEST_TAG = 16 << 20
_NOT_SCANNED = (".png", ".jpg", ".jpeg", ".gif", ".emf", ".wmf")
_LOOKED_INTO = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels", "content.xml")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class SheetFacts:
    """What the scan counted in one sheet."""

    filled: int = 0
    errors: int = 0  # cells that hold an error such as #DIV/0!
    hidden_rows: int = 0
    hidden_columns: int = 0


@dataclass(frozen=True, slots=True)
class Workbook:
    """What is known of a workbook: facts by sheet name, as far as its format tells, and whether its days are counted from 1904."""

    sheets: dict[str, SheetFacts]
    from_1904: bool = False


def inspect(path: Path, name: str, limits: ReadLimits) -> Workbook:
    """Scans a workbook in a ZIP archive; any other file gives no facts. Raises the errors of limits, and MalformedSpreadsheet."""
    with path.open("rb") as file:
        if _compression.kind(file.read(10)) != "zip":
            return Workbook({})
        archive = _archive.names(file, name, limits)
        if archive is None:
            raise malformed(name)
        try:
            return _inspected(archive, name, limits, _compression.Allowance(path.stat().st_size, name, limits))
        except _UNREADABLE as error:
            raise malformed(name) from error


def malformed(name: str) -> errors.MalformedSpreadsheet:
    """The error for a workbook that cannot be opened."""
    return errors.MalformedSpreadsheet(path=name, format="spreadsheet", why="the file or one of its parts is damaged")


def _inspected(archive: zipfile.ZipFile, name: str, limits: ReadLimits, allowance: _compression.Allowance) -> Workbook:
    members = archive.namelist()
    way = "records" if "xl/workbook.bin" in members else ("sheet" if "xl/workbook.xml" in members else "content")
    parts: dict[str, list[SheetFacts]] = {}
    small: dict[str, bytes] = {}
    for entry in archive.infolist():
        if entry.filename.lower().endswith(_NOT_SCANNED):
            continue
        counted, start = scan.fresh(), b""
        with archive.open(entry) as part:
            for piece in _scanned(iter(lambda: part.read(_PIECE), b""), way, counted, name):
                allowance.take(len(piece))
                start = start or piece
        if way != "records" and b"\0" in start and entry.filename.endswith((".xml", ".rels")):
            raise malformed(name)  # not UTF-8: the scan would see nothing in it
        if entry.filename in _LOOKED_INTO:
            small[entry.filename] = start
        parts[entry.filename] = [
            _checked(facts, counted[2], name, limits) for facts in counted[1] if facts[scan.CELLS] or facts[scan.FILLED]
        ]
    if way == "content":
        sheets = re.findall(rb"<table:table\b[^>]*?table:name=[\"']([^\"']*)", small.get("content.xml", b""))
        return Workbook({}) if len(sheets) != len(parts.get("content.xml", [])) else _by_name(sheets, parts["content.xml"])
    book = small.get("xl/workbook.xml", b"")
    return Workbook(dict(_named(book, small, parts)), bool(re.search(rb"date1904=[\"'](1|true)", book)))


def _by_name(names: list[bytes], facts: list[SheetFacts]) -> Workbook:
    return Workbook({_text(n): f for n, f in zip(names, facts, strict=True)})


def _text(raw: bytes) -> str:
    return html.unescape(raw.decode("utf-8", errors="replace"))


def _named(book: bytes, small: dict[str, bytes], parts: dict[str, list[SheetFacts]]) -> Iterator[tuple[str, SheetFacts]]:
    """The facts of every sheet under its name, where workbook and relations tell which part it is."""
    relations = small.get("xl/_rels/workbook.xml.rels", b"")
    targets = {m[1]: m[0] for tag in re.findall(rb"<[^>]*\bTarget=[^>]*>", relations) if (m := _pair(tag, rb"Target", rb"Id"))}
    for tag in re.findall(rb"<(?:\w+:)?sheet\s[^>]*>", book):
        if (pair := _pair(tag, rb"\sname", rb"\w+:id")) and pair[1] in targets:
            target = _text(targets[pair[1]])
            part = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
            yield _text(pair[0]), next(iter(parts.get(part, [])), SheetFacts())


def _pair(tag: bytes, first: bytes, second: bytes) -> tuple[bytes, bytes] | None:
    found = [re.search(key + rb"\s*=\s*[\"']([^\"']*)", tag) for key in (first, second)]
    return (found[0][1], found[1][1]) if found[0] and found[1] else None


def _scanned(pieces: Iterator[bytes], way: str, counted: tuple[scan.Ints, scan.Ints, scan.Ints], name: str) -> Iterator[bytes]:
    """Passes the pieces on while they are counted."""
    rest = b""
    for piece in pieces:
        yield piece
        data = rest + piece
        done = scan.records(data, counted) if way == "records" else scan.xml(data, False, way == "sheet", counted)
        rest = data[done:]
        if len(rest) > _LONGEST_TAG:
            raise malformed(name)
    if rest and way != "records":
        scan.xml(rest, True, way == "sheet", counted)


def _checked(facts: scan.Ints, spans: scan.Ints, name: str, limits: ReadLimits) -> SheetFacts:
    """The facts of a sheet, where it keeps to the limits."""
    filled, left, right = int(facts[scan.FILLED]), int(facts[scan.LEFT]), int(facts[scan.RIGHT])
    if not filled:
        return SheetFacts()
    box = (int(facts[scan.BOTTOM] - facts[scan.TOP]) + 1) * (right - left + 1)
    if filled > limits.sheet_cells:
        raise errors.SheetTooLarge(path=name, found=f"it has {filled} filled cells", limit="sheet_cells", most=limits.sheet_cells)
    if box > limits.sheet_free and box > limits.sheet_sparseness * filled:
        found = f"{filled} cells lie in a box of {box}"
        raise errors.SheetTooSparse(path=name, found=found, limit="sheet_sparseness", most=limits.sheet_sparseness)
    if right >= limits.sheet_columns:
        found = f"a cell stands in column {right + 1}"
        raise errors.TooManyColumns(path=name, found=found, limit="sheet_columns", most=limits.sheet_columns)
    hidden = np.clip(np.minimum(spans[:, 1], right) - np.maximum(spans[:, 0], left) + 1, 0, None)
    return SheetFacts(filled, int(facts[scan.ERRORS]), int(facts[scan.HIDDEN_ROWS]), int(hidden.sum()))
