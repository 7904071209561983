"""A delivery is held against the one before: a surprise stops it, the contract decides, and what is put aside can be verified."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.acceptance.command import call, left_over

ROWS = 1200


def table(path: Path, seed: int, scale: float = 1, **other: list[str]) -> Path:
    rng = np.random.default_rng(seed)
    columns = {
        "no": [f"{seed}-{n:05d}" for n in range(ROWS)],
        "weight": [f"{x * scale:.2f}" for x in rng.lognormal(3, 0.6, ROWS)],
        "country": list(rng.choice(["Chile", "Peru", "Kenya"], ROWS)),
        "mail": [f"person{n}@mail{n % 7}.org" for n in rng.integers(0, 10**6, ROWS)],
    }
    pl.DataFrame({**columns, **other}).write_csv(path)
    return path


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return table(tmp_path / "first.csv", 1)


def test_files_runs_and_profiles_are_compared(first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    second, run, profile = table(tmp_path / "second.csv", 2), tmp_path / "run", tmp_path / "profile.json"
    assert call(capfd, "clean", first, "-o", run).code == 0
    profile.write_text(call(capfd, "profile", first).out, "utf-8")
    told = {call(capfd, "compare", old, second, "--check").out for old in (first, run, run / "profile.json", profile)}
    assert told == {f"{ROWS} rows before, {ROWS} now. No difference beyond chance.\n"}


def test_a_surprise_is_named_and_exits_with_1_where_that_is_asked_for(
    first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    second = table(tmp_path / "second.csv", 2, scale=1000)
    done = call(capfd, "compare", first, second)
    assert (done.code, "'weight' unit of the numbers changed" in done.out) == (0, True)
    assert call(capfd, "compare", first, second, "--check").code == 1
    told = json.loads(call(capfd, "compare", first, second, "--json").out)
    assert [(d["kind"], d["column"], d["stops"]) for d in told["differences"]] == [("units", "weight", True)]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("extends: careful\ncontract: {columns: {weight: evolve}}\n", "utf-8")
    assert call(capfd, "compare", first, second, "--check", "--recipe", recipe).code == 0


def test_a_surprise_stops_publication_until_it_is_accepted(first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    second, run = table(tmp_path / "second.csv", 2, scale=1000), tmp_path / "run"
    before = left_over(tmp_path)
    done = call(capfd, "clean", second, "-o", run, "--previous", first)
    assert done.code == 1
    for words in ("weight", "1000 times", "--accept-changes", "Nothing was published"):
        assert words in done.err
    assert left_over(tmp_path) == before
    done = call(capfd, "clean", second, "-o", run, "--previous", first, "--accept-changes")
    assert done.code == 0
    report = json.loads((run / "report.json").read_text("utf-8"))
    assert report["comparison"]["accepted"]
    assert report["comparison"]["stopping"] == 1
    assert "every quantile is 1000 times" in (run / "report.html").read_text("utf-8")
    assert call(capfd, "verify", run, second).code == 0


def test_the_same_delivery_is_cleaned_to_the_same_bytes_whatever_it_is_compared_with(
    first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    second = table(tmp_path / "second.csv", 2)
    assert call(capfd, "clean", second, "-o", alone).code == call(capfd, "clean", second, "-o", beside, "--previous", first).code == 0
    for name in ("cleaned.parquet", "ledger.parquet", "manifest.json"):
        assert (alone / name).read_bytes() == (beside / name).read_bytes()


def test_rows_that_break_a_contract_are_put_aside_and_verified(first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    country = ["Atlantis" if n == 3 else ["CHILE", "Peru", "Kenya", "n/a"][n % 4] for n in range(ROWS)]
    weight = ["heavy" if n in (3, 7) else f"{n + 1}.5" for n in range(ROWS)]
    second, run, recipe = table(tmp_path / "second.csv", 2, country=country, weight=weight), tmp_path / "run", tmp_path / "recipe.yaml"
    recipe.write_text("extends: careful\ncontract: {columns: {weight: quarantine, country: quarantine}}\n", "utf-8")
    done = call(capfd, "clean", second, "-o", run, "--previous", first, "--recipe", recipe, "--accept-changes")
    assert done.code == 0
    aside = pl.read_parquet(run / "quarantine.parquet")
    assert aside["row"].to_list() == [3, 7]
    assert [reason.count("contract: column") for reason in aside["reason"]] == [2, 1]
    assert json.loads(aside["text"][0])["country"] == "Atlantis"
    rows = json.loads((run / "manifest.json").read_text("utf-8"))["rows"]
    assert rows["in"] == ROWS == rows["kept"] + rows["merged"] + rows["quarantined"]
    assert call(capfd, "verify", run, second).code == 0
    assert "it is no decimal, as before" in call(capfd, "explain", run, 7).out


def test_a_column_that_neither_delivery_has_and_a_run_that_is_none_are_refused(
    first: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("contract: {columns: {wieght: freeze}}\n", "utf-8")
    done = call(capfd, "compare", first, first, "--recipe", recipe)
    assert (done.code, "'wieght'" in done.err) == (2, True)
    (tmp_path / "empty").mkdir()
    assert call(capfd, "compare", tmp_path / "empty", first).code == 2
    assert call(capfd, "compare", tmp_path / "nothing.csv", first).code == 3
    (tmp_path / "cut.json").write_text('{"schema": "data-sanitizer.profile/1", "rows": 3, "col', "utf-8")
    assert call(capfd, "compare", tmp_path / "cut.json", first).code == 2
