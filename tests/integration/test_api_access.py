"""Who is let in, and what they see: the security cases T01 to T11, by name."""

from __future__ import annotations

import io
import logging
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from starlette.testclient import TestClient

from data_sanitizer import logs
from data_sanitizer.api.service import Service
from data_sanitizer.api_server import create_app
from tests.api import TABLE, Api, in_process


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with in_process(tmp_path_factory.mktemp("api"), address_refusals=100_000) as found:
        yield found


@pytest.fixture(scope="module")
def key(api: Api) -> dict[str, str]:
    return api.key("a")


@pytest.fixture(scope="module")
def job(api: Api, key: dict[str, str]) -> str:
    return api.finished(key, TABLE + b"100,Canary Quux,Zyzzyva,1.5\n101,canary@secret.example,Rome,2.5\n")


@pytest.fixture
def log(api: Api) -> Iterator[io.StringIO]:
    """What the service writes into its log during a test."""
    held = io.StringIO()
    lines = logging.StreamHandler(held)
    lines.setFormatter(logs.Lines())
    logging.getLogger(logs.LOGGER).addHandler(lines)
    yield held
    logging.getLogger(logs.LOGGER).removeHandler(lines)


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["type"].endswith(answer.json()["code"])
    return answer.status_code, answer.json()["code"]


PARTS = [
    "",
    "/status",
    "/report",
    "/download",
    "/ledger",
    "/clusters",
    "/confidence-scores",
    "/audit-log",
    "/events",
    "/files/manifest.json",
]


@pytest.mark.parametrize("part", PARTS)
def test_t01_another_tenants_job_is_as_one_that_never_was(api: Api, job: str, part: str, log: io.StringIO) -> None:
    other = api.key("b", "admin")
    there, never = api.get(f"/jobs/{job}{part}", other), api.get(f"/jobs/{uuid4()}{part}", other)
    assert code(there) == code(never) == (404, "not-found")
    assert there.content == never.content
    assert "security.not_found" in log.getvalue()


def test_t01_nothing_of_another_tenant_can_be_changed(api: Api, job: str) -> None:
    other = api.key("b", "admin")
    for method, path, body in (("POST", "/cancel", None), ("DELETE", "", None), ("POST", "/undo", {"everything": True}),
                               ("POST", "/audit-log", {"action": "x"}),
                               ("POST", "/clusters/1/decision", {"decision": "skip"})):  # fmt: skip
        assert code(api.http.request(method, f"/api/v1/jobs/{job}{path}", headers=other, json=body)) == (404, "not-found")
    assert code(api.get("/tenants/a/usage", other)) == (404, "not-found")
    assert code(api.http.post("/api/v1/datasets/a/ingest", headers=other, files={"file": TABLE})) == (404, "not-found")
    assert api.get("/jobs", other).json()["jobs"] == []


@pytest.mark.parametrize("path", ["../../b/jobs", "..%2f..%2fb", "manifest.json%00", "attempt-1", "input/0", "work"])
def test_t03_a_path_cannot_be_edited_into_another(api: Api, key: dict[str, str], job: str, path: str) -> None:
    assert api.http.get(f"/api/v1/jobs/{job}/files/{path}", headers=key).status_code in (403, 404)


BAD_KEYS = ["", "foo", "a:b:c", "a:" + "x" * 10_000, "a:dsk_live_", "*:x", ":", "a:ü", "a\x00:b"]


@pytest.mark.parametrize("given", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_t04_what_is_no_key_is_refused(api: Api, given: str) -> None:
    answer = api.http.get("/api/v1/jobs", headers=[(b"x-api-key", given.encode())] if given else {})
    assert code(answer) == (401, "unauthorized")
    assert "X-API-Key" in answer.headers["www-authenticate"]


def test_t04_a_key_in_the_address_is_not_looked_at_and_warned_of(api: Api, key: dict[str, str], log: io.StringIO) -> None:
    assert code(api.http.get("/api/v1/jobs", params={"api_key": key["X-API-Key"]}))[0] in (400, 401)
    told = log.getvalue()
    assert "security.key_in_address" in told
    assert key["X-API-Key"] not in told


def test_t05_an_unknown_tenant_and_a_wrong_secret_are_the_same(api: Api, key: dict[str, str]) -> None:
    """In answer and, as far as a busy machine shows, in time: the medians lie within what the times themselves scatter."""
    tenant, text = key["X-API-Key"].split(":")
    wrong = [f"{tenant}:{_another_secret(text)}", f"nobody:{_another_secret(text)}", f"{tenant}:{_another_id(text)}"]
    answers = [api.http.get("/api/v1/jobs", headers={"X-API-Key": given}) for given in wrong]
    bodies = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]
    times = {given: [_seconds(api, given) for _ in range(60)] for given in wrong for _ in (0,)}
    medians = [statistics.median(t) for t in times.values()]
    spread = max(statistics.quantiles(t, n=4)[2] - statistics.quantiles(t, n=4)[0] for t in times.values())
    assert max(medians) - min(medians) <= max(0.05 * max(medians), spread)


def _seconds(api: Api, given: str) -> float:
    from data_sanitizer.api.access import checked

    start = time.perf_counter()
    assert checked(given, api.http.app.state.service) is None  # type: ignore[attr-defined]
    return time.perf_counter() - start


def _another_secret(text: str) -> str:
    from data_sanitizer import api_keys

    parts, new = text.split("_"), api_keys.new_key()
    secret = api_keys.parsed(new.text)
    assert secret
    return f"dsk_live_{parts[2]}_{secret[1]}{api_keys._checksum(parts[2], secret[1])}"


def _another_id(text: str) -> str:
    from data_sanitizer import api_keys

    return api_keys.new_key().text


def test_t06_expired_and_not_yet_valid_keys(api: Api) -> None:
    assert code(api.get("/jobs", api.key("a", delay=3600.0))) == (401, "unauthorized")
    short = api.key("a", days=0.2 / 86400)
    time.sleep(0.5)
    assert code(api.get("/jobs", short)) == (401, "unauthorized")
    assert "key.created" in [e["action"] for e in api.storage.audit_page("a", limit=1000)]


def test_t07_too_many_bad_keys_from_one_address(tmp_path: Path) -> None:
    with in_process(tmp_path, trusted_proxies=1) as api:
        bad = [api.http.get("/api/v1/jobs", headers={"X-API-Key": "x", "X-Forwarded-For": "6.6.6.6, 10.0.0.1"}) for _ in range(25)]
        assert [a.status_code for a in bad] == [401] * 20 + [429] * 5
        assert code(bad[-1])[1] == "rate-limited"
        assert 0 < int(bad[-1].headers["retry-after"]) <= 60
        assert api.http.get("/api/v1/jobs", headers={"X-API-Key": "x", "X-Forwarded-For": "10.0.0.2"}).status_code == 401
        good = {**api.key("a"), "X-Forwarded-For": "10.0.0.1"}
        assert api.http.get("/api/v1/jobs", headers=good).status_code == 200


def test_t08_one_count_for_all_processes(tmp_path: Path) -> None:
    """Four applications on one database stand for four processes: they share nothing else. X-Forwarded-For helps nobody."""
    with in_process(tmp_path, rate_store="database", key_requests=60) as api:
        key = api.key("a")
        apps = [TestClient(create_app(lambda: Service.started(api.storage, api.root, api.settings))) for _ in range(4)]
        for app in apps:
            app.__enter__()

        def ask(number: int) -> int:
            headers = {**key, "X-Forwarded-For": f"1.2.3.{number}"}
            return apps[number % 4].get("/api/v1/jobs", headers=headers).status_code

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(ask, range(200)))
        assert (found.count(200), found.count(429)) == (60, 140)


def test_t09_a_scope_is_needed_and_named(api: Api) -> None:
    answer = api.ingest(api.key("a", "jobs:read"))
    assert (*code(answer), answer.json()["scope"]) == (403, "insufficient-scope", "jobs:write")


@pytest.mark.parametrize("name", ["tenant_id", "state", "__class__", "nope", "dataset_id"])
def test_t10_an_unknown_field_is_refused_with_its_place(api: Api, key: dict[str, str], job: str, name: str) -> None:
    for answer in (api.ingest(key, **{name: "x"}), api.http.post(f"/api/v1/jobs/{job}/undo", headers=key, json={name: "x"})):
        assert code(answer) == (422, "unknown-field")
        assert answer.json()["errors"][0]["pointer"] == f"/{name}"
    assert code(api.get("/jobs", key, **{name: "x"})) == (400, "unknown-parameter")


def test_t11_answers_tell_no_place_and_nothing_of_others(api: Api, key: dict[str, str], job: str) -> None:
    for path in (f"/jobs/{job}", f"/jobs/{job}/report", "/jobs", "/tenants/a/usage", f"/jobs/{job}/ledger", f"/jobs/{job}/clusters"):
        text = api.get(path, key).text
        assert not [word for word in ("/tmp", "sqlite", "file://", "s3://", "attempt-1", "Traceback", "/jobs/a") if word in text]
