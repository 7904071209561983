"""What an upload may cost the service: bounded memory for any size, and an end for one that crawls."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api import Running, served

SETTINGS = [("DATA_SANITIZER_UPLOAD_IDLE", "1"), ("DATA_SANITIZER_UPLOAD_BYTES", str(300 << 20))]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with served(tmp_path_factory.mktemp("service"), "--workers", "0", settings=SETTINGS) as found:
        yield found


def test_t12_memory_does_not_grow_with_an_upload(running: Running) -> None:
    process, piece, size = psutil.Process(running.process.pid), os.urandom(1 << 20), 200
    with running.client() as client:
        list(client.jobs())
    before, most = process.memory_info().rss, 0

    def body() -> Iterator[bytes]:
        nonlocal most
        for _ in range(size):
            most = max(most, process.memory_info().rss)
            yield piece

    headers = {"X-API-Key": running.key, "Content-Type": "application/octet-stream"}
    answer = httpx.post(f"{running.url}/api/v1/datasets/default/ingest", headers=headers, content=body(), timeout=60)
    assert answer.status_code == 202
    assert most - before < 64 << 20


def test_t12_a_length_that_lies_helps_nobody(running: Running) -> None:
    """Ten bytes announced: what follows them is no part of the body."""
    head = (
        f"POST /api/v1/datasets/default/ingest HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\nContent-Type: text/csv\r\n"
        "Content-Length: 10\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), timeout=20) as connection:
        connection.sendall(head.encode() + b"a,b\n1,2\n3," + b"x" * (1 << 20))
        told = connection.recv(1 << 16)
    assert told.startswith(b"HTTP/1.1 202")
    with running.client() as client:
        assert next(client.jobs())["inputs"][0]["bytes"] == 10


def test_t13_a_body_that_crawls_is_ended_and_others_are_served(running: Running) -> None:
    port = int(running.url.rpartition(":")[2])
    head = f"POST /api/v1/datasets/default/ingest HTTP/1.1\r\nHost: x\r\nX-API-Key: {running.key}\r\nContent-Length: 1000\r\n\r\na"
    slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(head.encode())
        with running.client() as client:
            assert client.usage()["tenant_id"] == "default"
        assert {connection.recv(1 << 16).split(b" ")[1] for connection in slow} == {b"408"}
    finally:
        for connection in slow:
            connection.close()
    objects = Path(running.folder) / "objects"
    assert list(objects.rglob("*.partial")) == []
