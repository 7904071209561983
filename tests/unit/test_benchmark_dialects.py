"""The scorer of dialects: right where all signs are, wrong by name where one is not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import dialects

NOTES = """# made for this test
file_name|encoding|fields_delimiter|quotechar|escapechar|records_delimiter
right.csv|utf8|semicolon|doublequote||lf
wrong.csv|utf8|tab|singlequote|backslash|lf
one.csv|utf8|comma|doublequote|doublequote|crlf
absent.csv|utf8|comma|doublequote||lf
"""


def test_the_share_of_right_dialects_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text(NOTES, "utf-8")
    for name in ("right.csv", "wrong.csv"):
        (tmp_path / name).write_text("a;b\n1;2\n3;4\n", "utf-8")
    (tmp_path / "one.csv").write_text("name\nAnn\nBob\n", "utf-8")
    monkeypatch.setattr(sys, "argv", ["dialects", str(tmp_path), str(tmp_path / "notes.txt"), "--failures"])
    dialects.main()
    told = capsys.readouterr().out
    assert "wrong.csv: delimiter ';', not '\\t', quote '\"', not \"'\", escape '', not '\\\\'" in told
    for line in (
        "files                  3",
        "whole dialect right    0.6667",
        "quote                  0.6667",
        "line end               1.0000",
    ):
        assert line in told
