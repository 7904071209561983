"""`data-sanitizer convert`: no cell is changed, types only where they lose nothing, and nothing is kept out unsaid."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import polars as pl
import pytest

from tests.acceptance.command import call, left_over

ROWS = [
    "id,code,price,paid,day,when,note,flag,odd",
    "a1,007,1.50,1.5,2024-02-29,03/04/2020,  x ,true,1",
    "a2,008,20.00,2,2023-01-31,04/04/2020,n/a,false,2",
    "a3,009,300.25,2.25,1999-12-31,05/04/2020,,true,03",
]


def test_types_are_given_where_every_cell_can_be_written_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("\n".join(ROWS) + "\n")
    done = call(capfd, "convert", tmp_path / "t.csv", "-o", tmp_path / "t.parquet")
    assert done.code == 0, done.err
    frame = pl.read_parquet(tmp_path / "t.parquet")
    kinds = {name: str(kind) for name, kind in frame.schema.items()}
    assert kinds == {
        "id": "String", "code": "String", "price": "Float64", "paid": "Float64", "day": "Date", "when": "String", "note": "String",
        "flag": "Boolean", "odd": "String",
    }  # fmt: skip
    assert frame["day"][0] == dt.date(2024, 2, 29)
    assert frame["note"].to_list() == ["  x ", "n/a", None], "a cell is never changed"
    assert "type: price is Float64 (written as 0.00 in every cell)" in done.err


def test_text_formats_get_the_cells_as_they_stand(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(("\n".join(ROWS) + "\n").encode()))
    assert call(capfd, "convert", tmp_path / "t.csv.gz", "-o", tmp_path / "t.csv").code == 0
    assert (tmp_path / "t.csv").read_text() == "\n".join(ROWS) + "\n"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
def test_what_is_kept_out_is_told(ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.jsonl").write_text('{"a":"canary-1"}\n{bad\n{"a":"x","a":"y"}\n[1]\n')
    done = call(capfd, "convert", tmp_path / "t.jsonl", "-o", tmp_path / f"out.{ending}")
    assert done.code == 0
    assert "kept out: 1 records (not valid JSON); record 1" in done.err
    assert "kept out: 1 records (not a JSON object); record 3" in done.err
    assert "flagged: 1 records (a key occurs twice; the last value is kept); record 2" in done.err
    assert "canary" not in done.err


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_input_that_turns_out_bad_on_the_way_is_an_input_error(ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Found out while the output is being written: exit code 3, and nothing is left."""
    packed = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(400_000)))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.csv.gz").write_bytes(packed[: len(packed) - 1000])
    (tmp_path / "out").mkdir()
    done = call(capfd, "convert", tmp_path / "in" / "t.csv.gz", "-o", tmp_path / "out" / f"t.{ending}")
    assert done.code == 3, done.err
    assert "ends too early" in done.err
    assert left_over(tmp_path / "out") == []


def test_an_output_that_exists_is_kept_unless_forced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "o.csv").write_text("mine")
    assert call(capfd, "convert", tmp_path / "t.csv", "-o", tmp_path / "o.csv").code == 2
    assert (tmp_path / "o.csv").read_text() == "mine"
    assert call(capfd, "convert", tmp_path / "t.csv", "-o", tmp_path / "o.csv", "--force").code == 0
    assert call(capfd, "convert", tmp_path / "t.csv", "-o", tmp_path / "o.docx").code == 2


def test_a_sheet_and_a_policy_can_be_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(tmp_path / "b.xlsx")) as book:
        sheet = book.add_worksheet("S")
        for row in range(4):
            sheet.write_row(row, 0, ["k", "v"] if not row else [f"k{row}", row])
            sheet.write_row(row + 8, 4, ["p", "q"] if not row else [f"p{row}", row])
    assert call(capfd, "convert", tmp_path / "b.xlsx", "-o", tmp_path / "b.csv", "--sheet", "S!E9:F12").code == 0
    assert (tmp_path / "b.csv").read_text().splitlines()[0] == "p,q"
    (tmp_path / "m.jsonl").write_text('{"a":1}\n{"a":"x"}\n{"a":2}\n')
    done = call(capfd, "convert", tmp_path / "m.jsonl", "-o", tmp_path / "m.parquet", "--mixed", "a=quarantine")
    assert pl.read_parquet(tmp_path / "m.parquet")["a"].to_list() == [1, 2]
    assert "sets aside" in done.err
    assert call(capfd, "convert", tmp_path / "m.jsonl", "-o", tmp_path / "n.csv", "--mixed", "whatever").code == 2
