"""Delimited text as people write it: signs, headers, titles, notes and tables below one another, and the account of every line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sanitizer import errors
from data_sanitizer.formats import csv as csv_format
from data_sanitizer.model import ReadOptions
from tests.unit.test_formats_csv import Got

HEADER = ["day", "time", "count", "item", "price", "text"]
ROWS = [
    [f"{i % 28 + 1:02d}/03/2019", f"{i % 24:02d}:15", str(i % 7), f"AB-{1000 + i}", f"{i}.95", text]
    for i, text in enumerate(["plain words", "a, b and c", 'the 10" model', "Jim's own", "x; y", "last, but no 5"] * 4)
]


def written(rows: list[list[str]], delimiter: str = ",", quote: str = '"', end: str = "\n", escape: str | None = None) -> str:
    out = io.StringIO(newline="")
    form = csv.writer(out, delimiter=delimiter, quotechar=quote, lineterminator=end, escapechar=escape, doublequote=escape is None)
    form.writerows(rows)
    return out.getvalue()


SOURCE = written([HEADER, *ROWS])
LESS = written([row[:5] for row in [HEADER, *ROWS]])
MORE = written([[*row, "x"] for row in ROWS])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SOURCE, id="plain"),
        pytest.param(SOURCE.rstrip("\n"), id="no line end at the end"),
        pytest.param(SOURCE + "\n\n", id="blank lines at the end"),
        pytest.param(written([HEADER, *ROWS], ";"), id="semicolon"),
        pytest.param(written([HEADER, *ROWS], "\t"), id="tab"),
        pytest.param(written([HEADER, *ROWS], "|"), id="pipe"),
        pytest.param(written([HEADER, *ROWS], " "), id="space"),
        pytest.param(written([HEADER, *ROWS], quote="'"), id="single quotes"),
        pytest.param(written([HEADER, *ROWS], escape="\\"), id="backslash"),
        pytest.param(written([HEADER, *ROWS], escape="\\").replace("\\", "\0"), id="NUL before quotes"),
        pytest.param("\n".join(", ".join(f'"{c}"' if "," in c else c for c in r) for r in [HEADER, *ROWS]), id="comma and blank"),
        pytest.param(written([HEADER, *ROWS], end="\r\n"), id="CRLF"),
        pytest.param(written([HEADER, *ROWS], end="\r"), id="CR"),
        pytest.param(written([HEADER, *ROWS], end="\r\r\n"), id="CR CR LF"),
        pytest.param(written([HEADER, *ROWS], end="\x1e"), id="record separators"),
        pytest.param(written([HEADER, *ROWS], end="\u2028"), id="line separators"),
        pytest.param("".join(line + "\r\n"[i % 2 :] for i, line in enumerate(SOURCE.splitlines())), id="LF and CRLF"),
        pytest.param("".join(line + "\r\n"[i % 2] for i, line in enumerate(SOURCE.splitlines())), id="LF and CR"),
        pytest.param(SOURCE.replace("\n", "\n\n"), id="blank line after each row"),
        pytest.param("Orders of the shop\n\n" + SOURCE, id="title"),
        pytest.param('"Orders, of the shop",,,,,\n,,,,,\n' + SOURCE, id="title in a sheet"),
        pytest.param("Orders, exported 2019, by me\n" + SOURCE, id="title with commas"),
        pytest.param("# exported, by me\n# in 2019\n" + SOURCE, id="remarks"),
        pytest.param(SOURCE + "Rows: 24\n", id="note below"),
        pytest.param(SOURCE + "\n" + "A note that tells, in prose\n", id="note with a comma"),
        pytest.param(SOURCE + ",,,,,\n" * 30, id="padding below"),
        pytest.param(SOURCE + LESS, id="narrower table below"),
        pytest.param(SOURCE + MORE, id="wider rows below"),
        pytest.param(SOURCE + "\n\n" + LESS, id="another table after blank lines"),
        pytest.param(SOURCE.replace("\n0", "\n0", 1) + written([HEADER]), id="header again"),
    ],
)
def test_the_table_is_read_whatever_stands_around_it(text: str) -> None:
    got = Got(text.encode())
    assert got.columns == HEADER
    assert [[c or "" for c in row] for row in got.rows if len(set(row[2:])) > 1] == ROWS


def test_joined_files_are_one_table() -> None:
    got = Got((SOURCE + SOURCE).encode())
    assert [list(row) for row in got.rows] == ROWS + ROWS
    assert got.quarantined == [(24, "the header again", ",".join(HEADER))]


@pytest.mark.parametrize("column", range(6))
@pytest.mark.parametrize("row", [0, 3, 4])
def test_an_opening_quote_too_many_is_text_of_its_field(row: int, column: int) -> None:
    rows = [HEADER, *ROWS]
    cells = [f'"{c.replace(chr(34), chr(34) * 2)}"' if "," in c or '"' in c else c for c in rows[row]]
    if cells[column].startswith('"'):
        return
    cells[column] = '"' + cells[column]
    lines = [written([r]).rstrip("\n") for r in rows]
    lines[row] = ",".join(cells)
    got = Got("\n".join(lines).encode())
    expected = [list(r) for r in rows]
    expected[row][column] = '"' + expected[row][column]
    assert [got.columns, *([c or "" for c in r] for r in got.rows)] == expected


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("day,n\nday,n\n2019-01-02,5\n2019-01-03,6\n", ["day day", "n n"]),
        ("time,speed\ns,km/h\n1,30\n2,31\n3,32\n", ["time s", "speed km/h"]),
        ("who,cost,,all\n,rail,air,\nJo,1.5,2.5,4\nMo,2.5,3.5,6\nBo,1,1,2\n", ["who", "cost rail", "cost air", "all"]),
        ("bp,,lg,\nx,y,x,y\n1,2,3,4\n5,6,7,8\n1,1,1,1\n", ["bp x", "bp y", "lg x", "lg y"]),
        ("id,1,2\nname,A,B\nsize,3,4\n", ["id", "1", "2"]),
        ("a,b\nx,y\nz,w\n", ["a", "b"]),
        ("n,m\n-,NA\n1,2\n3,4\n5,6\n", ["n", "m"]),
    ],
)
def test_header_rows_are_joined_only_where_no_value_stands_in_them(text: str, columns: list[str]) -> None:
    assert Got(text.encode()).columns == columns


def test_a_header_row_too_long_by_an_empty_name_fits_the_rows() -> None:
    assert Got(b"a,,b,c\n1,2,3\n4,5,6\n7,8,9\n").columns == ["a", "b", "c"]


def test_rows_of_delimiters_within_a_table_are_rows() -> None:
    assert Got(b"a,b,c\n1,2,3\n,,\n4,5,6\n,,\n").rows == [("1", "2", "3"), (None, None, None), ("4", "5", "6"), (None, None, None)]


def test_remarks_within_a_table_are_set_aside_where_they_stand_above_it_too() -> None:
    got = Got(b"# made by hand\na;b\n1;2\n# odd\n3;4\n")
    assert got.rows == [("1", "2"), ("3", "4")]
    assert got.quarantined == [(1, "a remark, as above the table", "# odd")]
    assert Got(b"a;b\n1;2\n#3\n4;5\n").rows[1] == ("#3", None)


def test_a_row_of_the_first_table_ends_the_second_only_where_several_fit() -> None:
    got = Got((SOURCE + LESS + SOURCE.split("\n", 1)[1]).encode())
    assert [list(row) for row in got.rows] == ROWS + ROWS
    assert {reason for _, reason, _ in got.quarantined} == {
        "the header of another table below the first",
        "a row of another table below the first",
    }


@pytest.mark.parametrize(
    ("data", "options", "columns", "rows"),
    [
        (b"a;b\n1,5;2\n", ReadOptions(delimiter=","), ["a;b", "column_2"], [("1", "5;2")]),
        (b"a,b\n'1,2',3\n", ReadOptions(quote="'"), ["a", "b"], [("1,2", "3")]),
        (b'a,b\n"1,2"\n', ReadOptions(quote="", delimiter=","), ["a", "b"], [('"1', '2"')]),
        (b'a,b\n"1~"2",3\n', ReadOptions(escape="~"), ["a", "b"], [('1"2', "3")]),
        (b'a,b\n"x\\"y",3\n"z",4\n', ReadOptions(escape=""), ["a", "b"], [('x\\"y', "3"), ("z", "4")]),
        (b"x\ny\na,b\n1,2\n", ReadOptions(skip_lines=2), ["a", "b"], [("1", "2")]),
        (b"a,b\nc,d\n1,2\n", ReadOptions(header=2), ["a c", "b d"], [("1", "2")]),
        (b"a,b\n1,2\n", ReadOptions(header=0), ["column_1", "column_2"], [("a", "b"), ("1", "2")]),
        (b"1,2\n3,4\n5,6\n", ReadOptions(header=1), ["1", "2"], [("3", "4"), ("5", "6")]),
    ],
    ids=["delimiter", "quote", "no quote", "escape", "no escape", "skip lines", "two header rows", "no header", "header of numbers"],
)
def test_what_was_asked_for_is_done(data: bytes, options: ReadOptions, columns: list[str], rows: list[tuple[str, ...]]) -> None:
    got = Got(data, options)
    assert (got.columns, got.rows) == (columns, rows)


@pytest.mark.parametrize(
    "options",
    [
        ReadOptions(quote="''"), ReadOptions(escape="\n"), ReadOptions(delimiter=",", quote=","), ReadOptions(delimiter="\\", escape="\\"),
        ReadOptions(skip_lines=-1), ReadOptions(header=-1),
    ],
    ids=["long quote", "line end", "delimiter is quote", "delimiter is escape", "lines", "header"],
)  # fmt: skip
def test_impossible_signs_are_usage_errors(options: ReadOptions) -> None:
    with pytest.raises(errors.UsageError):
        Got(b"a,b\n1,2\n", options)


def test_paths_that_end_in_a_backslash_are_not_escapes() -> None:
    got = Got(b'path,n\n"C:\\a, b\\",1\n"D:\\",2\n"E:\\c\\",3\n')
    assert [row[0] for row in got.rows] == ["C:\\a, b\\", "D:\\", "E:\\c\\"]


def lines_of(data: bytes, tmp: Path, block: int, options: ReadOptions | None = None) -> dict[str, int]:
    path = tmp / "t.csv"
    path.write_bytes(data)
    reading = csv_format.read(path, "t.csv", options or ReadOptions(), tmp, block)
    list(reading.blocks())
    told = next(d for d in reading.decisions if d.subject == "lines")
    counts = {kind: int(count) for count, kind in (part.split(" ") for part in told.evidence.split(", "))}
    assert sum(counts.values()) == int(told.choice.split()[0])
    return counts


PIECES = [
    "a",
    "b,c",
    "1,2\n",
    '"x\ny",3\n',
    "\n",
    "  \n",
    "p,q,r\n",
    ",\n",
    "# no\n",
    "Note\n",
    '"',
    "\r\n",
    "é,7\n",
    "day,n\n",
    "t,u,v,w\n",
]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.sampled_from([1, 7, 1 << 20]), st.integers(0, 3))
def test_every_physical_line_is_accounted_for_once(tmp_path_factory: pytest.TempPathFactory, text: str, block: int, skip: int) -> None:
    text = "Title\n\nday,n\n1,2\n3,4\n5,6\n" + text
    counts = lines_of(text.encode(), tmp_path_factory.mktemp("lines"), block, ReadOptions(skip_lines=skip))
    assert sum(counts.values()) == text.count("\n") + (not text.endswith("\n"))
    assert counts.get("skipped", 0) == skip


def test_the_account_names_each_kind(tmp_path: Path) -> None:
    text = "Title\n\n" + SOURCE + "\n" + LESS + "The end\n"
    quarantined = LESS.count("\n")
    expected = {"preamble": 1, "header": 1, "row": 24, "blank": 2, "quarantined": quarantined, "footer": 1}
    assert lines_of(text.encode(), tmp_path, 1 << 20) == expected
    assert lines_of(text.encode(), tmp_path, 16) == expected


@given(
    st.sampled_from(["Note\n", ",,\n", "1,2,3\n", "4,5\n", "\n"]).flatmap(
        lambda p: st.lists(st.sampled_from([p, "Note\n", ",,\n", "1,2,3\n"]), max_size=40)
    )
)
def test_what_stands_below_is_the_same_in_blocks_of_any_size(below: list[str]) -> None:
    data = ("a,b,c\n" + "1,2,3\n" * 4 + "".join(below)).encode()
    whole, cut = Got(data), Got(data, block=1)
    assert cut.everything() == whole.everything()
    numbers = sorted(whole.numbers + [i[0] for i in whole.quarantined])
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    "line", [b'"x,y"z\n', b'"x,"x,"x,\n', b' "x,y"z\n', b'"x\\",\n'], ids=["closed", "three", "after a blank", "backslash"]
)
def test_stray_quotes_on_every_line_take_linear_time(line: bytes) -> None:
    got = Got(b"a,b\n1,2\n1,2\n1,2\n" + line * 100_000)
    assert len(got.rows) + len(got.quarantined) > 50_000
