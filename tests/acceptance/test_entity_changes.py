"""What became of entities since the delivery before: in the folder of the run, in its report, by command and by library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import data_sanitizer as ds
from data_sanitizer import errors
from tests.acceptance.test_deliveries import Desk, entity, mistyped, people


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capfd)


def told(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text("utf-8"))["dataset"].get("changes")
    return found


def changed(run: Path) -> dict[str, tuple[str, int, int]]:
    table = pl.read_parquet(run / "entity_changes.parquet")
    assert table["entity"].to_list() == sorted(table["entity"])
    return {e: (kind, before, now) for e, kind, before, now in table.iter_rows()}


def test_entities_are_new_back_gone_changed_or_the_same(desk: Desk) -> None:
    some, others = people(200), people(20, seed=8)
    first = desk.deliver("jan.csv", some)
    assert told(first) is None
    assert not (first / "entity_changes.parquet").exists()
    again = [mistyped(person, k) for k, person in enumerate(some[:30])]
    second = desk.deliver("feb.csv", [*again, *some[30:150], some[30], *others])
    found = changed(second)
    merged = [k for k in range(30) if entity(second, k) == entity(first, k)]
    assert len(merged) >= 25
    assert all(found[entity(first, k)] == ("changed", 1, 1) for k in merged)
    assert all(found[entity(first, k)] == ("gone", 1, 0) for k in range(150, 200))
    assert all(found[entity(second, 151 + k)] == ("new", 0, 1) for k in range(20))
    assert not {entity(first, k) for k in range(30, 150)} & set(found)
    alone = 30 - len(merged)
    assert told(second) == {"since": 1, "new": 20 + alone, "back": 0, "gone": 50 + alone, "changed": len(merged), "same": 120}
    third = desk.deliver("mar.csv", [*some[145:160], *others])
    assert told(third) == {"since": 2, "new": 0, "back": 10, "gone": 115 + 30, "changed": 0, "same": 25}
    assert changed(third)[entity(first, 155)] == ("back", 0, 1)
    assert "10 back from earlier ones" in (third / "report.html").read_text("utf-8")
    assert desk.call("verify", third, desk.folder / "mar.csv").code == 0


def test_two_deliveries_are_compared_by_number_and_two_runs_by_their_folders(desk: Desk) -> None:
    some = people(120)
    runs = [desk.deliver(f"{k}.csv", some[a:b]) for k, (a, b) in enumerate([(0, 80), (20, 100), (40, 120)])]
    by_number = json.loads(desk.call("compare", 1, 3, "--dataset", "people", *desk.at(), "--json").out)
    assert by_number["entities"] == {"new": 20, "back": 20, "gone": 40, "changed": 0, "same": 40}
    backwards = desk.call("compare", 3, 2, "--dataset", "people", *desk.at())
    assert backwards.out.endswith("Entities: 0 new, 20 back, 20 gone, 0 changed, 60 same.\n")
    by_folder = desk.call("compare", runs[0], runs[2])
    assert by_folder.out.endswith("Entities: 40 new, 40 gone, 40 both.\n")
    assert ds.compare(1, 3, dataset="people", database=desk.at()[1]) == by_number
    assert ds.compare(runs[0], str(runs[2]))["entities"] == {"new": 40, "gone": 40, "both": 40}
    missing = desk.call("compare", 1, 9, "--dataset", "people", *desk.at())
    assert (missing.code, "Delivery 9 of people" in missing.err) == (2, True)
    assert desk.call("compare", runs[0], runs[2], "--dataset", "people", *desk.at()).code == 2


def test_runs_of_different_datasets_have_no_entities_in_common(desk: Desk) -> None:
    some = people(60)
    one, other = desk.deliver("a.csv", some), desk.deliver("b.csv", some, base="other.db")
    assert ds.compare(one, other)["entities"]["both"] == 60  # the same name: ids are made of the rows and the name
    plain = desk.folder / "plain"
    assert desk.call("clean", desk.folder / "a.csv", "-o", plain, "--quiet").code == 0
    assert "entities" not in ds.compare(one, plain)


def test_frames_results_and_profiles_are_compared_with_the_contract_of_a_recipe() -> None:
    before = pl.DataFrame({"id": [f"{k:05}" for k in range(900)], "weight": [f"{k % 97 + 0.5:.2f}" for k in range(900)]})
    after = before.with_columns(weight=(pl.col("weight").cast(pl.Float64) * 1000).round(2).cast(pl.String))
    found = ds.compare(before, after)
    assert [(d["kind"], d["column"], d["stops"]) for d in found["differences"]] == [("units", "weight", True)]
    assert ds.compare(before, ds.clean(after), {"contract": {"columns": {"weight": "evolve"}}})["stopping"] == 0
    assert ds.compare(before, before)["differences"] == []
    with pytest.raises(errors.RecipeError):
        ds.compare(before, after, {"contract": {"columns": {"height": "freeze"}}})
