"""Near-duplicates through the command: what is removed, what is asked, what is left alone, and the way back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from tests.acceptance.command import call
from tests.unit.near_tables import people, products

Capture = pytest.CaptureFixture[str]


def table() -> tuple[pl.DataFrame, np.ndarray]:
    """People, of whom two in five live with the one before and some come twice; and thirty namesakes who share nothing but the name."""
    rows, entities = people(600, 7, households=0.4)
    others = people(30, 70, copies=0)[0]
    namesakes = others.with_columns(rows[:30, "first"].alias("first"), rows[:30, "last"].alias("last"))
    return pl.concat([rows, namesakes]), np.concatenate([entities, 10_000 + np.arange(30)])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("near") / "people.csv"
    table()[0].write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(source: Path) -> Path:
    """A finished run of the table."""
    sanitize([str(source)], source.parent / "run", load_recipe("careful"), RunOptions(threads=1))
    return source.parent / "run"


def members(run: Path, *conditions: pl.Expr) -> pl.DataFrame:
    """The rows of clusters that fit."""
    return pl.read_parquet(run / "duplicates.parquet").filter(*conditions)


def report(run: Path) -> dict[str, Any]:
    """What the report says of duplicates."""
    told: dict[str, Any] = json.loads((run / "report.json").read_text("utf-8"))["duplicates"]
    return told


REMOVED, REVIEW, NEAR = pl.col("decision") == "removed", pl.col("decision") == "review", pl.col("kind") == "near"


def test_near_duplicates_are_removed_and_who_lives_together_or_has_the_same_name_is_not(run: Path) -> None:
    rows, entities = table()
    gone = members(run, REMOVED, NEAR)
    assert gone.height >= 90
    assert (entities[gone["row"].to_numpy()] == entities[gone["survivor_row"].to_numpy()]).all()
    assert (gone["confidence"] >= 0.99).all()
    cleaned = pl.read_parquet(run / "cleaned.parquet")
    assert cleaned.height == rows.height - members(run, REMOVED).height
    assert not members(run, REMOVED, pl.col("row") >= rows.height - 30).height  # the namesakes
    assert report(run)["near"]["related_pairs"] > 50  # the households


def test_what_is_only_likely_is_asked_and_stays(run: Path) -> None:
    asked = members(run, REVIEW)
    assert asked.height
    assert report(run)["near"]["review_groups"] == asked["cluster"].n_unique()
    assert (asked["confidence"] >= 0.5).all()
    assert not set(asked["row"]) & set(pl.read_parquet(run / "removed.parquet")["row"])


def test_the_run_verifies_and_the_ledger_names_the_rule(run: Path, source: Path, capfd: Capture) -> None:
    assert call(capfd, "verify", run, source).code == 0
    entries = pl.read_parquet(run / "ledger.parquet").filter(action="remove", rule="near_duplicate")
    gone = members(run, REMOVED, NEAR)
    assert entries["row"].to_list() == gone["row"].to_list()
    assert entries["confidence"].to_list() == gone["confidence"].to_list()
    assert entries["evidence"][0].startswith(f"the same entity as row {gone['survivor_row'][0]} of ")


def test_every_match_says_what_each_column_said(run: Path) -> None:
    matches = pl.read_parquet(run / "matches.parquet").filter(pl.col("confidence") < 1)
    said = [json.loads(text) for text in matches["evidence"]]
    columns = table()[0].columns
    assert said
    assert all(list(one) == columns for one in said)
    levels = {"not compared", "differs", "slight", "some", "similar", "close", "very close", "exact"}
    assert {column["level"] for one in said for column in one.values()} <= levels
    assert all(sum(column["bits"] for column in one.values()) > 6 for one in said)


@pytest.mark.parametrize(("decision", "words"), [(REMOVED, "removed by near_duplicate ("), (REVIEW, "perhaps the same entity as row ")])
def test_explain_tells_the_other_row_and_the_bits_of_each_column(run: Path, capfd: Capture, decision: pl.Expr, words: str) -> None:
    row, survivor = members(run, decision, NEAR).select("row", "survivor_row").row(0)
    text = call(capfd, "explain", run, row).out
    assert words in text
    assert f"row {row} and row {survivor}: one entity with " in text
    bits = [float(line.split(", ")[-1].removesuffix(" bits")) for line in text.splitlines() if line.endswith(" bits")]
    assert len(bits) >= 4
    assert [abs(b) for b in bits] == sorted((abs(b) for b in bits), reverse=True)
    one = call(capfd, "explain", run, row, "last").out
    assert [line.split(": ")[0] for line in one.splitlines() if line.endswith(" bits")] == [f"row {row} and row {survivor}, column last"]


def test_undo_brings_back_one_cluster_or_all_of_them(run: Path, source: Path, tmp_path: Path, capfd: Capture) -> None:
    cluster, row = members(run, REMOVED, NEAR).select("cluster", "row").row(0)
    assert call(capfd, "undo", run, "--cluster", cluster, "-o", tmp_path / "one").code == 0
    assert call(capfd, "verify", tmp_path / "one", source).code == 0
    assert not members(tmp_path / "one", pl.col("cluster") == cluster).height
    matches = pl.read_parquet(tmp_path / "one" / "matches.parquet")
    assert not matches.filter((pl.col("row_a") == row) | (pl.col("row_b") == row)).height
    assert call(capfd, "undo", run, "--rule", "near_duplicate", "-o", tmp_path / "all").code == 0
    assert call(capfd, "verify", tmp_path / "all", source).code == 0
    assert pl.read_parquet(tmp_path / "all" / "cleaned.parquet").height == table()[0].height - members(run, REMOVED, ~NEAR).height
    told = report(tmp_path / "all")
    assert told["near"]["removed"] == 0
    assert told["near"]["review_groups"] == report(run)["near"]["review_groups"]
    assert told["identifying"] == report(run)["identifying"]
    assert {match["outcome"] for match in told["matches"]} == {"review"}


def test_keep_duplicates_asks_about_all_and_removes_none(source: Path, run: Path, tmp_path: Path, capfd: Capture) -> None:
    assert call(capfd, "clean", source, "-o", tmp_path / "kept", "--keep-duplicates").code == 0
    assert pl.read_parquet(tmp_path / "kept" / "cleaned.parquet").height == table()[0].height
    near = members(tmp_path / "kept", REVIEW)
    assert set(members(run, NEAR, REMOVED)["row"]) <= set(near["row"])
    assert report(tmp_path / "kept")["near"]["reason"] == "the recipe keeps duplicates"


def test_dry_run_and_check_count_near_duplicates_and_write_nothing(source: Path, run: Path, capfd: Capture) -> None:
    before = sorted(source.parent.iterdir())
    dry = call(capfd, "clean", source, "--dry-run", "--json")
    assert dry.code == 0
    assert json.loads(dry.out)["duplicates"]["near"]["removed"] == members(run, REMOVED, NEAR).height
    assert call(capfd, "clean", source, "--check", "--quiet").code == 1
    assert sorted(source.parent.iterdir()) == before


def test_check_passes_where_matches_are_only_proposed(tmp_path: Path, capfd: Capture) -> None:
    products(250, 4)[0].write_csv(tmp_path / "products.csv")
    done = call(capfd, "clean", tmp_path / "products.csv", "--check", "--json")
    told = json.loads(done.out)
    assert done.code == 0, told["verdict"]
    assert told["duplicates"]["near"]["review"] > 100
    assert "matches are proposed, nothing is removed" in told["duplicates"]["near"]["reason"]


def test_too_few_columns_leave_exact_duplicates_alone_and_say_why(tmp_path: Path, capfd: Capture) -> None:
    rows = people(400, 5)[0].select("first", "last", "city")
    rows.write_csv(tmp_path / "few.csv")
    assert call(capfd, "clean", tmp_path / "few.csv", "-o", tmp_path / "run").code == 0
    told = report(tmp_path / "run")
    assert "too few informative columns" in told["near"]["reason"]
    assert (told["near"]["removed"], told["near"]["review"]) == (0, 0)
    assert told["exact"]["removed"] == rows.height - rows.unique().height
    assert "Only exact duplicates were removed." in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_rows_equal_but_for_a_generated_number_are_merged(tmp_path: Path, capfd: Capture) -> None:
    rows = people(300, 8, copies=0)[0]
    again = pl.concat([rows, rows[:40]])
    numbered = again.select(pl.Series("id", [f"R{k:06d}" for k in range(again.height)]), pl.all())
    numbered.write_csv(tmp_path / "numbered.csv")
    assert call(capfd, "clean", tmp_path / "numbered.csv", "-o", tmp_path / "run").code == 0
    gone = members(tmp_path / "run", REMOVED)
    assert gone.select("row", "survivor_row", "kind").rows() == [(300 + k, k, "near") for k in range(40)]


@pytest.mark.parametrize(("option", "why"), [("near: false", "the recipe says so"), ("key: [phone]", "the recipe names the columns")])
def test_the_recipe_can_do_without(source: Path, tmp_path: Path, capfd: Capture, option: str, why: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"extends: careful\nduplicates: {{{option}}}\n")
    assert call(capfd, "clean", source, "-o", tmp_path / "run", "--recipe", tmp_path / "mine.yaml").code == 0
    assert not members(tmp_path / "run", NEAR).height
    assert report(tmp_path / "run")["near"]["reason"].startswith(why)


def test_columns_can_be_ignored(tmp_path: Path, capfd: Capture) -> None:
    rows, entities = people(400, 9)
    noisy = rows.with_columns(pl.Series("load", np.random.default_rng(1).permutation(rows.height) // 2).cast(pl.String))
    noisy.write_csv(tmp_path / "noisy.csv")
    (tmp_path / "mine.yaml").write_text("extends: careful\nduplicates: {ignore: [load]}\n")
    assert call(capfd, "clean", tmp_path / "noisy.csv", "-o", tmp_path / "run", "--recipe", tmp_path / "mine.yaml").code == 0
    gone = members(tmp_path / "run", REMOVED)
    assert gone.height > 60
    assert (entities[gone["row"].to_numpy()] == entities[gone["survivor_row"].to_numpy()]).all()
    assert "load" not in {column["column"] for column in report(tmp_path / "run")["identifying"]}


def test_threads_and_blocks_change_no_byte(source: Path, run: Path, tmp_path: Path) -> None:
    sanitize([str(source)], tmp_path / "other", load_recipe("careful"), RunOptions(threads=3, block=1500, memory=1))
    assert digests(tmp_path / "other") == digests(run)


def test_the_order_of_the_rows_changes_no_cluster(source: Path, run: Path, tmp_path: Path, capfd: Capture) -> None:
    rows = table()[0]
    order = np.random.default_rng(3).permutation(rows.height)
    rows[order.tolist()].write_csv(tmp_path / "people.csv")
    assert call(capfd, "clean", tmp_path / "people.csv", "-o", tmp_path / "run").code == 0
    assert clusters(tmp_path / "run", order) == clusters(run, np.arange(rows.height))


def digests(run: Path) -> dict[str, str]:
    """All files but the report, which tells times and paths."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(run.iterdir()) if not p.name.startswith("report.")}


def clusters(run: Path, rows: np.ndarray) -> set[frozenset[int]]:
    """The clusters as sets of the rows of the first table."""
    groups = members(run).group_by("cluster").agg("row")["row"]
    return {frozenset(int(rows[row]) for row in group) for group in groups}
