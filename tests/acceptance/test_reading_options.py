"""How a text is read, through the command: found out, asked for, told, and read the same way again by verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.command import call

MESSY = "Export of Monday\n\nid;'name';'note'\n1;'Ann';'a;b'\n2;'Bob';'it''s'\n3;'Cid';\n\n4;'Dan'\nThe end\n"


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_convert_finds_out_and_tells(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(MESSY, "utf-8")
    done = call(capfd, "convert", tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    assert done.code == 0
    assert lines(tmp_path / "out.csv") == ["id,name,note", "1,Ann,a;b", "2,Bob,it's", "3,Cid,", "4,Dan,"]
    account = "lines: 9 in all (1 preamble, 1 header, 4 row, 2 blank, 1 footer)"
    for told in ("delimiter: semicolon", "quote: single quote", "preamble: 1 lines", "footer: 1 lines", account):
        assert told in done.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--no-header"], ["a,b", "1,x y", "2,z"]),
        (["--header", "none"], ["a,b", "1,x y", "2,z"]),
        (["--header", "2"], ["a 1,b x y", "2,z"]),
        (["--skip-lines", "1", "--header", "1"], ["1,x y", "2,z"]),
        (["--delimiter", "pipe"], ['"a,b"', '"1,x y"', '"2,z"']),
        (["--delimiter", "tab", "--quote", "none"], ['"a,b"', '"1,x y"', '"2,z"']),
        (["--quote", "y", "--escape", "\\"], ["a,b", "1,x y", "2,z"]),
    ],
    ids=["no header", "header none", "two header rows", "skip lines", "pipe", "tab", "signs that do not occur"],
)
def test_each_option_is_obeyed(capfd: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], expected: list[str]) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,x y\n2,z\n", "utf-8")
    assert call(capfd, "convert", tmp_path / "in.csv", "-o", tmp_path / "out.csv", *options).code == 0
    assert lines(tmp_path / "out.csv") == expected


@pytest.mark.parametrize(
    "options",
    [["--header", "some"], ["--no-header", "--header", "2"], ["--quote", "ab"], ["--skip-lines", "-1"]],
    ids=["header", "contradiction", "quote", "lines"],
)
def test_what_cannot_be_is_refused(capfd: pytest.CaptureFixture[str], tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "in.csv").write_text("a,b\n1,2\n", "utf-8")
    assert call(capfd, "convert", tmp_path / "in.csv", "-o", tmp_path / "out.csv", *options).code == 2


def test_convert_keeps_the_header_as_it_is_written(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,a,\n1,2,3\n", "utf-8")
    assert call(capfd, "convert", tmp_path / "in.csv", "-o", tmp_path / "out.csv").code == 0
    assert lines(tmp_path / "out.csv") == ["a,a,", "1,2,3"]
    assert call(capfd, "convert", tmp_path / "in.csv", "-o", tmp_path / "out.jsonl").code == 0
    assert json.loads(lines(tmp_path / "out.jsonl")[0]) == {"a": "1", "a_2": "2", "column_3": "3"}


def test_verify_reads_with_the_options_of_the_run(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("note\nx\n1|'a|b '|2\n2|'c'|3\n3|d|4|\n", "utf-8")
    options = ["--skip-lines", "2", "--header", "none", "--quote", "'", "--delimiter", "pipe"]
    assert call(capfd, "clean", tmp_path / "in.csv", "-o", tmp_path / "run", "--keep-duplicates", *options).code == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    assert manifest["reading"] == {"delimiter": "|", "header": 0, "quote": "'", "skip_lines": 2}
    assert call(capfd, "verify", tmp_path / "run", tmp_path / "in.csv").code == 0


def test_lines_kept_out_are_whole_in_quarantine(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import polars as pl

    (tmp_path / "in.csv").write_text(MESSY, "utf-8")
    assert call(capfd, "clean", tmp_path / "in.csv", "-o", tmp_path / "run").code == 0
    aside = pl.read_parquet(tmp_path / "run" / "quarantine.parquet")
    assert "The end" in aside.to_dicts()[0].values()
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    subjects = {d["subject"] for d in report["sources"][0]["decisions"]}
    assert {"delimiter", "quote", "preamble", "footer", "blank lines", "lines"} <= subjects
    assert call(capfd, "verify", tmp_path / "run", tmp_path / "in.csv").code == 0
