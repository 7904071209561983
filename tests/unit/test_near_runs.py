"""Finished runs with near-duplicates: what becomes of clusters when changes are taken back, and what explain tells of odd ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from data_sanitizer.explanation import explain
from data_sanitizer.pipeline import duplicates
from data_sanitizer.pipeline.benchmark import _cleaning
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.pipeline.undo_run import undo_run
from data_sanitizer.recipe import load_recipe
from data_sanitizer.verification import verify
from tests.unit.near_tables import people


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("near")
    table = people(300, 17)[0]
    pl.concat([table, table[:5]]).write_csv(folder / "people.csv")
    sanitize([str(folder / "people.csv")], folder / "run", load_recipe("careful"), RunOptions(threads=1))
    return folder / "run", [str(folder / "people.csv")]


def removed(run: Path) -> dict[str, object]:
    """The first row that was removed as a near-duplicate."""
    rows = pl.read_parquet(run / "duplicates.parquet").filter(kind="near", decision="removed")
    return rows.row(0, named=True)


def joined_by(run: Path, cluster: object, folder: Path, decision: str) -> tuple[Path, int]:
    """A copy of the run in which a row that is alone joins a cluster, and the number of that row."""
    table = pl.read_parquet(run / "duplicates.parquet")
    alone = next(row for row in range(300) if row not in set(table["row"]))
    member = table.filter(pl.col("cluster") == cluster)[:1].with_columns(
        row=pl.lit(alone, pl.UInt64), kind=pl.lit("near"), confidence=pl.lit(0.7, pl.Float32), decision=pl.lit(decision)
    )
    shutil.copytree(run, folder)
    pl.concat([table, member]).sort("row", maintain_order=True).write_parquet(folder / "duplicates.parquet")
    return folder, alone


def test_a_cluster_in_which_a_row_waits_for_review_stays(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    gone = removed(case[0])
    run, waiting = joined_by(case[0], gone["cluster"], tmp_path / "run", "review")
    undo_run(run, tmp_path / "new", cluster=str(gone["cluster"]))
    verify(tmp_path / "new", case[1])
    left = pl.read_parquet(tmp_path / "new" / "duplicates.parquet").filter(cluster=gone["cluster"])
    assert dict(left.select("row", "decision").iter_rows()) == {gone["row"]: "kept", gone["survivor_row"]: "kept", waiting: "review"}
    pairs = pl.read_parquet(tmp_path / "new" / "matches.parquet")
    assert pairs.height == pl.read_parquet(run / "matches.parquet").height


def test_a_cluster_of_which_nothing_is_removed_or_asked_ends(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    gone = removed(case[0])
    undo_run(case[0], tmp_path / "new", cluster=str(gone["cluster"]))
    verify(tmp_path / "new", case[1])
    assert not pl.read_parquet(tmp_path / "new" / "duplicates.parquet").filter(cluster=gone["cluster"]).height


def test_taking_back_exact_duplicates_keeps_the_near_ones(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    undo_run(case[0], tmp_path / "new", rule="exact_duplicate")
    verify(tmp_path / "new", case[1])
    old, new = (pl.read_parquet(run / "duplicates.parquet").filter(kind="near") for run in (case[0], tmp_path / "new"))
    assert new.equals(old)
    assert pl.read_parquet(tmp_path / "new" / "cleaned.parquet").height == pl.read_parquet(case[0] / "cleaned.parquet").height + 5


def test_a_row_in_review_without_a_match_of_its_own_is_told_without_evidence(case: tuple[Path, list[str]], tmp_path: Path) -> None:
    gone = removed(case[0])
    run, waiting = joined_by(case[0], gone["cluster"], tmp_path / "run", "review")
    text = explain(run, waiting).text
    assert f"perhaps the same entity as row {gone['survivor_row']} (70 %), which is asked: kept in cluster {gone['cluster']}" in text
    assert "bits" not in text


def test_exact_copies_are_told_without_evidence(case: tuple[Path, list[str]]) -> None:
    row = pl.read_parquet(case[0] / "duplicates.parquet").filter(kind="exact", decision="removed")["row"][0]
    assert "removed by exact_duplicate as a duplicate of row" in explain(case[0], row).text
    assert "bits" not in explain(case[0], row).text


def test_the_profile_says_what_the_search_began_with(case: tuple[Path, list[str]]) -> None:
    near = json.loads((case[0] / "profile.json").read_text("utf-8"))["near_duplicates"]
    assert near["rows"] == 360
    assert -14 < near["prior_bits"] < -8
    assert near["related_pairs"] >= 0


@pytest.mark.parametrize("near", [True, False])
def test_the_benchmark_seeks_near_duplicates_or_does_not(case: tuple[Path, list[str]], tmp_path: Path, near: bool) -> None:
    _cleaning(near)(Path(case[1][0]), tmp_path)
    told = json.loads((tmp_path / "run" / "profile.json").read_text("utf-8"))["near_duplicates"]
    assert (told is not None) is near


def test_a_table_beyond_the_memory_limit_loses_exact_duplicates_only_and_the_report_says_why(
    case: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_LEAST", 1000)
    monkeypatch.setattr(duplicates, "_PROGRAM", 0)
    sanitize(case[1], tmp_path / "run", load_recipe("careful"), RunOptions(memory=1 << 10))
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    assert report["duplicates"]["near"]["sought"] is False
    assert "--memory-limit" in report["duplicates"]["near"]["reason"]
    assert set(pl.read_parquet(tmp_path / "run" / "duplicates.parquet")["kind"].unique()) <= {"exact"}
    assert "--memory-limit" in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.parametrize(("rows", "memory", "sought"), [(1_000_000, 1, True), (12_000_000, 1 << 30, True), (20_000_000, 1 << 30, False)])
def test_how_many_rows_a_memory_limit_allows(rows: int, memory: int, sought: bool) -> None:
    told = duplicates.beyond(rows, memory)
    assert (told == "") is sought
    assert sought or f"{rows:,}" in told
