"""A dataset gets delivery after delivery: what came before is recognised, entities keep their ids, and decisions are kept."""

from __future__ import annotations

import io
import json
import random
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import data_sanitizer as ds
from data_sanitizer import cli, run_folder
from data_sanitizer.run_folder import read_manifest
from tests.acceptance.command import Done, call, start

FIRST = ["Anna", "Bruno", "Chiara", "Dario", "Elena", "Fabio", "Gaia", "Hugo", "Irene", "Jakob", "Karin", "Luca", "Marta", "Nils", "Olga"]
LAST = ["Rossi", "Bianchi", "Verdi", "Keller", "Brunner", "Moretti", "Schmid", "Fontana", "Huber", "Lombardi", "Weber", "Costa", "Frei"]
STREETS = ["Elm Street", "Oak Avenue", "Mill Lane", "Station Road", "High Street", "Church Walk", "Park View", "Queens Drive"]


def people(count: int, seed: int = 1) -> list[dict[str, str]]:
    """Made-up people, as far apart as people are."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        first, last = (
            draw.choice(FIRST) + draw.choice(["", " " + draw.choice("ABCDEFGH") + "."]),
            draw.choice(LAST) + draw.choice(["", "i"]),
        )
        made.append({
            "name": f"{first} {last}", "born": f"{draw.randint(1930, 2005)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",
            "street": f"{draw.randint(1, 900)} {draw.choice(STREETS)}", "postcode": f"{draw.randint(10000, 99999)}",
            "phone": f"0{draw.randint(10**8, 10**9 - 1)}",
        })  # fmt: skip
    return made


def mistyped(person: dict[str, str], seed: int) -> dict[str, str]:
    """The same person with one letter of the name missing."""
    draw, name = random.Random(seed), person["name"]
    at = draw.randrange(1, len(name) - 1)
    return {**person, "name": name[:at] + name[at + 1 :]}


class Desk:
    """A folder to deliver from, and the command."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capfd = folder, capfd

    def file(self, name: str, rows: list[dict[str, str]]) -> Path:
        path = self.folder / name
        pl.DataFrame(rows).write_csv(path)
        return path

    def deliver(self, name: str, rows: list[dict[str, str]], *more: object, base: str = "data.db", run: str = "") -> Path:
        out = self.folder / f"run-{run or name}"
        done = self.call("clean", self.file(name, rows), "-o", out, "--dataset", "people", *self.at(base), "--quiet", *more)
        assert (done.code, done.err) == (0, "")
        return out

    def call(self, *args: object) -> Done:
        return call(self._capfd, *args)

    def at(self, base: str = "data.db") -> tuple[str, str]:
        return "--database", f"sqlite:///{self.folder / base}"

    def events(self, *more: object, base: str = "data.db") -> list[dict[str, Any]]:
        done = self.call("dataset", "events", "people", *self.at(base), *more)
        assert done.code == 0, done.err
        return [json.loads(line) for line in done.out.splitlines()]


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, capfd)


def entity(run: Path, row: int) -> str:
    return str(pl.read_parquet(run / "entities.parquet").filter(pl.col("row") == row)["entity"].item())


def duplicates(run: Path) -> list[dict[str, Any]]:
    return pl.read_parquet(run / "duplicates.parquet").to_dicts()


def test_a_row_that_came_before_is_removed_for_it(desk: Desk) -> None:
    some = people(60)
    first = desk.deliver("jan.csv", some[:40])
    second = desk.deliver("feb.csv", [*some[30:60], some[45]])
    told = duplicates(second)
    assert [(d["row"], d["survivor_source"], d["survivor_row"], d["decision"]) for d in told if d["row"] < 10] == [
        (k, "jan.csv of delivery 1", 30 + k, "removed") for k in range(10)
    ]
    assert [(d["row"], d["survivor_source"], d["survivor_row"]) for d in told if d["row"] == 30] == [(30, str(desk.folder / "feb.csv"), 15)]
    assert entity(second, 0) == entity(first, 30)
    assert pl.read_parquet(second / "entities.parquet").height == 31
    assert pl.read_parquet(second / "cleaned.parquet").height == 20
    removed = pl.read_parquet(second / "ledger.parquet").filter(pl.col("action") == "remove")
    assert removed["evidence"][0] == "same as row 30 of jan.csv of delivery 1"
    assert read_manifest(second)["dataset"]["rows"] == {"seen": 10, "new": 21}
    verified = desk.call("verify", second, desk.folder / "feb.csv")
    assert verified.code == 0, verified.err
    told_so = desk.call("explain", second, 0)
    assert "row 30 of jan.csv of delivery 1, which is kept" in told_so.out
    assert "delivery 2 of “people”" in (second / "report.html").read_text("utf-8") or "Delivery 2" in (second / "report.html").read_text(
        "utf-8"
    )


def test_a_mistyped_row_is_the_entity_it_was_in_an_earlier_delivery(desk: Desk) -> None:
    some = people(300)
    first = desk.deliver("jan.csv", some)
    again = [mistyped(person, seed) for seed, person in enumerate(some[:30])]
    second = desk.deliver("feb.csv", [*again, *people(100, seed=2)])
    merged = [d for d in duplicates(second) if d["kind"] == "near" and d["decision"] == "removed"]
    assert len(merged) >= 25
    assert all((d["survivor_source"], d["survivor_row"]) == ("jan.csv of delivery 1", d["row"]) for d in merged)
    assert all(entity(second, d["row"]) == entity(first, d["row"]) for d in merged)
    matches = pl.read_parquet(second / "matches.parquet")
    assert set(matches["source_b"]) | set(matches["source_a"]) == {str(desk.folder / "feb.csv"), "jan.csv of delivery 1"}
    assert desk.call("verify", second, desk.folder / "feb.csv").code == 0


def test_the_same_delivery_again_gives_the_same_answer_and_changes_nothing(desk: Desk) -> None:
    some = people(120)
    desk.deliver("jan.csv", some[:80])
    first = desk.deliver("feb.csv", [*some[70:], mistyped(some[3], 7)])
    before = stored(desk.folder / "data.db")
    again = desk.deliver("feb.csv", [*some[70:], mistyped(some[3], 7)], run="again")
    assert stored(desk.folder / "data.db") == before
    names = {p.name for p in first.iterdir()} - {"report.json", "report.html"}
    assert [n for n in sorted(names) if (first / n).read_bytes() != (again / n).read_bytes()] == []
    runs = [pl.read_parquet(run / "entities.parquet")["entity"] for run in (first, desk.folder / "run-jan.csv")]
    assert len(desk.events("--kind", "created")) == len({*runs[0], *runs[1]})


def stored(base: Path) -> list[Any]:
    """Everything in a database."""
    with sqlite3.connect(base) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table' order by name")]
        return [connection.execute(f"select * from {name}").fetchall() for name in tables]


@pytest.mark.parametrize(("parts", "seed"), [(2, 1), (10, 2)])
def test_parts_in_any_order_give_the_same_partition(desk: Desk, parts: int, seed: int) -> None:
    some = people(240)
    rows = [*some, *(mistyped(p, k) for k, p in enumerate(some[:50])), *some[100:110]]
    whole = partition(desk, "whole.db", [rows], rows)
    mixed = random.Random(seed).sample(rows, len(rows))
    size = -(-len(rows) // parts)
    assert partition(desk, "parts.db", [mixed[k : k + size] for k in range(0, len(rows), size)], rows) == whole
    assert sum(len(group) > 1 for group in whole) >= 40


def partition(desk: Desk, base: str, deliveries: list[list[dict[str, str]]], rows: list[dict[str, str]]) -> set[frozenset[tuple[str, ...]]]:
    """Which rows are one entity in the end, after all deliveries."""
    for number, part in enumerate(deliveries):
        desk.deliver(f"{base}-{number}.csv", part, base=base)
    run = desk.deliver(f"{base}-all.csv", rows, base=base) if len(deliveries) > 1 else desk.folder / f"run-{base}-0.csv"
    table = pl.read_parquet(run / "entities.parquet").sort("row")
    groups: dict[str, set[tuple[str, ...]]] = {}
    for row, one in zip(rows, table["entity"], strict=True):
        groups.setdefault(one, set()).add(tuple(row.values()))
    return {frozenset(group) for group in groups.values()}


def test_a_merge_that_is_undone_stays_undone(desk: Desk) -> None:
    some = people(300)
    desk.deliver("jan.csv", some)
    second = desk.deliver("feb.csv", [mistyped(person, seed) for seed, person in enumerate(some[:30])])
    row = next(d["row"] for d in duplicates(second) if d["kind"] == "near" and d["decision"] == "removed")
    was = entity(second, row)
    undone = desk.folder / "undone"
    done = desk.call("undo", second, "--row", row, "-o", undone, *desk.at())
    assert done.code == 0, done.err
    assert pl.read_parquet(undone / "cleaned.parquet").height == pl.read_parquet(second / "cleaned.parquet").height + 1
    assert entity(undone, row) != was
    assert desk.call("verify", undone, desk.folder / "feb.csv").code == 0
    told = desk.events("--kind", "split")
    assert [(e["entity"], e["other"], e["actor"]) for e in told] == [(was, entity(undone, row), "undo")]
    third = desk.deliver("mar.csv", [mistyped(some[row], row), some[row], *people(20, seed=5)])
    assert [entity(third, 0), entity(third, 1)] == [entity(undone, row), was]
    assert [d["survivor_source"] for d in duplicates(third)[:2]] == ["feb.csv of delivery 2", "jan.csv of delivery 1"]


def test_rows_can_be_split_by_hand(desk: Desk) -> None:
    some = people(300)
    desk.deliver("jan.csv", some)
    second = desk.deliver("feb.csv", [mistyped(person, seed) for seed, person in enumerate(some[:30])])
    row = next(d["row"] for d in duplicates(second) if d["kind"] == "near" and d["decision"] == "removed")
    done = desk.call("dataset", "split", "people", "--delivery", 2, "--row", row, "--actor", "mara", *desk.at())
    assert done.code == 0, done.err
    assert json.loads(done.out)["entity"] == entity(second, row)
    audited = desk.call("audit", "verify", "default", *desk.at())
    assert audited.err.startswith("1 entries verified")
    again = desk.call("dataset", "split", "people", "--delivery", 2, "--row", row, *desk.at())
    assert again.code == 2
    assert "entity of its own already" in again.err
    missing = desk.call("dataset", "split", "people", "--delivery", 7, "--row", 0, *desk.at())
    assert missing.code == 2
    assert "1, 2" in missing.err


def test_datasets_and_deliveries_are_listed(desk: Desk) -> None:
    desk.deliver("jan.csv", people(30))
    desk.deliver("feb.csv", people(40))
    assert [json.loads(line) for line in desk.call("dataset", "list", *desk.at()).out.splitlines()] == [
        {"dataset": "people", "deliveries": 2}
    ]
    made = [json.loads(line) for line in desk.call("dataset", "deliveries", "people", *desk.at()).out.splitlines()]
    assert [(d["no"], d["name"], d["row_count"], d["counts"]["seen"], d["counts"]["new"]) for d in made] == [
        (1, "jan.csv", 30, 0, 30), (2, "feb.csv", 40, 30, 10)]  # fmt: skip
    assert Path(made[1]["place"]) == desk.folder / "run-feb.csv"
    other = desk.call("dataset", "deliveries", "people", "--tenant", "another", *desk.at())
    assert other.code == 2


def test_another_way_to_compare_is_refused(desk: Desk) -> None:
    desk.deliver("jan.csv", people(30))
    recipe = desk.folder / "key.yaml"
    recipe.write_text("duplicates: {key: [phone]}\n")
    done = desk.call(
        "clean", desk.file("feb.csv", people(40)), "-o", desk.folder / "run", "--dataset", "people", "--recipe", recipe, *desk.at()
    )
    assert done.code == 2
    assert "compared in one way" in done.err
    assert not (desk.folder / "run").exists()


def test_a_dry_run_changes_nothing(desk: Desk) -> None:
    desk.deliver("jan.csv", people(30))
    before = stored(desk.folder / "data.db")
    done = desk.call("clean", desk.file("feb.csv", people(40)), "--dry-run", "--dataset", "people", *desk.at())
    assert done.code == 0, done.err
    assert "30 rows seen before, 10 new" in done.err
    assert stored(desk.folder / "data.db") == before


def test_a_delivery_that_meets_another_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_sanitizer.pipeline import deliveries

    desk.deliver("jan.csv", people(30))
    desk.file("mar.csv", people(35))
    shutil.copyfile(desk.folder / "data.db", desk.folder / "before.db")
    find = deliveries.find

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(deliveries, "find", find)
        desk.deliver("feb.csv", people(40))
        return find(*args)

    monkeypatch.setattr(deliveries, "find", meanwhile)
    done = desk.call("clean", desk.folder / "mar.csv", "-o", desk.folder / "run", "--dataset", "people", *desk.at())
    assert done.code == 4
    assert "another delivery" in done.err
    assert not (desk.folder / "run").exists()
    assert len(desk.call("dataset", "deliveries", "people", *desk.at()).out.splitlines()) == 2


def test_a_kill_leaves_the_dataset_as_before_or_as_after(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.deliver("jan.csv", people(30))
    before = stored(desk.folder / "data.db")
    told = "clean", desk.file("feb.csv", people(40)), "-o", desk.folder / "run", "--dataset", "people", *desk.at(), "--quiet"
    process = start(*told)
    while not list(desk.folder.glob(".run.*.partial/ledger.parquet")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert stored(desk.folder / "data.db") == before
    assert not (desk.folder / "run").exists()

    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "_publish", killed)
        with pytest.raises(Killed):
            cli.commands.main([str(word) for word in told], standalone_mode=False)
    after = stored(desk.folder / "data.db")
    assert after != before
    assert not (desk.folder / "run").exists()
    assert desk.call(*told).code == 0
    assert stored(desk.folder / "data.db") == after
    manifest = read_manifest(desk.folder / "run")
    assert (manifest["dataset"]["delivery"], manifest["dataset"]["rows"]) == (2, {"seen": 30, "new": 10})
    kept = desk.call("dataset", "deliveries", "people", *desk.at()).out.splitlines()
    assert json.loads(kept[1])["manifest_sha256"] == run_folder.sha256(desk.folder / "run/manifest.json")


def test_the_library_delivers_too(tmp_path: Path) -> None:
    base, some = f"sqlite:///{tmp_path / 'data.db'}", people(300)
    first = ds.clean(pl.DataFrame(some), dataset="people", database=base)
    second = ds.clean(pl.DataFrame([mistyped(p, k) for k, p in enumerate(some[:30])]), dataset="people", database=base)
    assert second.report["dataset"]["delivery"] == 2
    row = next(d["row"] for d in second.duplicates.to_dicts() if d["decision"] == "removed")
    assert second.entities["entity"][row] == first.entities["entity"][row]
    assert second.verify().merged >= 25
    undone = second.undo(row=row)
    assert undone.data.height == second.data.height + 1
    people_kept = ds.Dataset("people", database=base)
    assert [d.no for d in people_kept.deliveries()] == [1, 2]
    assert [(e.kind, e.entity, e.other) for e in people_kept.events() if e.kind != "created"] == [
        ("split", first.entities["entity"][row], undone.entities["entity"][row])
    ]
    with pytest.raises(ds.errors.NotInDataset):
        people_kept.split(2, [row])


def test_columns_that_come_and_go_and_rows_that_say_nothing(desk: Desk) -> None:
    some = people(200)
    desk.deliver("jan.csv", some)
    less = [{k: v for k, v in p.items() if k != "postcode"} for p in some[:20]]
    nothing = dict.fromkeys(less[0], "")
    second = desk.deliver("feb.csv", [*less, nothing, *({**p, "mail": "x@y.example"} for p in people(5, seed=9))])
    assert {d["decision"] for d in duplicates(second) if d["row"] < 20} == {"removed"}
    assert pl.read_parquet(second / "entities.parquet").filter(pl.col("entity").is_null())["row"].to_list() == [20]
    third = desk.deliver("mar.csv", some[:10], "--accept-changes")
    assert {d["survivor_source"] for d in duplicates(third)} == {"jan.csv of delivery 1"}


def test_masked_cells_are_kept_nowhere(desk: Desk) -> None:
    some = [{**p, "mail": f"secret.person{k}@mail.example"} for k, p in enumerate(people(60))]
    recipe = desk.folder / "mask.yaml"
    recipe.write_text("extends: careful\nsteps:\n  mask_personal_data: {}\n")
    desk.deliver("jan.csv", some[:40], "--recipe", recipe)
    second = desk.deliver("feb.csv", some[30:], "--recipe", recipe)
    assert read_manifest(second)["dataset"]["rows"] == {"seen": 10, "new": 20}
    from data_sanitizer.storage_backend import SqliteConfig, StorageBackend

    with StorageBackend(SqliteConfig(desk.folder / "data.db")).closing() as backend:
        kept = backend.known_dataset("default", "people")
        cells = [pl.read_ipc(io.BytesIO(kept.cells(p.delivery, p.part))) for p in kept.parts()]
    assert cells
    assert not [frame for frame in cells if "mail" in frame.columns]


def test_columns_that_are_ignored_do_not_change_the_partition(desk: Desk) -> None:
    """The number of the row in its file is another one in each delivery."""
    recipe = desk.folder / "ignore.yaml"
    recipe.write_text("duplicates: {ignore: [line]}\n")
    some = people(120)
    rows = [*some, *(mistyped(p, k) for k, p in enumerate(some[:25]))]
    runs = []
    for base, parts in (("one.db", [rows]), ("two.db", [rows[70:], rows[:70], rows])):
        for number, part in enumerate(parts):
            lines = [{"line": str(k), **row} for k, row in enumerate(part)]
            runs.append(desk.deliver(f"{base}-{number}.csv", lines, "--recipe", recipe, base=base))
    tables = [pl.read_parquet(run / "entities.parquet")["entity"].to_list() for run in (runs[0], runs[-1])]
    whole, parts_ = ([table.index(one) for one in table] for table in tables)
    assert whole == parts_
    assert read_manifest(runs[-1])["dataset"]["rows"] == {"seen": 145, "new": 0}
    assert len(set(whole)) < 125
