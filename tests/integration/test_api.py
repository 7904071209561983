"""The API: what goes in, what comes out, page by page; on SQLite, with the pipeline in this process."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import polars as pl
import pytest
from python_calamine import CalamineWorkbook

from tests.api import TABLE, Api, in_process


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with in_process(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture(scope="module")
def key(api: Api) -> dict[str, str]:
    return api.key("a")


@pytest.fixture(scope="module")
def job(api: Api, key: dict[str, str]) -> str:
    return api.finished(key)


def test_an_upload_is_stored_as_it_is_and_becomes_a_job(api: Api, key: dict[str, str]) -> None:
    answer = api.ingest(key, dataset_name="people")
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/jobs/{answer.json()['job_id']}")
    told = api.get(f"/jobs/{answer.json()['job_id']}", key).json()
    assert told["inputs"] == [{"name": "t.csv", "bytes": len(TABLE), "sha256": hashlib.sha256(TABLE).hexdigest()}]
    assert (told["status"], told["dataset_name"]) == ("queued", "people")
    stored = api.storage.get_job("a", UUID(answer.json()["job_id"]))
    place = api.root / stored.source["objects"][0]["key"]
    assert place.store.read(place.store.find(place.key), 0, len(TABLE)) == TABLE


def test_a_raw_body_and_a_form_are_the_same(api: Api, key: dict[str, str]) -> None:
    options = json.dumps({"output_format": "csv", "reading": {"delimiter": ","}})
    raw = api.http.post("/api/v1/datasets/a/ingest", headers=key, params={"options": options, "filename": "t.csv"}, content=TABLE)
    form = api.http.post("/api/v1/datasets/a/ingest", headers=key, files={"file": ("t.csv", TABLE)}, data={"options": options})
    kept = [api.get(f"/jobs/{a.json()['job_id']}", key).json() for a in (raw, form)]
    assert kept[0]["inputs"] == kept[1]["inputs"]
    assert {told["output_format"] for told in kept} == {"csv"}


def test_several_files_are_one_job_and_keep_apart(api: Api, key: dict[str, str]) -> None:
    files = [("file", ("t.csv", TABLE)), ("file", ("t.csv", TABLE + b"99,Z,Z,1.5\n"))]
    answer = api.http.post("/api/v1/datasets/a/ingest", headers=key, files=files)
    told = api.get(f"/jobs/{answer.json()['job_id']}", key).json()
    assert [i["name"] for i in told["inputs"]] == ["t.csv", "t-2.csv"]


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl", "xlsx"])
def test_the_result_in_every_format_has_the_same_rows(api: Api, key: dict[str, str], job: str, format_: str) -> None:
    answer = api.get(f"/jobs/{job}/download", key, format=format_)
    assert answer.status_code == 200, answer.text
    read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson,
            "xlsx": _sheet}[format_]  # fmt: skip
    frame = read(io.BytesIO(answer.content))
    rows = api.get(f"/jobs/{job}", key).json()["rows"]
    assert (frame.columns, frame.height) == (["id", "name", "city", "amount"], rows["kept"])
    assert frame["name"].to_list()[:2] == ["Ann Lee", "Bob Ray"]
    again = api.get(f"/jobs/{job}/download", key, format=format_)
    assert (again.content, again.headers["etag"]) == (answer.content, answer.headers["etag"])


def _sheet(data: io.BytesIO) -> pl.DataFrame:
    names, *rows = CalamineWorkbook.from_filelike(data).get_sheet_by_index(0).to_python()
    return pl.DataFrame(rows, [str(name) for name in names], orient="row")


def test_ranges_put_together_are_the_file(api: Api, key: dict[str, str], job: str) -> None:
    whole = api.get(f"/jobs/{job}/download", key)
    tag = whole.headers["etag"]

    def part(range_: str, **more: str) -> tuple[int, bytes, str | None]:
        answer = api.http.get(f"/api/v1/jobs/{job}/download", headers={**key, "Range": range_, **more})
        return answer.status_code, answer.content, answer.headers.get("content-range")

    size = len(whole.content)
    assert part("bytes=0-9")[:2] == (206, whole.content[:10])
    assert part(f"bytes=10-{size + 5}") == (206, whole.content[10:], f"bytes 10-{size - 1}/{size}")
    assert part("bytes=-7")[:2] == (206, whole.content[-7:])
    assert part("bytes=10-", **{"If-Range": tag})[0] == 206
    assert part("bytes=10-", **{"If-Range": '"another"'})[:2] == (200, whole.content)
    assert part(f"bytes={size}-")[0] == 416
    assert part("bytes=5-2,1-2")[:2] == (200, whole.content)
    assert api.http.get(f"/api/v1/jobs/{job}/download", headers={**key, "If-None-Match": tag}).status_code == 304


def test_pages_of_the_ledger_are_the_ledger(api: Api, key: dict[str, str], job: str) -> None:
    whole = api.get(f"/jobs/{job}/ledger", key, limit=1000).json()
    assert whole["next"] is None
    assert len(whole["entries"]) > 3
    pages, cursor = [], None
    while True:
        page = api.get(f"/jobs/{job}/ledger", key, limit=2, **({"cursor": cursor} if cursor else {})).json()
        pages += page["entries"]
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == whole["entries"]


@pytest.mark.parametrize("name", ["column", "rule", "action", "row"])
def test_a_filter_gives_what_fits_it(api: Api, key: dict[str, str], job: str, name: str) -> None:
    whole = api.get(f"/jobs/{job}/ledger", key, limit=1000).json()["entries"]
    value = next(e[name] for e in reversed(whole) if e[name] is not None)
    found = api.get(f"/jobs/{job}/ledger", key, limit=1000, **{name: value}).json()["entries"]
    assert found == [e for e in whole if e[name] == value]


def test_a_cursor_belongs_to_its_filters(api: Api, key: dict[str, str], job: str) -> None:
    cursor = api.get(f"/jobs/{job}/ledger", key, limit=1).json()["next"]
    for more in ({"column": "name"}, {}):
        answer = api.get(f"/jobs/{job}/ledger", key, cursor=cursor if more else "nonsense", **more)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad-cursor")


def test_confidences_by_filter_and_by_cell(api: Api, key: dict[str, str], job: str) -> None:
    scores = api.get(f"/jobs/{job}/confidence-scores", key, limit=1000).json()["scores"]
    entry = next(s for s in scores if s["row"] is not None and s["column"])
    cells = {"cells": [{"row": entry["row"], "column": entry["column"]}, {"row": 0, "column": "no such"}]}
    told = api.http.post(f"/api/v1/jobs/{job}/confidence-scores", headers=key, json=cells).json()["scores"]
    assert told[0] == entry
    assert told[-1]["action"] is None


def test_a_decision_is_kept_and_carried_out_by_undo(api: Api, key: dict[str, str], job: str) -> None:
    clusters = api.get(f"/jobs/{job}/clusters", key).json()["clusters"]
    cluster = clusters[0]["id"]
    path = f"/api/v1/jobs/{job}"
    assert api.http.post(f"{path}/clusters/{cluster}/decision", headers=key, json={"decision": "skip"}).status_code == 200
    assert api.http.post(f"{path}/clusters/{cluster}/decision", headers=key, json={"decision": "not_a_duplicate"}).status_code == 200
    assert api.get(f"/jobs/{job}/clusters", key).json()["clusters"][0]["decided"] == "not_a_duplicate"
    new = api.http.post(f"{path}/undo", headers=key, json={"cluster": cluster})
    assert new.status_code == 201, new.text
    before, after = api.get(f"/jobs/{job}", key).json()["rows"], new.json()["rows"]
    removed = sum(row["decision"] == "removed" for row in clusters[0]["rows"])
    assert removed
    assert (after["kept"], after["merged"]) == (before["kept"] + removed, before["merged"] - removed)
    table = pl.read_parquet(io.BytesIO(api.get(f"/jobs/{new.json()['id']}/download", key).content))
    assert table.height == after["kept"]
    nothing = api.http.post(f"{path}/undo", headers=key, json={"cluster": "no such"})
    assert nothing.status_code == 404


def test_the_audit_log_of_a_job(api: Api, key: dict[str, str]) -> None:
    job = api.ingest(key).json()["job_id"]
    path = f"/api/v1/jobs/{job}/audit-log"
    assert api.http.post(path, headers=key, json={"action": "checked", "detail": {"by": 7}}).status_code == 201
    entries = api.get(f"/jobs/{job}/audit-log", key).json()["entries"]
    assert [(e["action"], e["detail"]) for e in entries] == [("job.accepted", {}), ("note.checked", {"by": 7})]
    assert api.storage.verify_audit_log("a").entries >= 2


def test_jobs_are_listed_the_newest_first_and_by_status(api: Api) -> None:
    key = api.key("lister")
    ids = [api.ingest(key).json()["job_id"] for _ in range(5)]
    page = api.get("/jobs", key, limit=2).json()
    rest = api.get("/jobs", key, limit=10, cursor=page["next"]).json()
    assert [j["id"] for j in page["jobs"] + rest["jobs"]] == ids[::-1]
    assert api.http.post(f"/api/v1/jobs/{ids[0]}/cancel", headers=key).json()["status"] == "cancelled"
    assert [j["id"] for j in api.get("/jobs", key, status="cancelled").json()["jobs"]] == [ids[0]]
    usage = api.get("/tenants/lister/usage", key).json()
    assert (usage["open_jobs"], usage["jobs"], usage["input_bytes"]) == (4, {"cancelled": 1, "queued": 4}, 5 * len(TABLE))


def test_a_result_is_asked_for_too_early_or_never_comes(api: Api, key: dict[str, str]) -> None:
    job = api.ingest(key).json()["job_id"]
    answer = api.get(f"/jobs/{job}/download", key)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (409, "not-finished", "2")
    api.http.post(f"/api/v1/jobs/{job}/cancel", headers=key)
    assert api.get(f"/jobs/{job}/report", key).json()["code"] == "no-result"


def test_a_deleted_job_leaves_nothing_but_the_audit_log(api: Api, tmp_path: Path) -> None:
    key = api.key("gone")
    waiting, job = api.ingest(key).json()["job_id"], api.finished(key)
    api.http.post(f"/api/v1/jobs/{waiting}/cancel", headers=key)
    api.get(f"/jobs/{job}/download", key, format="csv")
    running = api.ingest(key).json()["job_id"]
    assert api.http.delete(f"/api/v1/jobs/{running}", headers=key).json()["code"] == "still-running"
    assert api.http.delete(f"/api/v1/jobs/{job}", headers=key).status_code == 204
    assert api.get(f"/jobs/{job}", key).status_code == 404
    folder = api.root / f"gone/jobs/{job}/"
    assert list(folder.store.listed(folder.key)) == []
    actions = [e["action"] for e in api.storage.audit_page("gone", subject=job)]
    assert actions[-1] == "job.deleted"


def test_the_same_key_with_the_same_table_is_the_same_job(api: Api, key: dict[str, str]) -> None:
    """T49, all but the day that has to pass: see the contract of the storage for that."""
    name = {"Idempotency-Key": uuid4().hex}
    first, again = api.ingest(key, headers=name), api.ingest(key, headers=name)
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    other = api.ingest(key, TABLE + b"1,2,3,4\n", headers=name)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    held = {"Idempotency-Key": uuid4().hex}
    api.storage.reserve_job("a", uuid4(), held["Idempotency-Key"])
    assert (api.ingest(key, headers=held).status_code, api.ingest(key, headers=held).json()["code"]) == (409, "in-flight")


def test_a_failed_upload_gives_its_key_back(api: Api, key: dict[str, str]) -> None:
    name = {"Idempotency-Key": uuid4().hex}
    assert api.ingest(key, headers=name, recipe="no such").status_code == 422
    assert api.ingest(key, headers=name).status_code == 202


def test_waiting_ends_when_something_changes(api: Api, key: dict[str, str]) -> None:
    job = api.ingest(key).json()["job_id"]
    first = api.get(f"/jobs/{job}", key)
    tag = {"If-None-Match": first.headers["etag"]}
    assert api.http.get(f"/api/v1/jobs/{job}", params={"wait": 0}, headers={**key, **tag}).status_code == 304
    api.http.post(f"/api/v1/jobs/{job}/cancel", headers=key)
    told = api.http.get(f"/api/v1/jobs/{job}", params={"wait": 30}, headers={**key, **tag})
    assert (told.status_code, told.json()["status"]) == (200, "cancelled")


def test_events_tell_the_end_once(api: Api, key: dict[str, str]) -> None:
    job = api.ingest(key).json()["job_id"]
    api.http.post(f"/api/v1/jobs/{job}/cancel", headers=key)
    told = api.get(f"/jobs/{job}/events", key)
    assert told.headers["content-type"].startswith("text/event-stream")
    event = next(line.removeprefix("id: ") for line in told.text.splitlines() if line.startswith("id: "))
    assert '"status": "cancelled"' in told.text
    again = api.http.get(f"/api/v1/jobs/{job}/events", headers={**key, "Last-Event-ID": event})
    assert "data:" not in again.text


def test_the_report_tells_no_place_of_the_service(api: Api, key: dict[str, str], job: str) -> None:
    told = api.get(f"/jobs/{job}/report", key)
    assert told.json()["rows"]["in"] == 13
    page = api.get(f"/jobs/{job}/report", key, format="html")
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("sandbox")
    assert "objects/" not in page.text
    assert "objects/" not in told.text


def test_figures_and_health(api: Api, key: dict[str, str]) -> None:
    assert api.http.get("/api/v1/health").json() == {"status": "ok", "degraded": []}
    assert api.get("/metrics", key).json()["code"] == "insufficient-scope"
    told = api.get("/metrics", api.key("operator", "metrics:read"))
    assert "data_sanitizer_jobs_total" in told.text
