"""Sources as they come: refused content, standard input, compression, sheets, nested columns, and outputs that cannot be written."""

from __future__ import annotations

import datetime as dt
import errno
import gzip
import io
import os
import threading
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
import zstandard

from data_sanitizer import errors, formats
from data_sanitizer.model import ReadOptions

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def rows_of(reading: Any) -> list[tuple[Any, ...]]:
    return [row for block in reading.blocks() for row in block.frame.rows()]


def opened(path: Path, **options: Any) -> Any:
    return formats.open_source(path, ReadOptions(**options), path.parent)


def archive(*members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member in members:
            file.writestr(member, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.csv", b"", errors.EmptyInput),
        ("a.csv", b"\xef\xbb\xbf\n \n", errors.EmptyInput),
        ("a.csv.gz", gzip.compress(b""), errors.EmptyInput),
        ("a.csv", PNG, errors.UnsupportedContent),
        ("a.txt", b"%PDF-1.7\n", errors.UnsupportedContent),
        ("a.csv", b"\x7fELF" + bytes(100), errors.UnsupportedContent),
        ("a.csv", bytes(range(256)) * 10, errors.UnsupportedContent),
        ("a.xls", b"<html><table><tr><td>1</td></tr></table></html>", errors.UnsupportedContent),
        ("a.csv", b'<?xml version="1.0"?><a/>', errors.UnsupportedContent),
        ("a.xlsx", archive("word/document.xml", "[Content_Types].xml"), errors.UnsupportedContent),
        ("a.zip", archive("a.csv", "b.csv"), errors.ArchiveRejected),
        ("a.gz", gzip.compress(gzip.compress(b"a,b\n1,2\n")), errors.UnsupportedContent),
        ("a.csv.gz", gzip.compress(PNG), errors.UnsupportedContent),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:-9], errors.TruncatedInput),
        ("a.csv.gz", b"\x1f\x8b\x08" + bytes(50), errors.MalformedInput),
        ("a.csv.zst", zstandard.compress(b"a,b\n1,2\n" * 99)[:-3], errors.TruncatedInput),
        ("a.csv.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 50, errors.MalformedInput),
        ("a.parquet", b"PAR1" + bytes(50), errors.TruncatedInput),
        ("a.parquet", b"PAR1" + bytes(50) + b"\x09\x00\x00\x00PAR1", errors.MalformedParquet),
        ("a.parquet", b"hello", errors.MalformedParquet),
        ("a.arrow", b"ARROW1\x00\x00" + bytes(50), errors.TruncatedInput),
        ("a.arrow", b"ARROW1\x00\x00" + bytes(50) + b"ARROW1", errors.MalformedArrow),
        ("a.arrow", b"\xff\xff\xff\xff\x50\x00\x00\x00" + bytes(90), errors.MalformedArrow),
        ("a.xlsx", archive("xl/workbook.xml"), errors.MalformedSpreadsheet),
        ("a.xlsx", b"PK\x03\x04" + bytes(50), errors.MalformedSpreadsheet),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), errors.MalformedSpreadsheet),
        ("a.json", b"hello", errors.MalformedInput),
        ("a.jsonl", b"hello", errors.MalformedInput),
    ],
    ids=lambda value: "data" if isinstance(value, bytes) else None,  # compressed bytes hold the time: no two processes would agree
)
def test_what_cannot_be_read_is_refused_with_a_reason(name: str, data: bytes, error: type[errors.InputError], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(errors.InputError) as caught:
        rows_of(opened(path))
    assert type(caught.value) is error
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)


def test_missing_files_folders_and_forbidden_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.InputNotFound):
        opened(tmp_path / "nothing.csv")
    with pytest.raises(errors.InputIsDirectory):
        opened(tmp_path)
    (tmp_path / "a.csv").write_text("a\n1\n")

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(errors.InputUnreadable):
        opened(tmp_path / "a.csv")


def test_an_unknown_format_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(errors.UsageError, match="parquet"):
        opened(tmp_path / "a.csv", format="word")
    with pytest.raises(errors.UsageError):
        formats.write(pl.LazyFrame({"a": [1]}), tmp_path / "b", "word")


def test_the_format_asked_for_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('{"a":1}\n')
    assert opened(tmp_path / "a.txt").format == "jsonl"
    assert opened(tmp_path / "a.txt", format="csv").format == "csv"


def test_standard_input_can_be_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"a,b\n1,2\n", gzip.compress(b"a,b\n1,2\n")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        reading = formats.open_source("-", ReadOptions(), tmp_path)
        assert reading.name == "-"
        assert rows_of(reading) == rows_of(reading) == [("1", "2")]


def test_a_pipe_can_be_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"a,b\n1,2\n",))
    writer.start()
    reading = opened(tmp_path / "pipe")
    writer.join()
    assert rows_of(reading) == rows_of(reading) == [("1", "2")]


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_a_file_that_changes_after_it_was_looked_at_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{name}"
    formats.write(pl.LazyFrame({"a": ["x", "y"], "b": ["1", "2"]}), path, name)
    reading = opened(path)
    formats.write(pl.LazyFrame({"a": ["x", "y"], "b": ["1", "333"]}), path, name)
    with pytest.raises(errors.InputChanged):
        rows_of(reading)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_compressed_parts_one_after_the_other_are_one_source(pack: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(pack(b"a,b\n1,") + pack(b"2\n3,4\n"))
    assert rows_of(opened(path)) == [("1", "2"), ("3", "4")]


def test_nested_columns_become_plain_ones(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "who": [{"name": "x", "at": {"zip": 7}}, None],
            "tags": [["a", 'b"'], None],
            "kind": pl.Series(["k", None], dtype=pl.Categorical),
            "raw": [b"text", b"\xff"],
            "took": [dt.timedelta(seconds=90), None],
        }
    )
    frame.write_parquet(tmp_path / "a.parquet")
    reading = opened(tmp_path / "a.parquet")
    assert list(reading.schema) == ["who.name", "who.at.zip", "tags", "kind", "raw", "took"]
    assert rows_of(reading) == [("x", 7, '["a","b\\""]', "k", "text", "PT1M30S"), (None, None, None, None, "base64:/w==", None)]
    assert {d.subject for d in reading.decisions} == {"nested column", "column type"}


def test_an_arrow_stream_is_read_like_a_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": list(range(1000)), "b": [f"t{i}" for i in range(1000)]})
    frame.write_ipc_stream(tmp_path / "a.arrows")
    assert rows_of(opened(tmp_path / "a.arrows")) == frame.rows()


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    """A cover sheet without content, a sheet with title, gaps and all kinds of cells, and another one."""
    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("Cover")
        sheet = book.add_worksheet("Data")
        book.add_worksheet("Other").write_row(0, 0, ["x", "y"])
        day, moment = book.add_format({"num_format": "yyyy-mm-dd"}), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write(0, 1, "Sales report")
        sheet.write_row(2, 1, ["id", "name", "when", "amount", "mixed", "flag", "at", "code"])
        for i, row in enumerate((3, 4, 6)):
            sheet.write_row(row, 1, [i + 1, f"n{i}"])
            sheet.write_datetime(row, 3, dt.datetime(2020, 1, i + 1), day)
            sheet.write_row(row, 4, [1.5 * i, i or "x", i == 0])
            sheet.write_datetime(row, 7, dt.datetime(2020, 1, 1, i, 30), moment)
            sheet.write_string(row, 8, "007")
    return path


def test_the_first_sheet_with_content_is_read_from_its_header_on(workbook: Path) -> None:
    reading = opened(workbook)
    assert dict(reading.schema) == {
        "id": pl.Int64(),
        "name": pl.String(),
        "when": pl.Date(),
        "amount": pl.Float64(),
        "mixed": pl.String(),
        "flag": pl.Boolean(),
        "at": pl.Datetime("us"),
        "code": pl.String(),
    }
    assert rows_of(reading)[2] == (3, "n2", dt.date(2020, 1, 3), 3.0, "2", False, dt.datetime(2020, 1, 1, 2, 30), "007")
    told = {d.subject: (d.choice, d.evidence) for d in reading.decisions}
    assert told["sheet"] == ("Data", "the first with a table of its size (32 cells); not read: Cover, Other")
    assert told["header"][0] == "after 1 title rows"
    assert told["blank rows"][0] == "1 left out"


def test_a_sheet_is_chosen_by_name(workbook: Path) -> None:
    assert list(opened(workbook, sheet="Other").schema) == ["x", "y"]
    with pytest.raises(errors.SheetNotFound, match="Cover, Data, Other"):
        opened(workbook, sheet="Missing")
    with pytest.raises(errors.EmptyInput):
        opened(workbook, sheet="Cover")


def test_a_table_that_cannot_be_written_is_an_environment_error(tmp_path: Path) -> None:
    with pytest.raises(errors.OutputNotWritable):
        formats.write(pl.LazyFrame({"a": ["x"]}), tmp_path / "no" / "folder" / "a.csv", "csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_said(name: str) -> None:
    frame = pl.LazyFrame({"a": range(100_000)})
    with pytest.raises(errors.DiskFull):
        formats.write(frame, Path("/dev/full"), name)


def test_no_message_quotes_a_cell(tmp_path: Path) -> None:
    secret = "s3cr3t-value"
    for name, data in {
        "a.json": f'{{"a":"{secret}"',
        "b.json": f'["{secret}" {secret}]',
        "c.jsonl": f'{{"a":"{secret}',
        "d.parquet": secret,
    }.items():
        (tmp_path / name).write_text(data)
        with pytest.raises(errors.InputError) as caught:
            opened(tmp_path / name)
        assert secret not in str(caught.value)
        assert caught.value.exit_code == 3
