"""The report: its totals add up, it never shows what it must not, it stays small, and the same facts give the same bytes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.pipeline import report_counts
from data_sanitizer.pipeline.report import RunFacts, build_report, summary_html, summary_text, write_report
from data_sanitizer.pipeline.report_examples import example, mask

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"
ROWS = {"source": pl.String, "row": pl.UInt64}
LEDGER = {
    **ROWS,
    "column": pl.String,
    "action": pl.String,
    "old": pl.String,
    "new": pl.String,
    "rule": pl.String,
    "rule_version": pl.UInt16,
    "evidence": pl.String,
    "confidence": pl.Float32,
    "sensitive": pl.Boolean,
}
DUPLICATES = {
    **ROWS,
    "cluster": pl.String,
    "survivor_source": pl.String,
    "survivor_row": pl.UInt64,
    "kind": pl.String,
    "confidence": pl.Float32,
    "decision": pl.String,
}
COLUMNS = ["id", "name", "email", "amount", "day", "born"]
HOSTILE = "<script>alert('x')</script>\"&{{7*7}}\u202e"


def entry(row: int | None, column: str | None, action: str, old: Any, new: Any, rule: str, **more: Any) -> dict[str, Any]:
    first = {"source": "in.csv", "row": row, "column": column, "action": action, "old": old, "new": new, "rule": rule}
    return {**first, "rule_version": 1, "evidence": "because", "confidence": 1.0, "sensitive": False, **more}


def copy(row: int, of: int, kind: str = "exact", decision: str = "removed") -> dict[str, Any]:
    decided = "kept" if row == of else decision
    where = {"source": "in.csv", "row": row, "cluster": f"in.csv:{of}", "survivor_source": "in.csv", "survivor_row": of}
    return {**where, "kind": kind, "confidence": 1.0, "decision": decided}


LEDGER_ROWS = [
    entry(None, "day", "convert", "%d/%m/%Y", "Date", "dates"),
    entry(None, "email", "flag", None, None, "flag_personal_data", evidence="all values are addresses"),
    entry(None, "born", "flag", None, None, "dates", evidence="two readings", confidence=0.5),
    entry(0, "name", "set", " Ann", "Ann", "trim_blanks"),
    entry(1, "name", "set", "N/A", None, "null_tokens"),
    entry(1, "email", "set", " Jane.Secret@Example.com", "jane.secret@example.com", "trim_blanks+category_spelling", sensitive=True),
    entry(2, "amount", "set", None, "7", "fill_missing", confidence=0.8),
    entry(3, "amount", "flag", "99999", None, "outliers", confidence=0.9),
    entry(4, "email", "flag", "secret@", None, "outliers", evidence="secret@ is odd", sensitive=True),
    entry(5, None, "flag", None, None, "reader"),
    entry(6, "name", "set", "x", "y", "someones_own_rule"),
    entry(7, None, "remove", None, None, "exact_duplicate"),
    entry(9, None, "quarantine", None, None, "reader"),
]
COPIES = [copy(0, 0), copy(7, 0), copy(2, 2, "near"), copy(8, 2, "near", "review")]
PROFILE: dict[str, Any] = {
    "id": {"kind": "identifier", "missing": 0, "distinct": 9, "unique": True, "candidate_key": True},
    "name": {"kind": "text", "missing": 1, "null_tokens": {"N/A": 1}, "frequent": [["Ann", 4], ["Bob", 2]], "patterns": [["Aaa", 6]]},
    "email": {
        "kind": "email",
        "missing": 0,
        "sensitive": "email",
        "frequent": [["jane.secret@example.com", 2]],
        "patterns": [["jane@aa", 1]],
    },
    "amount": {
        "kind": "integer",
        "missing": 2,
        "number": {
            "count": 7,
            "min": 1,
            "max": float("inf"),
            "mean": float("nan"),
            "histogram": [[1, 5, 6], [5, 9, 1]],
            "quantiles": {"0.5": 3},
        },
    },
    "day": {"kind": "date", "missing": 0, "date": {"format": "%d/%m/%Y", "min": "2020-01-01", "max": "2021-01-01"}},
    "born": {"kind": "text", "missing": 3},
}


def make_folder(folder: Path, ledger: list[dict[str, Any]], copies: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    pl.DataFrame(ledger, schema=LEDGER).write_parquet(folder / "ledger.parquet")
    pl.DataFrame(copies, schema=DUPLICATES).write_parquet(folder / "duplicates.parquet")
    schema = {**ROWS, "reason": pl.String, "name": pl.String}
    for name, action in (("quarantine", "quarantine"), ("removed", "remove")):
        rows = [{"source": "in.csv", "row": e["row"], "reason": "too many fields", "name": "x"} for e in ledger if e["action"] == action]
        pl.DataFrame(rows, schema=schema).write_parquet(folder / f"{name}.parquet")
    return folder


def make_facts(**more: Any) -> RunFacts:
    decisions = [{"subject": "encoding", "choice": "utf-8", "evidence": "all bytes are valid"}]
    known: dict[str, Any] = {
        "sources": [{"name": "in.csv", "format": "csv", "bytes": 1234, "rows": 10, "quarantined": 1, "decisions": decisions}],
        "rows_in": 10,
        "rows_kept": 8,
        "rows_merged": 1,
        "rows_quarantined": 1,
        "columns": COLUMNS,
        "profile": {"schema": "data-sanitizer.profile/1", "rows": 9, "columns": PROFILE},
        "recipe": {"name": "careful", "steps": [{"step": "trim_blanks", "options": {}}, {"step": "outliers", "options": {"limit": 6}}]},
        "stages": {"pass 1": 0.25, "pass 2": 0.5},
        "versions": {"data-sanitizer": "0.1.0", "polars": "2.1.0"},
        "started": "2026-05-04T09:12:44+00:00",
        "output": "out/my run",
    }
    return RunFacts(**{**known, **more})


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


def column(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(c for c in report["columns"] if c["name"] == name)


def test_rows_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(DataSanitizerError, match="do not add up"):
        make_facts(rows_kept=9)


def test_totals_add_up(report: dict[str, Any]) -> None:
    rows, totals = report["rows"], report["totals"]
    assert rows["in"] == rows["kept"] + rows["merged"] + rows["quarantined"]
    assert totals["cells"] == 9 * len(COLUMNS)
    assert totals["cells_changed"] == sum(c["changed"] for c in report["columns"]) == 5
    assert totals["missing_found"] - totals["missing_filled"] == sum(c["missing_after"] for c in report["columns"]) == 5
    assert totals["duplicates_merged"] == report["duplicates"]["exact"]["removed"] == rows["merged"]
    assert report["quarantine"]["rows"] == sum(r["rows"] for r in report["quarantine"]["reasons"]) == rows["quarantined"]
    assert totals["outliers_flagged"] == 2
    assert totals["personal_columns"] == 1
    assert totals["questions"] == len(report["questions"]) == 5


def test_every_column_is_valid_plus_missing_plus_problem(report: dict[str, Any]) -> None:
    for one in report["columns"]:
        for side in one["quality"].values():
            assert sum(side.values()) == one["rows"] == 9
            assert min(side.values()) >= 0
    assert column(report, "name")["quality"] == {
        "before": {"valid": 5, "missing": 1, "problem": 3},
        "after": {"valid": 8, "missing": 1, "problem": 0},
    }
    assert column(report, "born")["quality"]["after"] == {"valid": 0, "missing": 3, "problem": 6}


def test_a_cell_changed_by_several_rules_counts_for_each_and_once_for_the_column(report: dict[str, Any]) -> None:
    email = column(report, "email")
    assert email["changed"] == 1
    assert {r["rule"]: r["changed"] for r in email["rules"]} == {
        "trim_blanks": 1,
        "category_spelling": 1,
        "flag_personal_data": 0,
        "outliers": 0,
    }
    assert next(r for r in report["rules"] if r["rule"] == "trim_blanks")["changed"] == 2


def test_the_score_is_its_formula_on_its_counts(report: dict[str, Any]) -> None:
    counts, score = report["score"]["counts"], report["score"]
    assert counts["cells"] == 54
    assert counts["missing"] == [6, 5]
    # set by an unknown rule 1, outliers 2, the column `born` 6, the reader's row 1, and 6 cells of the row set aside
    assert counts["validity"] == [16, 15]
    assert counts["consistency"] == [3, 0]
    assert counts["duplicate_rows"] == [2, 1]
    for side, name in enumerate(("before", "after")):
        parts = [
            1 - counts["missing"][side] / 54,
            1 - counts["validity"][side] / 60,
            1 - counts["consistency"][side] / 54,
            1 - counts["duplicate_rows"][side] / (9, 8)[side],
        ]
        assert score[name]["score"] <= 25 * sum(parts) < score[name]["score"] + 0.1
        assert [score[name][p] for p in ("completeness", "validity", "consistency", "uniqueness")] == pytest.approx(parts, abs=1e-6)


def test_only_a_table_without_any_problem_scores_100(tmp_path: Path) -> None:
    clean = build_report(
        make_folder(tmp_path / "a", [], []), make_facts(rows_in=10**6, rows_kept=10**6, rows_merged=0, rows_quarantined=0, profile={})
    )
    assert clean["score"]["after"]["score"] == 100
    assert clean["verdict"] == "Nothing in this table had to be changed, and nothing needs your eyes."
    one = [entry(3, "amount", "flag", "9", None, "outliers")]
    asked = build_report(
        make_folder(tmp_path / "b", one, []), make_facts(rows_in=10**6, rows_kept=10**6, rows_merged=0, rows_quarantined=0, profile={})
    )
    assert asked["score"]["after"]["score"] == asked["score"]["before"]["score"] == 99.9


def test_flags_are_questions_and_personal_data_is_not_one(report: dict[str, Any]) -> None:
    asked = [(q["column"], q["rule"], q["cells"], q["whole_column"]) for q in report["questions"]]
    assert asked[0] == ("born", "dates", 0, True)
    assert set(asked[1:]) == {
        ("amount", "outliers", 1, False),
        ("email", "outliers", 1, False),
        (None, "reader", 1, False),
        (None, "near_duplicate", 1, False),
    }
    assert report["personal_data"] == [{"column": "email", "kind": "email", "cells": 9, "masked_in_output": False}]


def test_issues_are_ordered_by_impact(report: dict[str, Any]) -> None:
    impacts = [i["impact"] for i in report["issues"]]
    assert impacts == sorted(impacts, reverse=True)
    assert all(i["impact"] == i["rows"] * i["severity"] for i in report["issues"])
    first = report["issues"][0]
    assert (first["column"], first["rule"], first["rows"], first["done"]) == ("born", "dates", 6, "flagged")
    assert {i["done"] for i in report["issues"]} == {"flagged", "repaired", "left alone", "merged", "set aside"}


def test_what_was_not_touched_is_said_with_the_reason(report: dict[str, Any]) -> None:
    left = {u["what"]: (u["count"], u["columns"]) for u in report["untouched"]}
    assert left["Identifiers and codes"] == (1, ["id"])
    assert left["Missing values"] == (5, ["name", "amount", "born"])
    assert left["Whole columns in doubt"] == (1, ["born"])
    assert left["Possible duplicates"][0] == left["Records that could not be read"][0] == 1
    assert all(u["why"].endswith(".") for u in report["untouched"])


def test_personal_data_shows_nowhere(folder: Path, report: dict[str, Any]) -> None:
    for text in ((folder / "report.html").read_text(), (folder / "report.json").read_text(), summary_html(report), summary_text(report)):
        assert not re.search(r"secret|jane", text, re.IGNORECASE)
    shown = column(report, "email")["examples"][0]
    assert shown["masked"]
    assert shown["before"] == " •••.•••@•••.•••"
    assert shown["after"] == "•••.•••@•••.•••"
    assert [0, 1] in shown["before_marks"] or shown["before_marks"][0][0] == 0
    assert column(report, "email")["statistics"]["frequent"] == []


def test_one_sensitive_entry_masks_its_whole_column(tmp_path: Path) -> None:
    ledger = [
        entry(0, "name", "set", " Ann", "Ann", "trim_blanks"),
        entry(1, "name", "set", "Eve Moor", "•••", "mask_personal_data", sensitive=True),
    ]
    report = build_report(make_folder(tmp_path / "r", ledger, []), make_facts())
    assert "Ann" not in json.dumps(report)
    assert "Moor" not in json.dumps(report)
    assert report["personal_data"][0] == {"column": "name", "kind": "personal", "cells": 8, "masked_in_output": True}


def test_masks_keep_the_form_and_hide_content_and_length() -> None:
    assert mask("Ann-Lee, 12 (b)") == "•••-•••, ••• (•••)"
    assert mask("Å") == mask("Åsa李小龍") == "•••"
    assert mask("") == ""


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        (" Berlin", "Berlin", ["_"], []),
        ("Germny", "Germany", [], ["a"]),
        ("FranÃ§ois", "François", ["Ã§"], ["ç"]),
        ("yes", "true", ["yes"], ["true"]),
        ("x" * 300 + " a", "x" * 300 + "a", ["_"], []),
        (None, "7", [], ["7"]),
        ("N/A", None, ["N/A"], []),
    ],
)
def test_what_changed_is_marked(old: str | None, new: str | None, before: list[str], after: list[str]) -> None:
    shown = example(entry(1, "c", "set", old, new, "some_rule"), sensitive=False)
    marked = [[(shown[side] or "")[a:b].replace(" ", "_") for a, b in shown[f"{side}_marks"]] for side in ("before", "after")]
    assert marked == [before, after]
    assert all(len(shown[side] or "") <= 80 for side in ("before", "after"))


def hostile_facts(folder: Path) -> RunFacts:
    ledger = [
        entry(0, HOSTILE, "set", HOSTILE + "a", HOSTILE, HOSTILE, evidence=HOSTILE),
        entry(1, HOSTILE, "flag", HOSTILE, None, "outliers", evidence=HOSTILE),
        entry(None, HOSTILE, "convert", HOSTILE, HOSTILE, "dates", evidence=HOSTILE),
        entry(9, None, "quarantine", None, None, "reader"),
    ]
    make_folder(folder, ledger, [copy(0, 0), copy(7, 0)])
    known = {"kind": HOSTILE, "dtype": HOSTILE, "null_tokens": {HOSTILE: 1}, "frequent": [[HOSTILE, 2]], "patterns": [[HOSTILE, 2]]}
    source = {"name": HOSTILE, "format": HOSTILE, "bytes": 1, "rows": 10, "quarantined": 1}
    decision = {"subject": HOSTILE, "choice": HOSTILE, "evidence": HOSTILE}
    return make_facts(
        columns=[HOSTILE],
        profile={"columns": {HOSTILE: known}},
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


def test_the_same_facts_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report(make_folder(tmp_path / "a", LEDGER_ROWS, COPIES), make_facts())
    monkeypatch.setattr(report_counts, "SLICE", 2)
    monkeypatch.setattr(report_counts, "CLUSTERS_AT_ONCE", 1)
    write_report(make_folder(tmp_path / "b", LEDGER_ROWS, COPIES), make_facts())
    for name in ("report.json", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_examples_are_the_first_that_differ(tmp_path: Path) -> None:
    cells = ["a", "a", "b", "c", "d", "e"]
    ledger = [entry(row, "name", "set", f" {cell}", cell, "trim_blanks") for row, cell in enumerate(cells)]
    report = build_report(make_folder(tmp_path / "r", ledger, []), make_facts())
    assert [e["row"] for e in column(report, "name")["examples"]] == [0, 2, 3]


def test_the_largest_groups_of_duplicates(tmp_path: Path) -> None:
    copies = [copy(start + i, start) for start in range(0, 400, 20) for i in range(2 + start % 7)]
    report = build_report(make_folder(tmp_path / "r", [], copies), make_facts())
    sizes = [g["rows"] for g in report["duplicates"]["largest"]]
    assert report["duplicates"]["groups"] == 20
    assert report["duplicates"]["rows"] == len(copies)
    assert sizes == sorted((2 + start % 7 for start in range(0, 400, 20)), reverse=True)[:10]
    assert all(g["members"][0]["row"] == g["survivor"]["row"] for g in report["duplicates"]["largest"])


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


def test_commands_can_be_copied_into_a_shell(report: dict[str, Any]) -> None:
    commands = [c["command"] for c in report["commands"]]
    assert commands[0] == "data-sanitizer verify 'out/my run' in.csv"
    assert "data-sanitizer explain 'out/my run' 0 name" in commands
    assert "data-sanitizer undo 'out/my run' --column name -o 'out/my run-undone'" in commands
    assert commands[-1] == "data-sanitizer clean in.csv -o 'out/my run-again' --recipe careful"


def test_the_terminal_gets_a_dozen_lines(report: dict[str, Any]) -> None:
    lines = summary_text(report).splitlines()
    assert 10 <= len(lines) <= 14
    assert lines[0] == report["verdict"]
    assert "rows       10 read = 8 kept + 1 merged + 1 set aside" in summary_text(report)


OPEN_MAPS = ("stages", "versions", "options", "null_tokens", "shapes", "lengths", "quantiles")  # their keys are data
SAME_AS = ("questions[].examples[]", "columns[].rules[]")  # described in another place


def paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and path.rsplit(".", 1)[-1] not in OPEN_MAPS:
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in [None] if f"{path}[]" in SAME_AS else value:
            yield from paths(item, f"{path}[]")
    elif value is not None or path.endswith(SAME_AS) or not path.endswith(("conversion", "number", "date")):
        yield path


def test_the_documentation_lists_exactly_the_keys_of_the_report(folder: Path, report: dict[str, Any]) -> None:
    assert json.loads((folder / "report.json").read_text()) == report
    text = DOCS.read_text(encoding="utf-8").split("## report.json")[1]
    documented = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(documented) == len(set(documented))
    written = set(paths(report, ""))
    assert set(documented) - written == set()
    assert written - set(documented) == set()
