"""The report: its totals add up, it hides what is personal, and the same facts give the same bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_runs import COLUMNS, COPIES, LEDGER_ROWS, copy, entry, make_facts, make_folder

from data_sanitizer.errors import DataSanitizerError
from data_sanitizer.pipeline import report_counts
from data_sanitizer.pipeline.report import build_report, summary_html, summary_text, write_report
from data_sanitizer.pipeline.report_examples import example, mask

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "run", LEDGER_ROWS, COPIES)


@pytest.fixture
def report(folder: Path) -> dict[str, Any]:
    return write_report(folder, make_facts())


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
            1 - (counts["missing"][side] + (0, 0.2)[side]) / 54,
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
    assert {i["done"] for i in report["issues"]} == {"flagged", "repaired", "filled", "left alone", "merged", "set aside"}


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


def test_commands_can_be_copied_into_a_shell(report: dict[str, Any]) -> None:
    commands = [c["command"] for c in report["commands"]]
    assert commands[0] == "data-sanitizer verify 'out/my run' in.csv"
    assert "data-sanitizer explain 'out/my run' 2 amount" in commands
    assert "data-sanitizer undo 'out/my run' --rule fill_missing -o 'out/my run-undone'" in commands
    assert "data-sanitizer undo 'out/my run' --column amount -o 'out/my run-undone'" in commands
    assert commands[-1] == "data-sanitizer clean in.csv -o 'out/my run-again' --recipe careful"


OPEN_MAPS = ("stages", "versions", "options", "null_tokens", "shapes", "lengths", "quantiles")  # their keys are data
SAME_AS = ("questions[].examples[]", "columns[].rules[]")  # described in another place


def paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and path.rsplit(".", 1)[-1] not in OPEN_MAPS:
        for key, item in value.items():
            yield from paths(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in [None] if f"{path}[]" in SAME_AS else value:
            yield from paths(item, f"{path}[]")
    elif value != [] and (value is not None or path.endswith(SAME_AS) or not path.endswith(("conversion", "number", "date"))):
        yield path


def test_the_documentation_lists_exactly_the_keys_of_the_report(folder: Path, report: dict[str, Any]) -> None:
    assert json.loads((folder / "report.json").read_text()) == report
    text = DOCS.read_text(encoding="utf-8").split("## report.json")[1]
    documented = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert len(documented) == len(set(documented))
    written = set(paths(report, ""))
    assert set(documented) - written == set()
    assert written - set(documented) == set()
