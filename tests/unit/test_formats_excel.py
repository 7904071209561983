"""Sheets as people make them: titles, groups of columns, footers, several tables; and workbooks that are made to do harm."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xlsxwriter
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer import errors, formats
from data_sanitizer.formats import _sheet_layout as layout
from data_sanitizer.model import ReadLimits, ReadOptions
from tests import hazards

Fill = Callable[[Any, Any], None]


class Got:
    """What is read of a workbook."""

    def __init__(self, path: Path, block: int | None = None, **options: Any) -> None:
        reading = formats.open_source(path, ReadOptions(**options), path.parent, block)
        parts = list(reading.blocks())
        self.schema = {name: str(kind) for name, kind in reading.schema.items()}
        self.rows = [row for part in parts for row in part.frame.rows()]
        self.numbers = [n for part in parts for n in part.rows.tolist()]
        self.quarantined = [(i.row, i.text) for part in parts for i in part.quarantined]
        self.told = {d.subject: (d.choice, d.evidence) for d in reading.decisions}


def made(folder: Path, *fills: Fill, **options: Any) -> Path:
    """A workbook with one sheet a function, which gets the book and the sheet."""
    path = folder / "book.xlsx"
    with xlsxwriter.Workbook(str(path), options) as book:
        for fill in fills:
            fill(book, book.add_worksheet(fill.__name__))
    return path


def table(sheet: Any, top: int, left: int, rows: int, names: tuple[str, ...] = ("id", "name", "amount")) -> None:
    sheet.write_row(top, left, names)
    for i in range(rows):
        sheet.write_row(top + 1 + i, left, [i + 1, f"n{i}", i * 1.5][: len(names)])


def test_groups_of_columns_over_their_names_are_joined(tmp_path: Path) -> None:
    def sales(book: Any, sheet: Any) -> None:
        sheet.write(0, 0, "Sales by quarter")
        sheet.merge_range(2, 0, 3, 0, "region")
        sheet.merge_range(2, 1, 2, 2, "Q1")
        sheet.merge_range(2, 3, 2, 4, "Q2")
        sheet.write_row(3, 1, ["sales", "cost", "sales", "cost"])
        for i in range(4):
            sheet.write_row(4 + i, 0, [f"r{i}", i, i + 1, i + 2, i + 3])

    got = Got(made(tmp_path, sales))
    assert list(got.schema) == ["region", "Q1 sales", "Q1 cost", "Q2 sales", "Q2 cost"]
    assert got.rows[0] == ("r0", 0, 1, 2, 3)
    assert got.told["header"][0] == "2 rows joined"


def test_groups_above_a_full_header_are_joined_too(tmp_path: Path) -> None:
    def groups(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 2, 0, 3, "size")
        sheet.merge_range(0, 4, 0, 5, "price")
        sheet.write_row(1, 0, ["id", "name", "width", "height", "net", "gross"])
        for i in range(4):
            sheet.write_row(2 + i, 0, [i, f"n{i}", 1, 2, 3, 4])

    assert list(Got(made(tmp_path, groups)).schema) == ["id", "name", "size width", "size height", "price net", "price gross"]


def test_groups_of_groups_and_cells_that_reach_down_make_headers_of_more_rows(tmp_path: Path) -> None:
    def stacked(book: Any, sheet: Any) -> None:
        for first, half in ((2, "past"), (6, "future")):
            sheet.merge_range(0, first, 0, first + 3, half)
            for column, kind in ((first, "net"), (first + 2, "gross")):
                sheet.merge_range(1, column, 1, column + 1, kind)
        sheet.write_row(2, 0, ["id", "name", *["low", "high"] * 4])
        for row in range(3, 7):
            sheet.write_row(row, 0, [row, "x", *range(8)])

    got = Got(made(tmp_path, stacked))
    assert list(got.schema)[:4] == ["id", "name", "past net low", "past net high"]
    assert list(got.schema)[-1] == "future gross high"
    assert got.told["header"][0] == "3 rows joined"

    def reaching(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 3, 0, "region")
        sheet.merge_range(0, 1, 0, 2, "change")
        sheet.write_row(3, 1, ["by month", "by year"])
        for row in range(4, 7):
            sheet.write_row(row, 0, ["north", "up", "down"])

    got = Got(made(tmp_path, reaching))
    assert list(got.schema) == ["region", "change by month", "change by year"]
    assert len(got.rows) == 3


def test_one_merged_remark_above_the_header_is_no_group(tmp_path: Path) -> None:
    def remark(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 1, "last refreshed on:")
        sheet.write(0, 2, "Monday")
        sheet.write_row(1, 0, ["first", "last", "town", "age", "size", "job"])
        for row in range(2, 6):
            sheet.write_row(row, 0, ["Ann", "Lee", "Ulm", 30 + row, 170, "vet"])

    assert list(Got(made(tmp_path, remark)).schema) == ["first", "last", "town", "age", "size", "job"]


def test_last_records_with_gaps_are_no_footer(tmp_path: Path) -> None:
    def gaps(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 5, ("name", "town", "amount"))
        sheet.write_column(1, 0, ["a", "b", "c", "d", "e", "only a name"])

    got = Got(made(tmp_path, gaps))
    assert (len(got.rows), got.quarantined) == (6, [])


def test_a_title_over_all_columns_is_no_group_and_a_row_of_texts_no_second_header(tmp_path: Path) -> None:
    def title(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 2, "All our people")
        sheet.write_row(1, 0, ["first", "last", "town"])
        for row in range(2, 6):
            sheet.write_row(row, 0, ["Ann", "Lee", "Ulm"])

    got = Got(made(tmp_path, title))
    assert list(got.schema) == ["first", "last", "town"]
    assert len(got.rows) == 4

    def merged(book: Any, sheet: Any) -> None:
        sheet.merge_range(0, 0, 0, 1, "name")
        sheet.write(0, 2, "town")
        for row in range(1, 6):
            sheet.write_row(row, 0, ["Ann", "Lee", "Ulm"])

    got = Got(made(tmp_path, merged))
    assert len(got.rows) == 5, "a row of data is never taken for a header"


def test_a_footer_is_quarantined_whole(tmp_path: Path) -> None:
    def footed(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 5, ("id", "name", "amount"))
        sheet.write(7, 0, "Total")
        sheet.write(9, 0, "Source: our own counting")

    for block in (None, 2):
        got = Got(made(tmp_path, footed), block)
        assert len(got.rows) == 5
        assert got.quarantined == [(5, "Total\t\t"), (6, "Source: our own counting\t\t")]
        assert got.schema["id"] == "Int64"
        assert got.told["footer"][0] == "2 rows quarantined"


def test_a_blank_row_within_a_table_parts_nothing(tmp_path: Path) -> None:
    def gaps(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 3)
        for i in (5, 6, 9):
            sheet.write_row(i, 0, [i, "x", 2.5])

    got = Got(made(tmp_path, gaps))
    assert len(got.rows) == 6
    assert got.told["blank rows"][0] == "3 left out"


def test_the_largest_of_several_tables_is_read_and_the_others_named(tmp_path: Path) -> None:
    def several(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 3, ("code", "label"))
        table(sheet, 6, 1, 20)
        table(sheet, 6, 6, 5, ("k", "v"))

    path = made(tmp_path, several)
    got = Got(path)
    assert list(got.schema) == ["id", "name", "amount"]
    assert len(got.rows) == 20
    assert got.told["table"][0] == "B7:D27"
    assert "A1:B4 (8 cells), G7:H12 (12 cells)" in got.told["table"][1]
    assert Got(path, sheet="several!G7:H12").rows[0] == (1, "n0")
    assert list(Got(path, sheet="several!a1:b4").schema) == ["code", "label"]
    with pytest.raises(errors.EmptyInput):
        Got(path, sheet="several!X1:Z9")
    with pytest.raises(errors.SheetNotFound):
        Got(path, sheet="several!G7")


def test_a_column_of_remarks_behind_a_blank_one_belongs_to_the_table(tmp_path: Path) -> None:
    def remarks(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 8)
        sheet.write_column(0, 4, ["remark", "", "good", "", "", "bad"])

    assert list(Got(made(tmp_path, remarks)).schema) == ["id", "name", "amount", "remark"]


def test_the_sheet_with_the_data_is_read_not_its_cover_nor_what_is_hidden(tmp_path: Path) -> None:
    def cover(book: Any, sheet: Any) -> None:
        sheet.write(0, 0, "Please read this first")

    def secret(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 100)
        sheet.hide()

    def january(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 30, ("id", "name", "january"))
        sheet.set_row(3, None, None, {"hidden": True})
        sheet.set_column(1, 1, None, None, {"hidden": True})

    def february(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 31, ("id", "name", "february"))

    got = Got(made(tmp_path, cover, secret, january, february))
    assert list(got.schema) == ["id", "name", "january"]
    assert len(got.rows) == 30
    assert got.told["sheet"][0] == "january"
    assert "cover, secret (hidden), february" in got.told["sheet"][1]
    assert got.told["hidden cells"][0] == "1 rows and 1 columns read as the others"


@pytest.mark.parametrize("from_1904", [False, True])
def test_dates_that_lost_their_form_are_dates_again_among_dates(tmp_path: Path, from_1904: bool) -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=i) for i in range(12)]
    start = dt.date(1904, 1, 1) if from_1904 else dt.date(1899, 12, 30)

    def dated(book: Any, sheet: Any) -> None:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["when", "pages", "both"])
        for i, date in enumerate(days):
            if i == 5:
                sheet.write_number(i + 1, 0, (date - start).days)
            else:
                sheet.write_datetime(i + 1, 0, dt.datetime(date.year, date.month, date.day), day)
            sheet.write_number(i + 1, 1, 43831 + i)
            if i == 7:
                sheet.write_number(i + 1, 2, 12.5)
            else:
                sheet.write_datetime(i + 1, 2, dt.datetime(date.year, date.month, date.day), day)

    got = Got(made(tmp_path, dated, date_1904=from_1904))
    assert [row[0] for row in got.rows] == days
    assert (got.schema["pages"], got.schema["both"]) == ("Int64", "String"), "numbers alone, or far from the dates, are numbers"
    assert got.told["dates stored as numbers"][0] == "read as dates in when"


def test_errors_and_merged_cells_are_told(tmp_path: Path) -> None:
    def odd(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 4)
        sheet.write_formula(2, 2, "=1/0", None, "#DIV/0!")
        sheet.merge_range(3, 1, 4, 1, "both", book.add_format({"bold": True}))

    got = Got(made(tmp_path, odd))
    assert got.told["errors"][0] == "1 cells read as empty"
    assert got.told["merged cells"][0] == "1 ranges with the value in their first cell"
    assert [row[1] for row in got.rows] == ["n0", "n1", "both", None]


def test_long_cells_are_flagged(tmp_path: Path) -> None:
    def long(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 2)
        sheet.write(2, 1, "ä" * 600)

    path = made(tmp_path, long)
    reading = formats.open_source(path, ReadOptions(limits=ReadLimits(field_bytes=1000)), tmp_path)
    assert [i.row for part in reading.blocks() for i in part.flagged] == [1]
    with pytest.raises(errors.FieldTooLarge):
        Got(path, limits=ReadLimits(longest_field=1000))


FAR = "<table:table-row>{}</table:table-row>"


def far_open_document(path: Path) -> Path:
    gap = '<table:table-row table:number-rows-repeated="1048574"><table:table-cell/></table:table-row>'
    last = '<table:table-cell table:number-columns-repeated="16383"/>' + hazards.open_cell("b")
    return hazards.open_document(path, FAR.format(hazards.open_cell("a")) + gap + FAR.format(last))


def repeated_open_document(path: Path) -> Path:
    row = FAR.format(hazards.open_cell("a", 16384)).replace("table-row>", 'table-row table:number-rows-repeated="1048576">', 1)
    return hazards.open_document(path, row)


def sheet_of(rows: str) -> Callable[[Path], Path]:
    return lambda path: hazards.workbook(path, rows)


PREFIXED = '<x:row xmlns:x="u"><x:c r="A1"><x:v>1</x:v></x:c><x:c r="XFD1048576"><x:v>1</x:v></x:c></x:row>'
QUOTED = """<row><c r='A1'><v>1</v></c><c s=">" r = 'XFD1048576' ><v>1</v></c></row>"""
COMMENTED = """<!-- "> <c x=' --><row><c r="A1"><v>1</v></c><c r="XFD1048576"><v>1</v></c></row><!-- ' -->"""
WIDE = {"[Content_Types].xml": "", "xl/workbook.xml": "", "s.xml": "<a/>".encode("utf-16")}
EMPTY = {"[Content_Types].xml": "", "xl/workbook.xml": "<workbook/>"}
HAZARDS: dict[str, tuple[Callable[[Path], Path], type[errors.InputError]]] = {
    "far cells": (hazards.far_cells, errors.SheetTooSparse),
    "far cells.xlsb": (lambda p: hazards.binary_workbook(p, [(0, 0, 1.0), (1048575, 16383, 2.0)]), errors.SheetTooSparse),
    "far cells.ods": (far_open_document, errors.SheetTooSparse),
    "repeated cells.ods": (repeated_open_document, errors.SheetTooLarge),
    "far cells in single quotes": (sheet_of(QUOTED), errors.SheetTooSparse),
    "far cells with a prefix": (sheet_of(PREFIXED), errors.SheetTooSparse),
    "far cells between comments": (sheet_of(COMMENTED), errors.SheetTooSparse),
    "beyond the last column": (sheet_of('<row><c r="XFE1"><v>1</v></c></row>'), errors.TooManyColumns),
    "laughs": (hazards.laughing, errors.MalformedSpreadsheet),
    "foreign entity": (lambda p: hazards.foreign_entity(p, "file:///etc/passwd"), errors.MalformedSpreadsheet),
    "utf-16": (lambda p: hazards.zipped(dict(WIDE), p), errors.MalformedSpreadsheet),
    "endless tag": (sheet_of("<c " + "a" * (17 << 20)), errors.MalformedSpreadsheet),
    "no sheet": (lambda p: hazards.zipped(dict(EMPTY), p), errors.InputError),
    "many entries": (lambda p: hazards.zipped({"xl/workbook.xml": ""} | {f"{i}": "" for i in range(2000)}, p), errors.ArchiveRejected),
}


@pytest.mark.parametrize("name", HAZARDS)
def test_workbooks_that_are_made_to_harm_are_refused_before_they_are_opened(name: str, tmp_path: Path) -> None:
    make, error = HAZARDS[name]
    with pytest.raises(error) as caught:
        Got(make(tmp_path / f"{name.removesuffix('.ods').removesuffix('.xlsb')}.xlsx"))
    assert isinstance(caught.value, errors.InputError)


def test_limits_of_sheets_can_be_set(tmp_path: Path) -> None:
    path = hazards.many_cells(tmp_path / "m.xlsx", 20_000)
    assert len(Got(path).rows) == 20
    with pytest.raises(errors.SheetTooLarge, match="sheet_cells=N"):
        Got(path, limits=ReadLimits(sheet_cells=19_999))
    with pytest.raises(errors.DecompressionLimit, match="unpacked_ratio"):
        Got(path, limits=ReadLimits(unpacked_free=100_000, unpacked_ratio=50))
    with pytest.raises(errors.TooManyColumns):
        Got(path, limits=ReadLimits(columns=999))


def test_cells_with_nothing_but_a_form_do_not_count(tmp_path: Path) -> None:
    def formed(book: Any, sheet: Any) -> None:
        table(sheet, 0, 0, 3)
        sheet.write_blank(1_048_575, 16_383, None, book.add_format({"bold": True}))

    assert len(Got(made(tmp_path, formed)).rows) == 3


def test_other_spreadsheet_formats_are_read_alike(tmp_path: Path) -> None:
    cells = [(r, c, float(10 * r + c)) for r in range(5) for c in range(3)]
    got = Got(hazards.binary_workbook(tmp_path / "b.xlsb", cells), header=False)
    assert got.rows == [tuple(10 * r + c for c in range(3)) for r in range(5)]
    line = (
        "<table:table-row>"
        + "".join(map(hazards.open_cell, "abc"))
        + '<table:table-cell table:number-columns-repeated="16381"/></table:table-row>'
    )
    rest = (
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    )
    got = Got(hazards.open_document(tmp_path / "o.ods", line * 4 + rest))
    assert (list(got.schema), got.rows) == (["a", "b", "c"], [("a", "b", "c")] * 3)


@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=1, max_size=12))
def test_every_filled_cell_is_in_one_table(rows: list[list[int]]) -> None:
    codes = np.array(rows, np.uint8)
    found = layout.tables(codes)
    places = [(r, c) for part in found for r in part.rows.tolist() for c in part.columns.tolist() if codes[r, c]]
    assert sorted(places) == [tuple(p) for p in np.argwhere(codes).tolist()]


def test_the_rows_are_the_same_in_blocks_of_any_size(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": range(50), "b": [f"t{i}" for i in range(50)]})
    frame.write_excel(tmp_path / "a.xlsx")
    for block in (1, 7, 1000):
        got = Got(tmp_path / "a.xlsx", block)
        assert (got.rows, got.numbers) == (frame.rows(), list(range(50)))
