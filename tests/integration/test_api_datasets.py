"""Datasets over the API: what was delivered, what became of entities, decisions, forgetting, and who may do which."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from tests.acceptance.test_deliveries import mistyped, people
from tests.api import TABLE, Api, in_process

KNOWN = people(120)
PEOPLE, AGAIN = (pl.DataFrame(rows).write_csv().encode() for rows in (KNOWN, [*KNOWN[70:], mistyped(KNOWN[3], 7)]))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with in_process(tmp_path) as found:
        yield found


def delivered(api: Api, tenant: str, folder: Path, *tables: bytes) -> None:
    """What a worker would have delivered, without it."""
    for number, data in enumerate(tables):
        path = folder / f"{number}.csv"
        path.write_bytes(data)
        sanitize(
            [str(path)], folder / f"run-{number}", load_recipe("careful"), RunOptions(dataset=api.storage.dataset(tenant, "our people"))
        )


def test_what_was_delivered_can_be_looked_at_and_a_merge_taken_back(api: Api, tmp_path: Path) -> None:
    key, place = api.key("a"), "/datasets/a/our%20people"
    delivered(api, "a", tmp_path, PEOPLE, AGAIN)
    assert api.get("/datasets/a", key).json() == {"datasets": [{"name": "our people", "deliveries": 2}]}
    made = api.get(f"{place}/deliveries", key).json()["deliveries"]
    assert [(d["no"], d["row_count"], d["counts"]["new"], [i["name"] for i in d["inputs"]]) for d in made] == [
        (1, 120, 120, ["0.csv"]), (2, 51, 1, ["1.csv"])]  # fmt: skip
    assert str(tmp_path) not in str(made)
    created = api.get(f"{place}/events", key, kind="created").json()
    assert len(created["events"]) == 120, "one of the rows is an entity that was known"
    page = api.get(f"{place}/events", key, limit=60).json()
    rest = api.get(f"{place}/events", key, limit=60, cursor=page["next"]).json()
    assert [*page["events"], *rest["events"]] == created["events"]
    assert rest["next"] is None
    split = api.http.post(f"/api/v1{place}/split", headers=key, json={"rows": [{"delivery": 2, "row": 50}]})
    assert [e["kind"] for e in split.json()["events"]] == ["split"]
    assert [e["entity"] for e in api.get(f"{place}/events", key, kind="split").json()["events"]] == [split.json()["events"][0]["entity"]]
    alone = api.http.post(f"/api/v1{place}/split", headers=key, json={"rows": [{"delivery": 2, "row": 50}]})
    nowhere = api.http.post(f"/api/v1{place}/split", headers=key, json={"rows": [{"delivery": 9, "row": 0}]})
    assert [(a.status_code, a.json()["code"]) for a in (alone, nowhere)] == [(422, "not-in-dataset")] * 2


def test_a_dataset_is_named_where_it_is_delivered_to(api: Api) -> None:
    key = api.key("a")
    job = api.ingest(key, dataset="our people").json()["job_id"]
    told = api.get(f"/jobs/{job}", key).json()
    assert (told["dataset"], told["delivery"], told["dataset_name"]) == ("our people", None, None)
    assert api.get("/datasets/a", key).json() == {"datasets": [{"name": "our people", "deliveries": 0}]}
    busy = api.http.delete("/api/v1/datasets/a/our people", headers=api.key("a", "admin"))
    assert (busy.status_code, busy.json()["code"]) == (409, "dataset-busy")
    for wrong in (
        {"dataset": ".."},
        {"dataset": "a/b"},
        {"dataset": ""},
        {"accept_changes": "true"},
        {"options": '{"accept_changes": true}'},
    ):
        assert api.ingest(key, TABLE, **wrong).status_code == 422, wrong
    plain = api.ingest(key, dataset_name="a label").json()["job_id"]
    assert api.get(f"/jobs/{plain}", key).json()["dataset"] is None
    assert len(api.get("/datasets/a", key).json()["datasets"]) == 1


def asked(api: Api, tenant: str, key: dict[str, str]) -> list[tuple[int, Any]]:
    place = f"/api/v1/datasets/{tenant}/our people"
    rows = {"rows": [{"delivery": 2, "row": 50}]}
    calls = [("GET", f"/api/v1/datasets/{tenant}", None), ("GET", f"{place}/deliveries", None), ("GET", f"{place}/events", None),
             ("POST", f"{place}/split", rows), ("DELETE", f"{place}/deliveries/1", None), ("DELETE", place, None)]  # fmt: skip
    answers = [api.http.request(method, url, headers=key, json=body) for method, url, body in calls]
    return [(a.status_code, a.json().get("code")) for a in answers]


def test_another_tenant_finds_nothing_and_scopes_hold(api: Api, tmp_path: Path) -> None:
    delivered(api, "a", tmp_path, PEOPLE, AGAIN)
    assert asked(api, "a", api.key("b", "admin")) == [(404, "not-found")] * 6
    assert asked(api, "a", api.key("a", "audit:read")) == [(403, "insufficient-scope")] * 6
    assert [status for status, _ in asked(api, "a", api.key("a"))] == [200, 200, 200, 200, 403, 403]
    assert (tmp_path / "run-0" / "manifest.json").exists()
    gone = api.http.delete("/api/v1/datasets/a/our people/deliveries/1", headers=api.key("a", "admin"))
    assert (gone.status_code, gone.json()["runs"]) == (200, 1)
    assert not (tmp_path / "run-0").exists()
    assert [d["no"] for d in api.get("/datasets/a/our people/deliveries", api.key("a")).json()["deliveries"]] == [2]
    assert api.http.delete("/api/v1/datasets/a/our people", headers=api.key("a", "admin")).status_code == 200
    assert asked(api, "a", api.key("a", "admin"))[1:] == [(404, "not-found")] * 5
