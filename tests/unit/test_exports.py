"""The cleaned table in other formats: what looks like a formula is guarded, nothing else is touched, and it can be taken back."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from data_sanitizer import errors
from data_sanitizer.pipeline.exports import export

RISKY = [
    '=HYPERLINK("http://x")',
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\0=",
    "=",
    "-1+cmd",
    "+1*2",
    "'=1",
    "''-x()",
]
PLAIN = [
    "-5",
    "+49 30 1",
    "@bob",
    "@Anna_B",
    "-1,234.50",
    "+1.5e3",
    "-12 %",
    "+49 (0)30-123 45",
    "-0044-03-15",
    "a=b",
    "'ok",
    "",
    "N/A",
    " =1",
]


def cells(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [row[0] for row in list(csv.reader(file))[1:]]


def written(folder: Path, texts: list[str], **how: bool) -> tuple[list[str], int]:
    source = folder / "cleaned.parquet"
    pl.DataFrame({"a": texts, "b": 1}, {"a": pl.String, "b": pl.Int64}).write_parquet(source)
    count = export(source, folder / "out.csv", "csv", **how)
    return cells(folder / "out.csv"), count


def test_t45_formulas_are_guarded_and_counted(tmp_path: Path) -> None:
    assert written(tmp_path, RISKY) == ([f"'{text}" for text in RISKY], len(RISKY))


def test_t45_numbers_phones_and_handles_are_not(tmp_path: Path) -> None:
    assert written(tmp_path, PLAIN) == (PLAIN, 0)


def test_without_the_guard_every_text_stays(tmp_path: Path) -> None:
    assert written(tmp_path, RISKY + PLAIN, guard=False) == (RISKY + PLAIN, 0)


@settings(max_examples=60)
@given(st.lists(st.text("=+-@'\t a1B.()", max_size=8), min_size=1, max_size=30))
def test_the_guard_can_be_taken_off(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """One `'` less wherever signs of that kind follow it gives the texts again, and nothing that begins like a formula is left bare."""
    found, _ = written(tmp_path_factory.mktemp("guard"), texts)
    again, _ = written(tmp_path_factory.mktemp("guard"), found)
    back = [text[1:] if other != text else text for text, other in zip(found, again, strict=True)]
    assert back == texts


def test_the_names_of_columns_are_guarded_too(tmp_path: Path) -> None:
    source = tmp_path / "cleaned.jsonl"
    pl.DataFrame({"=cmd()": ["x"], "-": ["y"]}).write_ndjson(source)
    export(source, tmp_path / "out.csv", "csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "'=cmd(),-"


def test_a_sheet_has_typed_cells_and_no_formula(tmp_path: Path) -> None:
    frame = pl.DataFrame({"t": ["=1+1", None, "http://x"], "i": [1, 10**17, None], "f": [1.5, None, -2.0], "b": [True, False, None],
                          "d": [dt.date(2024, 2, 29), None, dt.date(1800, 1, 1)]})  # fmt: skip
    frame.write_parquet(tmp_path / "cleaned.parquet")
    for name in ("a.xlsx", "b.xlsx"):
        export(tmp_path / "cleaned.parquet", tmp_path / name, "xlsx")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
    sheet = CalamineWorkbook.from_path(str(tmp_path / "a.xlsx")).get_sheet_by_index(0)
    assert sheet.to_python() == [
        ["t", "i", "f", "b", "d"],
        ["=1+1", 1.0, 1.5, True, dt.date(2024, 2, 29)],
        ["", str(10**17), "", False, ""],
        ["http://x", "", -2.0, "", "1800-01-01"],
    ]


def test_what_a_sheet_cannot_hold_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"t": ["x" * 40_000]}).write_parquet(tmp_path / "cleaned.parquet")
    with pytest.raises(errors.LimitExceeded):
        export(tmp_path / "cleaned.parquet", tmp_path / "out.xlsx", "xlsx")
