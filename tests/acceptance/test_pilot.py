"""What a pilot came to is told from its runs: measured where truth is given, named an estimate where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.acceptance.command import call

PEOPLE = [("Ada Moreau", "Lyon", "ada@moreau.fr"), ("Bo Lind", "Umeå", "bo@lind.se"), ("Cy Ortiz", "Lima", "cy@ortiz.pe")]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on ten rows: 0, 1 and 2 are one row, 3 and 4 are another, and one cell has blanks around it."""
    from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
    from data_sanitizer.recipe import load_recipe

    folder = tmp_path_factory.mktemp("pilot")
    order = [0, 0, 0, 1, 1]
    rows = [PEOPLE[n] for n in order] + [(f"Person {n}", f"  Town{n} " if n == 7 else f"Town{n}", f"p{n}@mail.org") for n in range(5, 10)]
    pl.DataFrame(rows, ["name", "town", "mail"], orient="row").write_csv(folder / "t.csv")
    sanitize([str(folder / "t.csv")], folder / "run", load_recipe("careful"), RunOptions())
    return folder / "run"


def told(capfd: pytest.CaptureFixture[str], *args: object) -> dict[str, Any]:
    done = call(capfd, "pilot-report", *args, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def truth(path: Path, **columns: list[int]) -> Path:
    pl.DataFrame(columns).write_csv(path)
    return path


def test_entities_judge_only_the_rows_they_list(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Rows 0, 1, 2 are truly one; 3 and 4 were merged and are not; 5 and 6 are one and were not merged: 3 of 4 found, 1 of 4 false."""
    file = truth(tmp_path / "truth.csv", row=[0, 1, 2, 3, 4, 5, 6], entity=[1, 1, 1, 2, 3, 4, 4])
    one = told(capfd, run, "--truth", file)["runs"][0]
    found = one["duplicates"]["truth"]
    assert (found["pairs_true"], found["pairs_merged"], found["pairs_right"]) == (4, 4, 3)
    assert (found["found"], found["false"]) == (0.75, 0.25)
    assert one["goals"]["found"] is one["goals"]["false"] is False


def test_without_a_row_in_the_truth_its_merge_is_not_judged(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = told(capfd, run, "--truth", truth(tmp_path / "truth.csv", row=[0, 1, 3], entity=[1, 1, 2]))["runs"][0]
    assert one["duplicates"]["truth"]["pairs_merged"] == 1
    assert one["goals"]["found"] is one["goals"]["false"] is True


def test_pairs_are_complete_and_lead_on_to_further_pairs(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """0-1 and 2-1 say that 0 and 2 are one; that 3 and 4 are one nobody said."""
    found = told(capfd, run, "--truth", truth(tmp_path / "truth.csv", row_a=[0, 2], row_b=[1, 1]))["runs"][0]["duplicates"]["truth"]
    assert (found["pairs_true"], found["pairs_merged"], found["pairs_right"]) == (3, 4, 3)


def test_without_truth_shares_are_estimates_that_meet_no_goal(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = told(capfd, run)["runs"][0]
    assert one["duplicates"]["truth"] is None
    assert one["duplicates"]["estimate"] == {"rows_merged": 3, "false": 0.0, "merged_of_seen": 1.0}
    assert one["goals"]["found"] is one["goals"]["false"] is None
    assert "estimate by confidence" in call(capfd, "pilot-report", run).out


def test_blanks_make_no_row_bad_and_merged_rows_are(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = told(capfd, run)["runs"][0]
    assert {repair["rule"]: repair["changed"] for repair in one["repairs"]}["trim_blanks"] == 1
    assert one["records"]["bad"] == 3
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert one["speed"]["seconds"] == pytest.approx(sum(report["stages"].values()), abs=0.001)


def test_the_page_is_whole_loads_nothing_and_shows_no_cell(run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "pilot.html"
    money = ("--rows-a-month", 1000, "--hour-cost", 30, "--minutes", 2)
    assert call(capfd, "pilot-report", run, "-o", page, *money).code == 0
    text = page.read_text("utf-8")
    assert text.rstrip().endswith("</html>")
    assert "300.00" in text  # 30 % of a thousand rows, two minutes each, at 30 an hour
    assert not [word for word in ("http://", "https://", "<script", "Ada", "Town7") if word in text]
    assert call(capfd, "pilot-report", run, "-o", page).code == 2
    assert call(capfd, "pilot-report", run, "-o", page, "--force").code == 0


@pytest.mark.parametrize("columns", [{"line": [1]}, {"row": [0, 0], "entity": [1, 2]}, {"row": [-1], "entity": [1]}],
                         ids=["no-columns", "twice", "no-row"])  # fmt: skip
def test_a_truth_that_is_none_is_refused(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], columns: dict[str, list[int]]
) -> None:
    done = call(capfd, "pilot-report", run, "--truth", truth(tmp_path / "truth.csv", **columns))
    assert done.code == 2
    assert "cannot be used as truth" in done.err


def test_the_return_is_reckoned_by_the_formula_it_prints(capfd: pytest.CaptureFixture[str]) -> None:
    shares = ("--bad-share", 0.03, "--asked-share", 0.002)
    costs = ("--rows-a-month", 100_000, "--hour-cost", 40, "--minutes", 3, "--price", 500, "--setup", 2550)
    done = json.loads(call(capfd, "roi", *shares, *costs, "--json").out)
    assert (done["by_hand"], done["asked"], done["net"]) == (6000, 400, 5100)
    assert (done["return"], done["payback_months"]) == (round(5100 / 900, 3), 0.5)
    assert "÷ 60 × cost of an hour" in call(capfd, "roi", *shares, *costs).out


def test_a_return_that_is_a_loss_is_told_as_one(capfd: pytest.CaptureFixture[str]) -> None:
    done = call(capfd, "roi", "--bad-share", 0, "--rows-a-month", 10, "--hour-cost", 1, "--minutes", 1, "--price", 5, "--setup", 1)
    assert "net              -5.00 a month" in done.out
    assert "never: nothing is saved" in done.out
    assert call(capfd, "roi", "--bad-share", 0.1, "--minutes", 3).code == 2
