"""The page: whole, offline, readable, small at any size of the table, and inert whatever the table says."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from report_runs import COPIES, LEDGER_ROWS, NEAR, copy, entry, make_facts, make_folder, match

from data_sanitizer.pipeline.report import RunFacts, summary_html, summary_text, write_report

HOSTILE = "<script>alert('x')</script>\"&{{7*7}}\u202e"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "run", LEDGER_ROWS, COPIES)


@pytest.fixture
def report(folder: Path) -> dict[str, Any]:
    return write_report(folder, make_facts())


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text, and whether every tag is closed in its turn."""

    VOID = ("meta", "br", "rect", "path", "line", "link", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def hostile_facts(folder: Path) -> RunFacts:
    ledger = [
        entry(0, HOSTILE, "set", HOSTILE + "a", HOSTILE, HOSTILE, evidence=HOSTILE),
        entry(1, HOSTILE, "flag", HOSTILE, None, "outliers", evidence=HOSTILE),
        entry(None, HOSTILE, "convert", HOSTILE, HOSTILE, "dates", evidence=HOSTILE),
        entry(9, None, "quarantine", None, None, "reader"),
    ]
    pair = {**match(2, 8, 0.8, **{HOSTILE: 4.0}), "source_a": HOSTILE}
    make_folder(folder, ledger, [copy(0, 0), copy(7, 0)], [pair])
    near = {**NEAR, "reason": HOSTILE, "kind": HOSTILE, "columns": [{"name": HOSTILE, "bits": 3.0}]}
    known = {"kind": HOSTILE, "dtype": HOSTILE, "null_tokens": {HOSTILE: 1}, "frequent": [[HOSTILE, 2]], "patterns": [[HOSTILE, 2]]}
    source = {"name": HOSTILE, "format": HOSTILE, "bytes": 1, "rows": 10, "quarantined": 1}
    decision = {"subject": HOSTILE, "choice": HOSTILE, "evidence": HOSTILE}
    return make_facts(
        columns=[HOSTILE],
        profile={"columns": {HOSTILE: known}, "near_duplicates": near},
        sources=[{**source, "decisions": [decision]}],
        recipe={"name": HOSTILE, "steps": [{"step": HOSTILE, "options": {HOSTILE: HOSTILE}}]},
        versions={HOSTILE: HOSTILE},
        stages={HOSTILE: 1.0},
        started=HOSTILE,
        output=HOSTILE,
    )


def test_names_and_cells_are_text_and_never_markup(tmp_path: Path) -> None:
    report = write_report(tmp_path / "r", hostile_facts(tmp_path / "r"))
    for html in ((tmp_path / "r" / "report.html").read_text(), summary_html(report)):
        page = Page(html)
        assert not page.open
        assert "script" not in {tag for tag, _ in page.tags}
        assert not [a for _, attributes in page.tags for a in attributes if a.startswith("on")]
        assert "<script>alert('x')</script>" in page.text
        assert "{{7*7}}" in page.text
        assert "\u202e" not in page.text
    assert "\u202e" not in summary_text(report)


def test_the_page_loads_nothing_and_is_well_formed(folder: Path, report: dict[str, Any]) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not page.open
    assert not {"script", "link", "img", "iframe", "form", "object", "embed"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|url\((?!#)|@import|javascript:", html)
    assert all((a.get("href") or "#").startswith("#") for tag, a in page.tags if tag == "a")
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for tag, a in page.tags if tag == "a"} <= set(ids)
    for svg in (a for tag, a in page.tags if tag == "svg"):
        assert svg.get("aria-hidden") == "true" or (svg.get("role") == "img" and svg.get("aria-label"))
    assert "10 read = 8 kept + 1 merged + 1 set aside" in page.text
    assert report["verdict"] in page.text


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_text_has_the_contrast_that_wcag_aa_asks_for(folder: Path, report: dict[str, Any]) -> None:
    html = (folder / "report.html").read_text()
    light, dark = (
        dict(re.findall(r"--(\w[\w-]*): (#\w{6})", html.split(start)[1].split("}")[0])) for start in ("color-scheme: light dark", "dark) {")
    )
    pairs = [("ink", "paper"), ("ink", "card"), ("ink", "wash"), ("soft", "paper"), ("soft", "card"), ("soft", "wash"), ("accent", "paper")]
    pairs += [("ask", "ask-wash"), ("del", "del-wash"), ("ins", "ins-wash"), ("accent", "card")]
    for colours in (light, dark):
        for ink, ground in pairs:
            a, b = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
            assert (a + 0.05) / (b + 0.05) >= 4.5, (ink, ground)


def big_ledger(entries: int, columns: int) -> pl.LazyFrame:
    number = pl.LazyFrame({"i": np.arange(entries)}).with_columns(pl.col("i") % 17)
    i, row = pl.col("i"), pl.int_range(pl.len(), dtype=pl.UInt64) // 3
    return number.select(
        source=pl.lit("in.csv"),
        row=row,
        column=pl.format("column_{}_{}", pl.int_range(pl.len()) % columns, pl.lit("x" * 90)),
        action=pl.when(i == 0).then(pl.lit("flag")).otherwise(pl.lit("set")),
        old=pl.format(" value {} {}", row, pl.lit("long " * 60)),
        new=pl.format("value {} {}", row, pl.lit("long " * 60)),
        rule=pl.when(i % 2 == 0).then(pl.lit("trim_blanks+numbers")).otherwise(pl.lit("outliers")),
        rule_version=pl.lit(1, pl.UInt16),
        evidence=pl.lit("<evidence> " * 30),
        confidence=pl.lit(0.9, pl.Float32),
        sensitive=pl.lit(False),
    )


def test_wide_tables_and_large_ledgers_stay_small(tmp_path: Path) -> None:
    columns = [f"column_{n}_{'x' * 90}" for n in range(1000)]
    make_folder(tmp_path / "r", [], [])
    big_ledger(300_000, 1000).sink_parquet(tmp_path / "r" / "ledger.parquet")
    frequent = [["<&>" * 100 + str(n), 20 - n] for n in range(20)]
    facts = make_facts(
        columns=columns,
        profile={"columns": {name: {"kind": "text", "missing": n % 5, "frequent": frequent} for n, name in enumerate(columns)}},
        **dict.fromkeys(("rows_in", "rows_kept"), 100_000),
        rows_merged=0,
        rows_quarantined=0,
    )
    start = time.perf_counter()
    report = write_report(tmp_path / "r", facts)
    assert time.perf_counter() - start < 8
    assert (tmp_path / "r" / "report.html").stat().st_size <= 2_000_000
    assert len(summary_html(report).encode()) < 100_000
    assert report["totals"]["cells_changed"] + report["totals"]["cells_flagged"] == 300_000
    assert len(report["columns"]) == 1000
    page = Page((tmp_path / "r" / "report.html").read_text()).text
    assert "Everything about all 1,000 columns is in report.json" in page


def test_hopelessly_wide_tables_stay_small_too(tmp_path: Path) -> None:
    columns = [f"{n}{'<' * 500}" for n in range(20_000)]
    report = write_report(make_folder(tmp_path / "r", [], []), make_facts(columns=columns, profile={}))
    assert (tmp_path / "r" / "report.html").stat().st_size <= 2_000_000
    assert len(summary_html(report).encode()) < 100_000


def test_nothing_but_the_names_of_columns_is_needed(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    facts = make_facts(
        sources=[], rows_in=0, rows_kept=0, rows_merged=0, rows_quarantined=0, profile={}, recipe={}, stages={}, versions={}, columns=["a"]
    )
    report = write_report(tmp_path / "r", facts)
    assert report["score"]["before"]["score"] is None
    assert not Page((tmp_path / "r" / "report.html").read_text()).open
    assert "0 read = 0 kept" in summary_text(report)


def test_fields_of_the_profile_may_be_missing_or_null(tmp_path: Path) -> None:
    some = {
        "number": {"histogram": None, "min": None},
        "date": {},
        "frequent": None,
        "null_tokens": None,
        "patterns": None,
        "missing": None,
        "kind": None,
    }
    profile = {"columns": {"id": some, "name": {"number": {"count": 3}}, "email": {"date": {"min": "2020-01-01"}}, "amount": None}}
    write_report(make_folder(tmp_path / "r", LEDGER_ROWS, COPIES), make_facts(profile=profile))
    assert not Page((tmp_path / "r" / "report.html").read_text()).open


def test_the_terminal_gets_a_dozen_lines(report: dict[str, Any]) -> None:
    lines = summary_text(report).splitlines()
    assert 10 <= len(lines) <= 14
    assert lines[0] == report["verdict"]
    assert "rows       10 read = 8 kept + 1 merged + 1 set aside" in summary_text(report)


def test_a_file_name_that_is_no_text_is_shown(tmp_path: Path) -> None:
    sources = [{"name": b"caf\xe9.csv".decode("utf-8", "surrogateescape"), "format": "csv", "bytes": 1, "rows": 10, "quarantined": 1}]
    report = write_report(make_folder(tmp_path / "r", LEDGER_ROWS, COPIES), make_facts(sources=sources))
    assert "caf\\udce9.csv" in summary_text(report)
