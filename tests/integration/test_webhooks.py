"""Webhooks: what is told when a job ends, how it is signed, and where nothing is ever sent: the cases T36, T40, T41 and R33, by name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from data_sanitizer import errors, outbound
from data_sanitizer.api.service import Service
from data_sanitizer.api.webhooks import Relay, signed
from tests.api import Api, in_process


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with in_process(tmp_path, webhooks=True) as found:
        yield found


class Receiver:
    """Stands for what is at the other end: keeps what was sent, and answers as it is told to."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.sent = list(answers), list[tuple[outbound.Target, bytes, dict[str, str]]]()

    def __call__(self, to: outbound.Target, body: bytes, headers: dict[str, str]) -> int:
        self.sent.append((to, body, headers))
        return self.answers.pop(0) if self.answers else 200


def public(host: str, port: int) -> list[str]:
    return ["93.184.216.34"]


def ended(api: Api, key: dict[str, str]) -> str:
    job = api.ingest(key).json()["job_id"]
    api.http.post(f"/api/v1/jobs/{job}/cancel", headers=key)
    return str(job)


def added(api: Api, key: dict[str, str], url: str = "https://hooks.example.com/x?y=1") -> httpx.Response:
    return api.http.post("/api/v1/webhooks", headers=key, json={"url": url})


def test_the_end_of_a_job_is_told_and_the_signature_holds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """T41: who knows the secret gets the same signature; another body or another moment has another one."""
    monkeypatch.setattr(outbound, "_resolved", public)
    found: Service = api.http.app.state.service  # type: ignore[attr-defined]
    receiver = found.post = Receiver()
    key = api.key("a", "admin")
    secret = base64.b64decode(added(api, key).json()["secret"].removeprefix("whsec_"))
    job = ended(api, key)
    _until(lambda: bool(receiver.sent), Relay(found))
    to, body, headers = receiver.sent[0]
    assert (to.host, to.address, to.path) == ("hooks.example.com", "93.184.216.34", "/x?y=1")
    assert json.loads(body)["data"] == {"job_id": job, "status": "cancelled"}
    text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()
    moment = int(headers["webhook-timestamp"])
    assert abs(moment - time.time()) < 300
    for other in (signed(secret, headers["webhook-id"], moment + 1, body), signed(secret, headers["webhook-id"], moment, body + b" ")):
        assert other["webhook-signature"] != headers["webhook-signature"]


def test_what_is_not_taken_is_sent_again_under_the_same_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """R33."""
    monkeypatch.setattr(outbound, "_resolved", public)
    found: Service = api.http.app.state.service  # type: ignore[attr-defined]
    receiver = found.post = Receiver(500, 302)
    key = api.key("a", "admin")
    added(api, key)
    ended(api, key)
    _until(lambda: len(receiver.sent) >= 3, Relay(found))
    assert len({headers["webhook-id"] for _, _, headers in receiver.sent}) == 1
    time.sleep(0.1)
    assert Relay(found).once() == 0


def _until(done: object, relay: Relay) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until and not done():  # type: ignore[operator]
        relay.once()
        time.sleep(0.1)
    assert done()  # type: ignore[operator]


INSIDE = [
    "http://hooks.example.com/", "https://user:pass@hooks.example.com/", "https://hooks.example.com:8443/", "https://127.0.0.1/", "https://[::1]/",
    "https://2130706433/", "https://0x7f000001/", "https://127.1/", "https://0177.0.0.1/", "https://localhost/", "https://localhost./",
    "https://metadata.google.internal/", "https://service.local/", "https://[::ffff:7f00:1]/", "file:///etc/passwd", "https://", "https://[x",
    "https://hooks.example.com\\@127.0.0.1/", "https://hooks.example.com\t/",
]  # fmt: skip


@pytest.mark.parametrize("url", INSIDE)
def test_t40_an_address_inside_is_refused_and_nothing_is_asked(api: Api, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    def asked(*_: object, **__: object) -> list[str]:
        pytest.fail("a name was resolved")

    monkeypatch.setattr(outbound, "_resolved", asked)
    answer = added(api, api.key("a", "admin"), url)
    assert (answer.status_code, answer.json()["code"]) == (422, "address-not-allowed")


ADDRESSES = [
    "169.254.169.254", "100.64.0.1", "10.0.0.1", "0.0.0.0", "224.0.0.1", "::1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "::ffff:10.0.0.1", "fe80::1%eth0", "2001::1",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_t35_a_name_with_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(errors.ServiceRefused) as caught:
        outbound.target("https://hooks.example.com/", resolve=lambda host, port: ["93.184.216.34", address])
    assert caught.value.reason == "address-not-allowed"


def test_t36_t40_a_name_that_changes_leads_nowhere(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Public when it is added, inside when it is to be told: the second look refuses, and nothing is sent."""
    monkeypatch.setattr(outbound, "_resolved", public)
    found: Service = api.http.app.state.service  # type: ignore[attr-defined]
    receiver = found.post = Receiver()
    key = api.key("a", "admin")
    assert added(api, key).status_code == 201
    monkeypatch.setattr(outbound, "_resolved", lambda host, port: ["127.0.0.1"])
    ended(api, key)
    relay = Relay(found)
    time.sleep(0.1)
    relay.once()
    assert receiver.sent == []


def test_t36_t37_the_connection_goes_to_the_checked_address_and_follows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is resolved a second time; the name stays for TLS and for the server."""
    seen: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(302, headers={"Location": "http://169.254.169.254/"})

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("resolved again"))
    to = outbound.Target("hooks.example.com", "93.184.216.34", "/x")
    assert outbound.post(to, b"{}", {}, httpx.MockTransport(answered)) == 302
    assert [(r.url.host, r.headers["host"], r.extensions["sni_hostname"]) for r in seen] == [
        ("93.184.216.34", "hooks.example.com", "hooks.example.com")
    ]


def test_hosts_may_be_limited_and_webhooks_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "_resolved", public)
    with in_process(tmp_path, webhooks=True, webhook_hosts="hooks.example.com other.example.com") as api:
        key = api.key("a", "admin")
        assert added(api, key).status_code == 201
        assert added(api, key, "https://elsewhere.example.com/").json()["code"] == "address-not-allowed"
        listed = api.get("/webhooks", key).json()["webhooks"]
        assert [hook["secret"] for hook in listed] == [None]
        assert api.http.delete(f"/api/v1/webhooks/{listed[0]['id']}", headers=key).status_code == 204
        assert api.http.delete(f"/api/v1/webhooks/{listed[0]['id']}", headers=key).status_code == 404
        assert added(api, api.key("a")).json()["code"] == "insufficient-scope"
    (tmp_path / "off").mkdir()
    with in_process(tmp_path / "off") as api:
        assert added(api, api.key("a", "admin")).json()["code"] == "not-supported"
