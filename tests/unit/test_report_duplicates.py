"""The report on duplicates: what was found, by what, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_runs import COPIES, LEDGER_ROWS, NEAR, SAME, copy, make_facts, make_folder, match

from data_sanitizer.pipeline.report import build_report
from data_sanitizer.pipeline.report_matches import identifying, waterfall
from data_sanitizer.pipeline.report_page import page_html


def told(folder: Path, near: dict[str, Any] | None = NEAR, rules: dict[str, Any] | None = None, **made: Any) -> dict[str, Any]:
    """The report of a run whose search for near-duplicates said this."""
    copies, pairs = made.get("copies", COPIES), made.get("pairs")
    profile = {"columns": {}, "near_duplicates": near}
    recipe = {"name": "careful", "steps": [], "duplicates": rules or {}}
    return build_report(make_folder(folder / "run", LEDGER_ROWS, copies, pairs), make_facts(profile=profile, recipe=recipe))


def test_it_says_what_was_found_and_what_identifies_a_record(tmp_path: Path) -> None:
    report = told(tmp_path)
    found, html = report["duplicates"], page_html(report)
    assert found["near"] == {
        "removed": 0, "review": 1, "review_groups": 1, "sought": True, "identifiable": True, "kind": "clear", "reason": None,
        "related_pairs": 6,
    }  # fmt: skip
    assert [c["column"] for c in found["identifying"]] == ["email", "name", "id"]
    for words in ("<b>1 group</b> waits", "6 pairs of rows are <b>related, not merged</b>", "What identifies a record", "11.0 bits"):
        assert words in html


@pytest.mark.parametrize(
    ("near", "rules", "words"),
    [
        (None, {"near": False}, "Near-duplicates were not sought: the recipe says so."),
        (None, {"key": ["id"]}, "not sought: the recipe names the columns in which duplicates are equal."),
        (None, {}, "not sought: there are no two rows to compare."),
        (NEAR, {"remove": False}, "No row was removed: the recipe keeps duplicates."),
        ({**NEAR, "identifiable": False, "reason": "too few columns", "kind": ""}, {}, "told apart with certainty: too few columns."),
    ],
)
def test_it_says_why_none_were_sought_or_removed(tmp_path: Path, near: Any, rules: dict[str, Any], words: str) -> None:
    report = told(tmp_path, near, rules)
    assert words in page_html(report)
    assert words.removesuffix(".").endswith(report["duplicates"]["near"]["reason"])


def test_profiles_of_before_have_no_word_about_near_duplicates(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", LEDGER_ROWS, COPIES)
    (folder / "matches.parquet").unlink()
    report = build_report(folder, make_facts(profile={"columns": {}}, recipe={"name": "careful", "steps": []}))
    assert report["duplicates"]["near"]["sought"] is False
    assert report["duplicates"]["matches"] == []


def test_a_match_tells_its_columns_and_their_sum(tmp_path: Path) -> None:
    (found,) = told(tmp_path)["duplicates"]["matches"]
    assert (found["row_a"], found["row_b"], found["confidence"], found["outcome"]) == (2, 8, 0.75, "review")
    assert [(c["column"], c["bits"]) for c in found["columns"]] == [("email", 8.5), ("name", 3.25), ("id", 0.0), ("amount", -2.0)]
    assert found["bits"] == -3.5 + 8.5 + 3.25 - 2.0


def test_matches_of_all_confidences_are_shown_and_never_more_than_five(tmp_path: Path) -> None:
    sure = [match(10 + 2 * k, 11 + 2 * k, 0.99999, name=9.0) for k in range(20)]
    pairs = [SAME, *sure, match(90, 91, 0.6, name=1.0), match(92, 93, 0.995, name=5.0)]
    copies = [copy(10, 10, "near"), copy(11, 10, "near"), copy(92, 92, "near"), copy(93, 92, "near", "review")]
    found = told(tmp_path, copies=copies, pairs=pairs)["duplicates"]["matches"]
    assert [(m["row_a"], m["outcome"]) for m in found] == [(10, "merged"), (12, "apart"), (14, "apart"), (92, "review"), (90, "apart")]


def test_a_waterfall_goes_from_the_first_belief_to_the_sum(tmp_path: Path) -> None:
    drawn = waterfall(told(tmp_path)["duplicates"]["matches"][0])
    assert [(s["kind"], s["name"], s["bits"]) for s in drawn["steps"]] == [
        ("prior", "any two rows", "−3.5"), ("for", "email", "+8.5"), ("for", "name", "+3.2"), ("against", "amount", "−2.0"),
        ("sum", "sum", "+6.2"),
    ]  # fmt: skip
    assert drawn["silent"] == 1
    ends = [s["x"] + s["width"] for s in drawn["steps"]]
    assert drawn["steps"][0]["x"] == 0
    assert drawn["zero"] == drawn["steps"][-1]["x"]
    assert max(ends) == ends[2] == pytest.approx(100, abs=0.05)


def test_of_many_columns_the_rest_is_one_step() -> None:
    columns = [{"column": f"c{k}", "level": "exact", "bits": float(30 - k)} for k in range(30)]
    drawn = waterfall({"prior_bits": -9.0, "columns": columns})
    assert [s["name"] for s in drawn["steps"]][-3:] == ["c11", "18 other columns", "sum"]
    assert drawn["steps"][-1]["bits"] == f"{sum(range(31)) - 9:+.1f}"
    assert identifying(columns)["more"] == 18


def test_evidence_of_nothing_can_be_drawn() -> None:
    assert [s["bits"] for s in waterfall({"prior_bits": 0.0, "columns": []})["steps"]] == ["0", "0"]
    assert identifying([]) == {"bars": [], "more": 0}
