"""What is sent, and that nothing is told or left behind: the security cases from T12 on that the API answers for, by name."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.testclient import TestClient

from data_sanitizer import errors, logs, settings
from data_sanitizer.api import gate
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


class Endless:
    """A body that says how large it is, or not, and counts what is taken of it."""

    def __init__(self, size: int) -> None:
        self.size, self.taken = size, 0

    def __iter__(self) -> Iterator[bytes]:
        while self.taken < self.size:
            self.taken += 1 << 16
            yield bytes(1 << 16)


@pytest.mark.parametrize("announced", [True, False])
def test_t12_a_body_beyond_the_limit_is_not_read_to_its_end(tmp_path: Path, announced: bool) -> None:
    limit = 4 << 20
    with in_process(tmp_path, upload_bytes=limit) as api:
        body, key = Endless(50 << 20), api.key("a")
        headers = {**key, "content-type": "text/csv", **({"content-length": str(50 << 20)} if announced else {})}
        answer = api.http.post("/api/v1/datasets/a/ingest", headers=headers, content=iter(body))
        assert (*code(answer), answer.json()["limit"]) == (413, "payload-too-large", limit)
        form = api.ingest(key, bytes(limit + 1))
        assert code(form) == (413, "payload-too-large")
        assert list(api.root.store.listed(api.root.key)) == []
        assert api.get("/jobs", key).json()["jobs"] == []
        assert code(api.http.post(f"/api/v1/jobs/{uuid4()}/undo", headers=key, content=b" " * (gate.SMALL + 1)))[0] == 413


def test_t14_packed_data_is_no_matter_of_the_api(api: Api) -> None:
    """Nothing is unpacked here: a bomb is stored as its few bytes, and refused by the process that reads it."""
    import gzip

    bomb = gzip.compress(bytes(50 << 20))
    key = api.key("bomb")
    answer = api.ingest(key, bomb, "bomb.csv.gz")
    told = api.get(f"/jobs/{answer.json()['job_id']}", key).json()
    assert told["inputs"][0]["bytes"] == len(bomb)


NAMES = ["../../x", "..\\..\\x.csv", "a\r\nSet-Cookie:x.csv", "n" * 5000, "\u202egnp.csv", "con.csv", '"><script>.csv', ""]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_t29_a_name_is_shown_and_never_a_path(api: Api, key: dict[str, str], name: str) -> None:
    parameters = {"filename": name[:1000]}
    answer = api.http.post("/api/v1/datasets/a/ingest", headers=key, params=parameters, content=TABLE)
    job = answer.json()["job_id"]
    shown = api.get(f"/jobs/{job}", key).json()["inputs"][0]["name"]
    assert shown
    assert shown.isprintable()
    assert not {"/", "\\"} & set(shown)
    assert len(shown) <= 200
    stored = [there.key for there in api.root.store.listed((api.root / f"a/jobs/{job}/").key)]
    assert stored == [(api.root / f"a/jobs/{job}/input/0").key]


@pytest.mark.parametrize("name", ['ä"; x.csv', "a;b=c.csv"])
def test_t29_the_name_of_a_download_is_encoded(api: Api, key: dict[str, str], name: str) -> None:
    answer = api.http.post("/api/v1/datasets/a/ingest", headers=key, params={"filename": name}, content=TABLE)
    from tests.api import run_waiting

    run_waiting(api.storage, api.root, "a")
    told = api.get(f"/jobs/{answer.json()['job_id']}/download", key).headers["content-disposition"]
    assert told.startswith('attachment; filename="')
    assert told.isascii()
    assert told.count('"') == 2


RECIPES: list[Any] = [
    {"steps": {f"rule_{n}": {} for n in range(10_000)}}, {"steps": {"dates": {"order": float("nan")}}}, {"steps": {"nope": {}}},
    {"extends": "/etc/passwd"}, {"extends": ["careful"]}, {"steps": [1]}, {"steps": 5}, {"seed": "x"}, {"steps": {"dates": 7}}, "../x.yaml",
    {"steps": {"mask_personal_data": {"method": "hash", "key_file": "/etc/passwd"}}},
]  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
def test_t30_a_recipe_that_is_none_is_refused_at_once(api: Api, key: dict[str, str], recipe: Any) -> None:
    start = time.perf_counter()
    answer = api.ingest(key, options=json.dumps({"recipe": recipe}))
    assert answer.status_code in (400, 422), answer.text
    assert code(answer)
    assert time.perf_counter() - start < 1
    assert len(answer.content) < 20_000


def test_t30_a_field_too_large(api: Api, key: dict[str, str]) -> None:
    assert code(api.ingest(key, options=json.dumps({"recipe": "x" * (10 << 20)}))) == (413, "payload-too-large")


@pytest.mark.parametrize("given", ["bytes=" + "0-0," * 50_000, "bytes=0-0,1-1", "lines=1-2", "bytes=a-b", "bytes=-", "bytes=9-1"])
def test_t31_ranges_that_are_none_give_the_whole_file_at_once(api: Api, key: dict[str, str], job: str, given: str) -> None:
    start = time.process_time()
    answer = api.http.get(f"/api/v1/jobs/{job}/download", headers={**key, "Range": given[:190_000]})
    assert answer.status_code in (200, 400, 416)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/admin", "/debug", "/openapi.json", "/redoc", "/", "/api/v1/nope"])
def test_t32_nothing_else_answers(api: Api, path: str) -> None:
    assert code(api.http.get(path)) == (404, "not-found")


def test_t32_the_documentation_can_be_switched_off(api: Api, tmp_path: Path) -> None:
    assert api.http.get("/api/docs").status_code == api.http.get("/api/openapi.json").status_code == 200
    assert "<script" not in api.http.get("/api/docs").text
    with in_process(tmp_path, docs=False) as closed:
        assert code(closed.http.get("/api/docs")) == code(closed.http.get("/api/openapi.json")) == (404, "not-found")


def test_t33_jobs_and_bytes_of_a_tenant_are_bounded(tmp_path: Path) -> None:
    with in_process(tmp_path, tenant_open_jobs=3) as api:
        a, b = api.key("a"), api.key("b")
        assert [api.ingest(a).status_code for _ in range(4)] == [202, 202, 202, 429]
        assert code(api.ingest(a)) == (429, "too-many-jobs")
        assert api.ingest(b).status_code == 202
    (tmp_path / "2").mkdir()
    with in_process(tmp_path / "2", tenant_bytes=len(TABLE)) as api:
        a = api.key("a")
        assert api.ingest(a).status_code == 202
        assert code(api.ingest(a)) == (403, "quota-exceeded")


SOURCES = [
    "file:///etc/passwd", "gopher://x/", "simplecache::file:///etc/passwd", "s3://inbox/a/k?endpoint_url=http://127.0.0.1", "https://u:p@h/x",
    "s3://inbox/b/x.csv", "s3://inbox/ab/x.csv", "s3://other/a/x.csv", "s3://inbox/a/../b/x.csv",
    "s3://inbox/a/%2e%2e/b", "s3://inbox/a//x", "s3://inbox@x/a/b",
    "s3://inbox:80/a/x", "s3://inbox/a/x\n", "S3://in/a/x", "s3://inbox/a/*.csv", "", "s3://in", "http://169.254.169.254/latest/meta-data",
    "http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://[::ffff:7f00:1]/", "http://[64:ff9b::a9fe:a9fe]/",
    "http://100.64.0.1/", "http://[fd00:ec2::254]/", "http://localhost./", "http://metadata.google.internal/",
]  # fmt: skip


@pytest.mark.parametrize("url", SOURCES)
def test_t34_t35_t39_only_allowed_places_are_fetched_and_nothing_else_is_asked(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """No connection is made for any of them: opening one fails the test."""
    with in_process(tmp_path_factory.mktemp("sources"), sources="s3://inbox/{tenant}/") as api:
        key = api.key("a")
        monkeypatch.setattr(socket, "create_connection", _no_connection)
        monkeypatch.setattr(socket.socket, "connect", _no_connection)
        answer = api.http.post("/api/v1/datasets/a/ingest", headers=key, json={"source_url": url})
        assert code(answer)[0] == 422
        assert answer.json()["code"] in ("source-not-allowed", "invalid-request")


def _no_connection(*_: object, **__: object) -> None:
    pytest.fail("a connection was opened")


def test_t42_the_service_does_not_start_with_a_secret_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "short", "a" * 40, "change-me-change-me"):
        (tmp_path / "pepper").write_text(text)
        monkeypatch.setenv("DATA_SANITIZER_PEPPER_FILE", str(tmp_path / "pepper"))
        with pytest.raises(errors.SettingUnusable, match="DATA_SANITIZER_PEPPER_FILE"):
            settings.ApiSettings.from_environment().pepper()
    monkeypatch.delenv("DATA_SANITIZER_PEPPER_FILE")
    with pytest.raises(errors.SettingUnusable) as refused, TestClient(create_app()):
        pass
    assert refused.value.exit_code == 78


def test_t43_an_error_of_ours_tells_an_id_and_nothing_else(
    api: Api, key: dict[str, str], monkeypatch: pytest.MonkeyPatch, log: io.StringIO
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("select secret from /srv/place where cell = 'Canary Quux'")

    monkeypatch.setattr(api.storage, "list_jobs", broken)
    answer = api.http.get("/api/v1/jobs", headers={**key, "X-Request-Id": "mine-1"})
    assert code(answer) == (500, "internal-error")
    assert (answer.json()["request_id"], answer.headers["x-request-id"]) == ("mine-1", "mine-1")
    assert not [word for word in ("select", "srv", "Canary", "RuntimeError", "Traceback") if word in answer.text]
    told = log.getvalue()
    assert "RuntimeError" in told
    assert "Canary" not in told


def test_t43_a_database_that_is_away_is_no_error_of_ours(api: Api, key: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise errors.DatabaseUnreachable(why="no connection to db.internal, port 5432")

    monkeypatch.setattr(api.storage, "list_jobs", away)
    answer = api.get("/jobs", key)
    assert (code(answer), answer.headers["retry-after"]) == ((503, "unavailable"), "5")
    assert "db.internal" not in answer.text


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PUT", "PATCH", "BREW"])
def test_t44_methods_that_are_not_known(api: Api, method: str) -> None:
    answer = api.http.request(method, "/api/v1/jobs")
    assert code(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


def test_t44_paths_and_headers(api: Api, key: dict[str, str]) -> None:
    answer = api.http.get("http://testserver//evil.com/api/v1/jobs", headers=key, follow_redirects=False)
    assert answer.status_code == 404
    assert api.http.get("/api/v1/jobs/", headers=key, follow_redirects=False).status_code == 404
    split = api.http.get("/api/v1/jobs", headers={**key, "X-Request-Id": "a b; Set-Cookie: x"})
    assert "Set-Cookie" not in split.headers["x-request-id"]
    for told in (split, answer):
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in told.headers["content-security-policy"]
    wrong = api.http.post(f"/api/v1/jobs/{uuid4()}/undo", headers={**key, "content-type": "text/plain"}, content=b"{}")
    assert wrong.status_code in (404, 415, 422)


def test_t47_no_cell_and_no_key_in_logs_figures_and_the_audit_log(api: Api, key: dict[str, str], job: str, log: io.StringIO) -> None:
    for path in ("", "/ledger", "/report", "/audit-log", "/clusters"):
        api.get(f"/jobs/{job}{path}", key)
    api.get(f"/jobs/{job}/ledger", key, column="Canary Quux")
    api.ingest(key, b"id\nCanary Quux\n", recipe="Canary Quux")
    figures = api.get("/metrics", api.key("operator", "metrics:read")).text
    audit = json.dumps(api.storage.audit_page("a", limit=1000), default=str)
    told = log.getvalue() + figures + audit
    assert told
    assert not [word for word in ("Canary", "Zyzzyva", "secret.example", key["X-API-Key"].split("_")[-1]) if word in told]


def test_values_that_are_personal_are_shown_only_to_who_may_see_them(api: Api, key: dict[str, str]) -> None:
    rows = b"".join(f"{n}, user{n}@example.com \n".encode() for n in range(30))
    found = api.finished(key, b"id,email\n" + rows)
    entries = api.get(f"/jobs/{found}/ledger", key, limit=1000).json()["entries"]
    sensitive = [e for e in entries if e["sensitive"] and e["old"] is not None]
    assert {e["old"] for e in sensitive} <= {"[hidden]"}
    assert code(api.get(f"/jobs/{found}/ledger", key, reveal="true")) == (403, "insufficient-scope")
    allowed = api.key("a", "reports:read", "personal:read")
    assert api.get(f"/jobs/{found}/ledger", allowed, reveal="true").status_code == 200
    assert api.storage.audit_page("a", subject=found)[-1]["action"] == "personal.revealed"


def test_every_length_of_an_id_is_an_answer(api: Api, key: dict[str, str]) -> None:
    for name in ("x", "0" * 5000, base64.b64encode(os.urandom(12)).decode().replace("/", "_"), "%00", "'; drop table jobs"):
        assert code(api.get(f"/jobs/{name}", key)) == (404, "not-found")
