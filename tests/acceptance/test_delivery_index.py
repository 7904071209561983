"""A dataset of more rows than are searched at once: earlier rows that are alike are found by the index, and judged as they always are."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest

from tests.acceptance.test_deliveries import Desk, duplicates, entity, mistyped, partition, people, stored
from tests.contract import servers


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capfd)


def beyond(desk: Desk, rows: int) -> tuple[str, str]:
    """The option for a recipe that searches so many rows at once."""
    path = desk.folder / f"at-once-{rows}.yaml"
    path.write_text(f"extends: careful\nduplicates: {{at_once: {rows}}}\n", "utf-8")
    return "--recipe", str(path)


def index_told(run: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads((run / "report.json").read_text("utf-8"))["dataset"]["index"]
    return told


def test_near_duplicates_of_earlier_rows_are_found(desk: Desk) -> None:
    some = people(300)
    few = beyond(desk, 310)
    first = desk.deliver("jan.csv", some, *few)
    again = [mistyped(person, seed) for seed, person in enumerate(some[:30])]
    second = desk.deliver("feb.csv", [*again, *people(100, seed=2)], *few)
    merged = [d for d in duplicates(second) if d["kind"] == "near" and d["decision"] == "removed"]
    assert len(merged) >= 25
    assert all((d["survivor_source"], d["survivor_row"]) == ("jan.csv of delivery 1", d["row"]) for d in merged)
    assert all(entity(second, d["row"]) == entity(first, d["row"]) for d in merged)
    assert len(set(pl.read_parquet(second / "entities.parquet")["entity"])) == 130
    told = index_told(second)
    assert (told["degraded"], told["reach"]) == (False, None)
    assert 130 < int(str(told["rows"])) < 300
    assert desk.call("verify", second, desk.folder / "feb.csv").code == 0
    assert desk.events("--kind", "split") == []


def test_the_same_delivery_again_changes_nothing(desk: Desk) -> None:
    some, few = people(160), beyond(desk, 100)
    desk.deliver("jan.csv", some[:100], *few)
    first = desk.deliver("feb.csv", [*some[90:], mistyped(some[3], 7)], *few)
    desk.deliver("mar.csv", [*people(30, seed=9), mistyped(some[4], 8)], *few)
    before = stored(desk.folder / "data.db")
    again = desk.deliver("feb.csv", [*some[90:], mistyped(some[3], 7)], *few, run="again")
    assert stored(desk.folder / "data.db") == before
    names = {p.name for p in first.iterdir()} - {"report.json", "report.html"}
    assert [n for n in sorted(names) if (first / n).read_bytes() != (again / n).read_bytes()] == []


def test_parts_give_nearly_the_partition_of_the_whole(desk: Desk) -> None:
    some = people(400)
    rows = [*some, *(mistyped(p, k) for k, p in enumerate(some[:80]))]
    mixed = random.Random(5).sample(rows, len(rows))
    whole = partition(desk, "whole.db", [rows], rows)
    recipe = beyond(desk, 150)
    for number in range(4):
        desk.deliver(f"{number}.csv", mixed[number * 120 : number * 120 + 120], *recipe)
    run = desk.deliver("all.csv", rows, *recipe)
    table = pl.read_parquet(run / "entities.parquet").sort("row")
    groups: dict[str, set[tuple[str, ...]]] = {}
    for row, one in zip(rows, table["entity"], strict=True):
        groups.setdefault(one, set()).add(tuple(row.values()))
    found = {frozenset(group) for group in groups.values()}
    assert len(found & whole) >= 0.99 * len(whole)


def test_what_was_set_apart_stays_apart(desk: Desk) -> None:
    some, few = people(300), beyond(desk, 310)
    desk.deliver("jan.csv", some, *few)
    second = desk.deliver("feb.csv", [mistyped(person, seed) for seed, person in enumerate(some[:30])], *few)
    row = next(d["row"] for d in duplicates(second) if d["kind"] == "near" and d["decision"] == "removed")
    assert desk.call("dataset", "split", "people", "--delivery", 2, "--row", row, "--actor", "mara", *desk.at()).code == 0
    third = desk.deliver("mar.csv", [mistyped(some[row], row + 50), some[row], mistyped(some[row], row), *people(20, seed=5)], *few)
    assert entity(third, 1) != entity(third, 2)
    assert [e["actor"] for e in desk.events("--kind", "split")] == ["mara"]
    assert desk.events("--kind", "merged") == []


def test_a_run_that_changes_nothing_says_what_it_did_not_seek(desk: Desk) -> None:
    some, few = people(300), beyond(desk, 300)
    desk.deliver("jan.csv", some, *few)
    before = stored(desk.folder / "data.db")
    path = desk.file("feb.csv", [mistyped(some[3], 7)])
    done = desk.call("clean", path, "--dataset", "people", *desk.at(), *few, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert "a run that changes nothing" in done.out
    assert stored(desk.folder / "data.db") == before


def test_without_milvus_the_process_answers_and_the_report_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_SANITIZER_MILVUS_URI", f"http://127.0.0.1:{servers.free_port()}")
    monkeypatch.setenv("DATA_SANITIZER_MILVUS_TIMEOUT", "0.5")
    some, few = people(300), beyond(desk, 310)
    first = desk.deliver("jan.csv", some, *few)
    second = desk.deliver("feb.csv", [*(mistyped(person, k) for k, person in enumerate(some[:20])), *people(20, seed=3)], *few)
    assert sum(entity(second, k) == entity(first, k) for k in range(20)) >= 16
    assert index_told(second)["degraded"] is True
    assert "The vector index did not answer" in (second / "report.html").read_text("utf-8")
