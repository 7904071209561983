"""Delimited text: dialect, odd records, encodings; the compiled scanner against a plain one written from its rules."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from data_sanitizer import errors
from data_sanitizer.formats import csv as csv_format
from data_sanitizer.model import ReadLimits, ReadOptions

COMMA = ReadOptions(delimiter=",", header=True, encoding="utf-8")


class Got:
    """All that a file holds, put together from its blocks."""

    def __init__(self, data: bytes, options: ReadOptions | None = None, block: int = 1 << 24) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_bytes(data)
            reading = csv_format.read(path, "table.csv", options or ReadOptions(), Path(folder), block)
            parts = list(reading.blocks())
        self.columns = list(reading.schema)
        self.rows = [row for part in parts for row in part.frame.rows()]
        self.numbers = [n for part in parts for n in part.rows.tolist()]
        self.quarantined = [(i.row, i.reason, i.text) for part in parts for i in part.quarantined]
        self.flagged = [(i.row, i.reason, i.text) for part in parts for i in part.flagged]
        self.decisions = {d.subject: d.choice for d in reading.decisions}

    def everything(self) -> tuple[object, ...]:
        return self.columns, self.rows, self.numbers, self.quarantined, self.flagged, self.decisions


def test_short_rows_are_padded_and_flagged_and_long_ones_quarantined() -> None:
    got = Got(b"a,b,c\n1,2\n3,,\n4,5,6\n7,8,9,\n1,2,3,4\n")
    assert got.rows == [("1", "2", None), ("3", None, None), ("4", "5", "6"), ("7", "8", "9")]
    assert got.numbers == [0, 1, 2, 3]
    assert got.quarantined == [(4, "4 fields where the header has 3", "1,2,3,4")]
    assert got.flagged == [(0, "2 fields where the header has 3", "1,2"), (3, "4 fields where the header has 3", "7,8,9,")]


def test_one_field_too_many_and_one_too_few_do_not_cancel_out() -> None:
    got = Got(b"a,b,c\n1,2\n3,4,5,6\n", COMMA)
    assert got.rows == [("1", "2", None)]
    assert [i[0] for i in got.quarantined] == [1]


def test_quotes_inside_text_change_nothing() -> None:
    got = Got(b'a,b,c\n1,5" pipe,3\n4,6" pipe,6\n7,"he said "hi" to",2\n8,"abc" ,3\n')
    assert [r[1] for r in got.rows] == ['5" pipe', '6" pipe', 'he said "hi" to', "abc "]
    assert got.flagged == [(2, "a quote stands inside a quoted field", '7,"he said "hi" to",2')]


def test_a_quote_that_is_never_closed_costs_one_line_only() -> None:
    got = Got(b'a,b,c\n9,"open,1\n10,b,c\n11,"x\ny",""\n')
    assert got.rows == [("9", '"open', "1"), ("10", "b", "c"), ("11", "x\ny", "")]
    assert got.flagged == [(0, "a quote opens and is never closed", '9,"open,1')]


def test_unclosed_quotes_on_every_line_take_linear_time() -> None:
    got = Got(b"a,b\n" + b'x,"a\n' * 200_000, COMMA)
    assert len(got.rows) == 200_000
    assert set(got.rows) == {("x", '"a')}


def test_unclosed_quotes_within_one_line_take_linear_time() -> None:
    got = Got(b"a,b\n1,2\n1,2\n1,2\n" + b'"ab,' * 300_000 + b"\n", COMMA)
    assert got.quarantined[0][:2] == (3, "300001 fields where the header has 2; a quote opens and is never closed")


def test_many_equal_names_are_told_apart_and_too_many_columns_refused() -> None:
    assert Got(b",".join([b"x"] * 20_000)).columns[-1] == "x_20000"
    with pytest.raises(errors.TooManyColumns, match="it has 20001"):
        Got(b",".join([b"x"] * 20_001))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_is_understood(end: bytes) -> None:
    got = Got(b'a;b;c\n1;x;3\n4;"y\n;z";\n7;w;9'.replace(b"\n", end))
    inner = end.decode()
    assert got.rows == [("1", "x", "3"), ("4", f"y{inner};z", None), ("7", "w", "9")]


def test_blank_lines_are_counted_but_are_no_rows() -> None:
    got = Got(b"a,b\n\n1,2\n   \n3,4\n\n\n")
    assert got.rows == [("1", "2"), ("3", "4")]
    assert got.numbers == [0, 1]
    assert got.decisions["blank lines"] == "4 left out"


def test_in_a_table_of_one_column_a_blank_line_is_an_empty_cell() -> None:
    assert Got(b"only\n1\n\n3\n").rows == [("1",), (None,), ("3",)]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", "semicolon"),
        ("a\tb\nx, y\tz\nx\tz, y, z\n", "tab"),
        ("a|b|c\n1|2|3\n4|5|6\n", "pipe"),
        ('id;note\n1;"a; b, c"\n2;"d, e"\n3;x\n', "semicolon"),
        ("name\nSmith, John\nDoe, Jane\nRoe, Ann\n", "none (one column)"),
        ("full name\nJohn Smith\nJane Doe\n", "none (one column)"),
        ("time\n12:30\n13:45\n", "none (one column)"),
        ("when value\n", "none (one column)"),
    ],
)
def test_the_delimiter_is_found(text: str, delimiter: str) -> None:
    assert Got(text.encode()).decisions["delimiter"] == delimiter


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("1,x,2.5\n2,y,3.5\n3,z,4.5\n", ["column_1", "column_2", "column_3"]),
        ("country,2019,2020\nA,1.5,2.5\nB,3.5,4.5\n", ["country", "2019", "2020"]),
        ("a,b,b,\n1,2,3,4\n", ["a", "b", "b_2", "column_4"]),
        ("b_2,b,b\n1,2,3\n", ["b_2", "b", "b_3"]),
        ("x,y\nfoo,bar\nbar,foo\n", ["x", "y"]),
        ("2020-01-01,5\n2020-01-02,6\n", ["column_1", "column_2"]),
        ("Report of 2020\n\nid,name,value\n1,x,2.5\n2,y,3.5\n3,z,4.5\n", ["id", "name", "value"]),
        ("mpg,cyl\nMazda,21,6\nDatsun,22,4\nHornet,21,6\n", ["column_1", "mpg", "cyl"]),
        ("a,b,\n1,2\n3,4\n5,6\n", ["a", "b"]),
    ],
)
def test_header_and_names(text: str, columns: list[str]) -> None:
    assert Got(text.encode()).columns == columns


def test_the_first_row_is_data_where_the_user_says_so() -> None:
    got = Got(b"a,b\n1,2\n", ReadOptions(header=False))
    assert (got.columns, got.rows) == (["column_1", "column_2"], [("a", "b"), ("1", "2")])


def test_a_header_alone_is_a_table_without_rows() -> None:
    got = Got(b"a,b,c")
    assert (got.columns, got.rows) == (["a", "b", "c"], [])


@pytest.mark.parametrize(
    ("encoding", "text", "said"),
    [
        ("latin-1", "näme;ort\nJürgen;Köln\nZoë;Gößweinstein\n", "cp1252"),
        ("cp1252", "name;price\nJosé;5 €\n“Zoë”;7 €\n", "cp1252"),
        ("utf-16", "name\tplace\nJürgen\tKöln\n漢字\t😀\n", "utf-16"),
        ("utf-16-le", "name\tplace\nJürgen\tKöln\nJohn\tYork\n", "utf-16-le"),
        ("utf-8-sig", "name,place\nJürgen,Köln\n", "utf-8-sig"),
        ("cp1251", "имя;город\n" + "Сергей Иванович;Санкт-Петербург\nАнна Петрова;Нижний Новгород\n" * 20, "cp1251"),
        ("shift_jis", "名前,都市\n" + "山田太郎さん,東京都千代田区です\nひらがなとカタカナ,大阪市北区にいます\n" * 20, "cp932"),
    ],
)
def test_encodings(encoding: str, text: str, said: str) -> None:
    got = Got(text.encode(encoding))
    assert got.decisions["encoding"] in (said, encoding)
    expected = [tuple(line.replace("\t", ";").replace(",", ";").split(";")) for line in text.splitlines()]
    assert [tuple(got.columns), *got.rows] == expected


def test_lines_that_are_not_utf_8_are_read_as_western_text_and_said() -> None:
    got = Got("name,b\nä,2\nöööööö,ääääää\n".encode() + b"\xe9t\xe9,7\n\x8dx,1\n", block=16)
    assert [r[0] for r in got.rows] == ["ä", "öööööö", "été", "\x8dx"]
    assert got.decisions["encoding"] == "2 lines read as cp1252"


def test_a_late_line_in_another_encoding_is_found_in_a_file_that_looked_like_utf_8() -> None:
    got = Got(b"a,b\n" + b"x,y\n" * 300_000 + b"caf\xe9,1\n")
    assert got.rows[-1] == ("café", "1")
    assert got.decisions["encoding"] == "1 lines read as cp1252"


def test_backslashes_before_quotes_are_found() -> None:
    got = Got(b'a,b,c\n1,"say \\"hi\\", ok",3\n4,"\\"x",6\n')
    assert [r[1] for r in got.rows] == ['say "hi", ok', '"x']


@pytest.mark.parametrize("options", [ReadOptions(delimiter=",,"), ReadOptions(delimiter='"'), ReadOptions(encoding="klingon")])
def test_impossible_options_are_usage_errors(options: ReadOptions) -> None:
    with pytest.raises(errors.UsageError):
        Got(b"a,b\n1,2\n", options)


def test_a_very_large_cell_is_read() -> None:
    big = "x" * (2 << 20)
    assert Got(f'a,b\n1,"{big}"\n2,y\n'.encode(), COMMA, block=1 << 16).rows == [("1", big), ("2", "y")]


def test_a_quoted_cell_beyond_the_limit_is_the_same_in_blocks_of_any_size() -> None:
    data = START + b'7,"' + (b"line" * 250 + b"\n") * 5_000 + b'"\n8,"x"\n'
    whole, cut = Got(data, COMMA), Got(data, COMMA, 1 << 20)
    assert cut.everything() == whole.everything()
    assert whole.flagged[0][:2] == (4, "a quote opens and is never closed")


@given(st.lists(st.lists(st.text('ab,"\n\r é', max_size=5), min_size=2, max_size=2), max_size=8), st.integers(1, 60), st.booleans())
def test_what_pythons_writer_wrote_is_read_back(rows: list[list[str]], block: int, quoted: bool) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows([["x", "y"], *rows])
    got = Got(out.getvalue().encode(), COMMA, block)
    assert [[cell or "" for cell in row] for row in got.rows] == rows
    assert got.quarantined == got.flagged == []


START = b"h,i\n1,2\n1,2\n1,2\n1,2\n"  # enough to make plain that there are two columns
TOKENS = [b"a", b",", b'"', b'"', b"\n", b"\r\n", b"\r", b" ", b";", "é".encode(), b"\xe9"]
DIRTY = st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join)


@given(DIRTY, st.integers(1, 50))
@example(b'"a\n","a\n,"', 1)
@example(b'x,"\n,"a,"', 1)
@example(b'"a"",\n"a"",\n"', 2)
@example(b'"a"\r,b\na",a\n', 8)
def test_any_bytes_give_the_same_records_in_blocks_of_any_size(dirt: bytes, block: int) -> None:
    data = START + dirt
    whole, cut = Got(data, COMMA), Got(data, COMMA, block)
    assert cut.everything() == whole.everything()
    assert whole.columns == ["h", "i"]
    numbers = sorted(whole.numbers + [i[0] for i in whole.quarantined])
    assert numbers == list(range(len(numbers)))


@given(DIRTY)
@example(b"\r,a\nx\r,\r\r\n")
@example(b',,""\n')
def test_the_compiled_scanner_agrees_with_a_plain_one(dirt: bytes) -> None:
    text = dirt.replace(b"\xe9", b"e").decode()
    text = START.decode() + "x,y\n" * 60 + text  # so that lone CRs do not look like line ends, nor letters like names
    records = plain_records(text if text.endswith("\n") else text + "\n")[1:]
    expected = [r for r, raw in records if raw.strip(" \t\r\n") and (len(r) == 2 or not re.fullmatch(r",*\r?\n", raw))]
    got = Got(text.encode(), COMMA)
    kept = [r for r in expected if len(r) <= 2 or not any(c.strip() for c in r[2:])]
    assert [[c or "" for c in row] for row in got.rows] == [[*r, ""][:2] for r in kept]
    assert len(got.quarantined) == len(expected) - len(kept)


def plain_records(text: str) -> list[tuple[list[str], str]]:
    """The rules of the scanner, said as simply as possible: each record with its own text; `text` ends with a line end."""
    records: list[tuple[list[str], str]] = []
    at = 0
    while at < len(text):
        record, end, stray = plain_record(text, at)
        if len(record) != 2 and stray is not None:
            again, other, _ = plain_record(text, at, stray)
            record = again if len(again) == 2 and other == end else record
        records.append((record, text[at:end]))
        at = end
    return records


def plain_record(text: str, at: int, literal: int | None = None) -> tuple[list[str], int, int | None]:
    """Cells, end, and where the first field with a stray quote begins; the quote at `literal` is text."""
    record: list[str] = []
    first = None
    while True:
        quoted = quoted_cell(text, at) if text[at] == '"' and at != literal else None
        cell, end, stray = quoted or bare_cell(text, at)
        first = at if stray and first is None else first
        record.append(cell)
        if text[end] == "\r":
            end += 1
        if text[end] == "\n":
            return record, end + 1, first
        at = end + 1


def bare_cell(text: str, at: int) -> tuple[str, int, bool]:
    end = min(e for e in (text.find(",", at), text.find("\n", at)) if e >= 0)
    cell = text[at:end]
    return (cell[:-1] if text[end] == "\n" and cell.endswith("\r") else cell), end, False


def quoted_cell(text: str, at: int) -> tuple[str, int, bool] | None:
    cell, j, stray = "", at + 1, False
    while j < len(text):
        if text[j] != '"':
            cell, j = cell + text[j], j + 1
            continue
        if text[j + 1] == '"':
            cell, j = cell + '"', j + 2
            continue
        k = j + 1
        while text[k] == " ":
            k += 1
        if text[k] in ",\n" or text[k : k + 2] == "\r\n":
            return cell + text[j + 1 : k], k, stray
        if text[j - 1] in ",\n\r" and any(c in "\r\n" for c in text[at:j]):
            return None
        cell, j, stray = cell + '"', j + 1, True
    return None


def test_counts_of_the_fast_path_see_every_delimiter_beyond_one_step() -> None:
    rows = 60_000
    data = b"a,b,c\n" + b"1,2,3\n" * rows
    assert len(data) > 1 << 18
    short = data + b"4,5\n"
    assert Got(short, COMMA, 1 << 20).flagged == [(rows, "2 fields where the header has 3", "4,5")]
    assert np.unique(Got(data, COMMA, 1 << 17).numbers).size == rows


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_long_fields_are_flagged_and_longer_ones_refused_whatever_the_block(quote: bytes) -> None:
    data = b"a,b\nx,1\n" + quote + b"y" * 300 + quote + b",2\nz,3\n"
    for block in (16, 1000):
        options = ReadOptions(limits=ReadLimits(field_bytes=200))
        assert [i[:2] for i in Got(data, options, block).flagged] == [(1, "a value is longer than the limit field_bytes")]
        with pytest.raises(errors.FieldTooLarge, match="longest_field"):
            Got(data, ReadOptions(limits=ReadLimits(longest_field=299)), block)
        with pytest.raises(errors.RowTooLarge, match="row_bytes"):
            Got(data, ReadOptions(limits=ReadLimits(row_bytes=250)), block)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(errors.ColumnNameTooLong, match="column 2 has 513 characters"):
        Got(b"a," + b"b" * 513 + b"\n1,2\n")


@pytest.mark.parametrize("text", [b"name 0\n'\n'\n", b"a,b\n',1\n',2\n", b"a,b\n1,'\n2,'\n"], ids=["alone", "first", "last"])
def test_a_sign_that_is_all_of_its_cell_is_no_quote(text: bytes) -> None:
    got = Got(text)
    assert len(got.rows) == 2
    assert all("'" in row for row in got.rows)
