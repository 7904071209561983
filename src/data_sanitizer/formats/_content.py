"""What a file is by its content: its first bytes, not its name."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

from data_sanitizer import errors
from data_sanitizer.formats import _archive, _dialect, _encoding
from data_sanitizer.formats._bytes import open_file
from data_sanitizer.model import ReadLimits
from data_sanitizer.ports import Source

_OTHERS = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a bitmap image"),
    (b"%PDF-", "a PDF document"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a program (Windows)"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"ORC\x00", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"{\\rtf", "an RTF document"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PRINTABLE_START = ("a bitmap image", "a program (Windows)")  # two letters that a text may begin with
_FIRST_LINES = 20
_CONTROLS = frozenset((0, 2, 3, 4, 5, 6, 7, 8, 14, 15, 16))
_OPEN_SHEET = b"application/vnd.oasis.opendocument.spreadsheet"


def is_document(head: bytes) -> bool:
    """Whether a ZIP archive that begins so is a workbook or another document, rather than packed files."""
    return any(member in head for member in (b"[Content_Types].xml", b"_rels/.rels", b"xl/", b"mimetypeapplication/"))


def find(head: bytes, complete: bool, path: Path | Source, name: str, suffix: str, limits: ReadLimits) -> str:
    """The format of a file that begins with `head` (unpacked; `path` has all of it where it is a ZIP); raises UnsupportedContent."""
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(path, name, limits)
    if head.startswith(_OLE):
        return _ole(head, name)
    _refuse_others(head, name)
    encoding, _ = _encoding.detect(head, complete)
    return _text(head.decode(encoding, errors="replace"), suffix)


def _refuse_others(head: bytes, name: str) -> None:
    for magic, what in _OTHERS:
        if head.startswith(magic) and (what not in _PRINTABLE_START or b"\x00" in head[:1024]):
            raise errors.UnsupportedContent(path=name, found=what)
    if head[257:262] == b"ustar":
        raise errors.UnsupportedContent(path=name, found="a tar archive")
    start = head[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise errors.UnsupportedContent(path=name, found="a web page (HTML)")
    if start.startswith(b"<?xml"):
        raise errors.UnsupportedContent(path=name, found="an XML document")
    wide = _encoding.detect(head[:4096], False)[0].startswith(("utf-16", "utf-32"))
    controls = [i for i, b in enumerate(head[:4096]) if b in _CONTROLS]
    if not wide and len(controls) > 0.02 * len(head[:4096]):
        raise errors.UnsupportedContent(path=name, found=f"binary data (byte {controls[0]} is {head[controls[0]]:#04x})")


def _zip(path: Path | Source, name: str, limits: ReadLimits) -> str:
    with open_file(path, name) as file:
        archive = _archive.names(file, name, limits)
        members = set(archive.namelist()) if archive else set()
        kind = _start_of(archive, "mimetype") if archive and "mimetype" in members else b""
    if not archive or {"xl/workbook.xml", "xl/workbook.bin"} & members or kind.startswith(_OPEN_SHEET):
        return "excel"  # a damaged archive too: its reader says so
    raise errors.UnsupportedContent(
        path=name, found="a Word or PowerPoint document" if "[Content_Types].xml" in members else "a ZIP archive"
    )


def _start_of(archive: zipfile.ZipFile, member: str) -> bytes:
    try:
        with archive.open(member) as file:
            return file.read(80)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError):
        return _OPEN_SHEET  # damaged: its reader says so


def _ole(head: bytes, name: str) -> str:
    if "EncryptedPackage".encode("utf-16-le") in head:
        raise errors.UnsupportedContent(path=name, found="an Office file with a password")
    if "WordDocument".encode("utf-16-le") in head:
        raise errors.UnsupportedContent(path=name, found="a Word document")
    return "excel"


def _text(text: str, suffix: str) -> str:
    """csv, json or jsonl; a text that is none of them clearly is what its name says, so that its reader can tell what is wrong."""
    start = text.lstrip("\ufeff \r\n\t")
    lines = [line for line in start.split("\n" if "\n" in start else "\r") if line.strip()][:_FIRST_LINES]
    objects = sum(_is_object(line) for line in lines)
    each = objects and (_is_object(lines[0]) or 2 * objects > len(lines))  # a document may have whole objects on some of its lines
    if start.startswith("{") and each and (suffix != "json" or len(lines) > 1):
        return "jsonl"
    if _opens_json(start):
        return "jsonl" if suffix == "jsonl" and objects else "json"
    if suffix == "jsonl" and objects:
        return "jsonl"
    return "csv" if suffix in ("", "csv") or _dialect.consistent(text) else suffix


def _opens_json(start: str) -> bool:
    following = start[1:].lstrip()[:1]
    return (start[:1] == "{" and following in ('"', "}")) or (start[:1] == "[" and following in ("{", "[", "]"))


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
