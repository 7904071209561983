"""Files that are made to harm whoever reads them: each maker writes one, small on disk and terrible inside."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>'
)
_ROOT = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)


def zipped(members: dict[str, bytes | str | Iterable[bytes]], path: Path) -> Path:
    """An archive of members, which may come in pieces."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                for piece in (content,) if isinstance(content, bytes | str) else content:
                    member.write(piece.encode() if isinstance(piece, str) else piece)
    return path


def workbook(path: Path, rows: str | Iterable[bytes], prologue: str = "", sheet: str = "sheetData") -> Path:
    """An .xlsx of one sheet with the given rows of XML."""
    start = f'<?xml version="1.0" encoding="UTF-8"?>{prologue}<worksheet xmlns="{_MAIN}"><{sheet}>'.encode()
    parts = [rows.encode()] if isinstance(rows, str) else rows
    book = f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>'
    links = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/s.xml"/></Relationships>'
    )

    def content() -> Iterable[bytes]:
        yield start
        yield from parts
        yield f"</{sheet}></worksheet>".encode()

    members = {"[Content_Types].xml": _TYPES, "_rels/.rels": _ROOT, "xl/workbook.xml": book, "xl/_rels/workbook.xml.rels": links}
    return zipped({**members, "xl/worksheets/s.xml": content()}, path)


def far_cells(path: Path) -> Path:
    """Two cells in opposite corners: room for the box between them is half a terabyte."""
    return workbook(path, '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>')


def many_cells(path: Path, cells: int) -> Path:
    """Cells upon cells that pack to almost nothing."""
    row = b"<row>" + b"<c><v>1</v></c>" * 1000 + b"</row>"
    return workbook(path, (row for _ in range(cells // 1000)))


def laughing(path: Path) -> Path:
    """A billion laughs: entities that stand for entities."""
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    prologue = f'<!DOCTYPE x [<!ENTITY l0 "lol">{entities}]>'
    return workbook(path, '<row r="1"><c r="A1" t="inlineStr"><is><t>&l9;</t></is></c></row>', prologue)


def foreign_entity(path: Path, target: str) -> Path:
    """An entity that stands for a file of the machine."""
    prologue = f'<!DOCTYPE x [<!ENTITY x SYSTEM "{target}">]>'
    return workbook(path, '<row r="1"><c r="A1" t="inlineStr"><is><t>&x;</t></is></c></row>', prologue)


def open_document(path: Path, rows: str) -> Path:
    """An .ods of one sheet with the given rows."""
    office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    table, text = office.replace("office:1.0", "table:1.0"), office.replace("office:1.0", "text:1.0")
    content = (
        f'<?xml version="1.0"?><office:document-content xmlns:office="{office}" xmlns:table="{table}" xmlns:text="{text}"><office:body>'
        f'<office:spreadsheet><table:table table:name="S">{rows}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    entry = f'<m:file-entry m:full-path="/" m:media-type="{kind}"/>'
    manifest = f'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entry}</m:manifest>'
    return zipped({"mimetype": kind, "content.xml": content, "META-INF/manifest.xml": manifest}, path)


def open_cell(value: str, columns: int = 1) -> str:
    """A text cell of an .ods that stands for some columns."""
    start = f'<table:table-cell office:value-type="string" table:number-columns-repeated="{columns}">'
    return f"{start}<text:p>{value}</text:p></table:table-cell>"


def _record(kind: int, content: bytes = b"") -> bytes:
    head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return head + length + bytes([size]) + content


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def binary_workbook(path: Path, cells: list[tuple[int, int, float]]) -> Path:
    """An .xlsb of one sheet with numbers in given rows and columns."""
    data = _record(129) + _record(148, bytes(16)) + _record(145)
    row = -1
    for at, column, number in cells:
        if at != row:
            row = at
            data += _record(0, struct.pack("<IIHBBBI", row, 0, 300, 0, 0, 0, 0))
        data += _record(5, struct.pack("<IIB3xd", column, 0, 0, number)[:8] + struct.pack("<d", number))
    data += _record(146) + _record(130)
    book = _record(131) + _record(143) + _record(156, struct.pack("<II", 0, 1) + _wide("rId1") + _wide("S")) + _record(144) + _record(132)
    links = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{_RELATIONS}/worksheet" Target="worksheets/s.bin"/></Relationships>'
    )
    root = _ROOT.replace("workbook.xml", "workbook.bin")
    members: dict[str, bytes | str | Iterable[bytes]] = {"[Content_Types].xml": _TYPES, "_rels/.rels": root, "xl/workbook.bin": book}
    return zipped({**members, "xl/_rels/workbook.bin.rels": links, "xl/worksheets/s.bin": data}, path)


def bomb(path: Path, size: int) -> Path:
    """A table of equal lines in a gzip file a thousand times smaller."""
    with gzip.open(path, "wb", 9) as file:
        file.write(b"a,b\n")
        block = b"1,2\n" * (1 << 18)
        for _ in range(size // len(block)):
            file.write(block)
    return path


def long_texts(path: Path, rows: int, length: int, *, categories: bool = False) -> Path:
    """A Parquet file whose dictionary holds one long text for all rows."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * length]))
    table = pa.table({"id": pa.array(range(rows)), "text": texts})
    pa.parquet.write_table(table, path, compression="zstd", store_schema=categories)
    return path


def damaged_offsets(path: Path) -> Path:
    """An Arrow file in which a text begins far behind the end of the data."""
    buffer = io.BytesIO()
    batch = pa.record_batch({"a": ["xx", "yy", "zz"]})
    with pa.ipc.new_file(buffer, batch.schema) as writer:
        writer.write_batch(batch)
    data = buffer.getvalue()
    offsets = struct.pack("<4i", 0, 2, 4, 6)
    path.write_bytes(data.replace(offsets, struct.pack("<4i", 0, 1 << 30, -7, 6), 1))
    assert data.count(offsets) == 1
    return path
