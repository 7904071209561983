"""The service for tests: in this process with a client that speaks to it directly, or as processes of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.testclient import TestClient

from data_sanitizer import run_folder
from data_sanitizer.administration import new_key
from data_sanitizer.api.service import Service
from data_sanitizer.api_server import create_app
from data_sanitizer.client import Client
from data_sanitizer.pipeline.sanitize import RunOptions, sanitize
from data_sanitizer.recipe import load_recipe
from data_sanitizer.settings import ApiSettings
from data_sanitizer.storage_backend import SqliteConfig, StorageBackend
from data_sanitizer.stores import Location, Stores
from data_sanitizer.stores._stream import StoredSource
from tests.contract.servers import free_port

TABLE = b"id,name,city,amount\n" + b"".join(
    f"{n},{name},{city},{n}.50\n".encode()
    for n, (name, city) in enumerate([("Ann Lee", "Rome"), (" Bob Ray ", "Oslo"), ("Cy Dent", "N/A"), ("Ann Lee", "Rome")] * 3)
) + b"0,Ann Lee,Rome,0.50\n"  # fmt: skip


@dataclass
class Api:
    """The API in this process."""

    http: TestClient
    storage: StorageBackend
    settings: ApiSettings
    root: Location

    def key(self, tenant: str = "a", *scopes: str, **when: Any) -> dict[str, str]:
        """The header of a new key."""
        return {"X-API-Key": new_key(self.storage, self.settings, tenant, "test", scopes, **when)}

    def ingest(self, key: dict[str, str], data: bytes = TABLE, name: str = "t.csv", **more: Any) -> httpx.Response:
        tenant = key["X-API-Key"].partition(":")[0]
        headers = {**key, **more.pop("headers", {})}
        return self.http.post(f"/api/v1/datasets/{tenant}/ingest", headers=headers, files={"file": (name, data)}, data=more)

    def finished(self, key: dict[str, str], data: bytes = TABLE, output_format: str = "parquet", recipe: str = "careful") -> str:
        """A job that a stand-in for the workers has run, with the same pipeline."""
        job = self.ingest(key, data, output_format=output_format, recipe=recipe).json()["job_id"]
        run_waiting(self.storage, self.root, key["X-API-Key"].partition(":")[0])
        return str(job)

    def get(self, path: str, key: dict[str, str], **parameters: Any) -> httpx.Response:
        return self.http.get(f"/api/v1{path}", headers=key, params=parameters)


@contextmanager
def in_process(folder: Path, **changes: Any) -> Iterator[Api]:
    """The API on SQLite and a folder; `changes` are settings that are not as usual."""
    pepper = folder / "pepper"
    pepper.write_text(secrets.token_hex(16))
    settings = ApiSettings(**{"pepper_file": str(pepper), "rate_store": "memory", "key_requests": 100_000, **changes})
    storage = StorageBackend(SqliteConfig(folder / "service.db"))
    storage.migrate()
    root = Stores().location(f"file://{folder}/objects")
    app = create_app(lambda: Service.started(storage, root, settings))
    with TestClient(app, raise_server_exceptions=False) as http:
        yield Api(http, storage, settings, root)


def run_waiting(storage: StorageBackend, root: Location, tenant: str) -> None:
    """Run what is queued, in this process."""
    for job in storage.list_jobs(tenant, states=("queued",)):
        prefix = f"{tenant}/jobs/{job.id}/attempt-1"
        run = Path("/") / (root / prefix).key
        places = [(root / told["key"], told["name"]) for told in job.source["objects"]]
        inputs = [StoredSource(place, place.store.find(place.key), name) for place, name in places]
        sanitize(inputs, run, load_recipe(job.options["recipe"]), RunOptions(job.options["output_format"]))
        files = {p.name: {"bytes": p.stat().st_size, "sha256": run_folder.sha256(p)} for p in run.iterdir()}
        result = {"prefix": prefix, "rows": run_folder.read_manifest(run)["rows"], "files": files}
        storage.update_job_status(tenant, job.id, "success", result=result, manifest_sha256=files["manifest.json"]["sha256"])


@dataclass
class Running:
    """The service as it is started by `data-sanitizer serve`."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def key(self) -> str:
        return (self.folder / "default.key").read_text().strip()

    def client(self, key: str | None = None, **more: Any) -> Client:
        return Client(self.url, key or self.key, **more)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the operator, on the same folder."""
        more = {"DATA_SANITIZER_DATABASE_URL": f"sqlite:///{self.folder}/service.db", "DATA_SANITIZER_PEPPER_FILE": f"{self.folder}/pepper",
                "DATA_SANITIZER_URL": self.url, "DATA_SANITIZER_API_KEY": self.key}  # fmt: skip
        return subprocess.run([sys.executable, "-m", "data_sanitizer.cli", *arguments], capture_output=True, text=True, timeout=120,
                              env={**os.environ, **more}, check=False)  # fmt: skip


@contextmanager
def served(folder: Path, *arguments: str, settings: Sequence[tuple[str, str]] = ()) -> Iterator[Running]:
    """`data-sanitizer serve` on a new folder and a free port, until the block ends; then it is asked to stop, and has to."""
    port, log = free_port(), folder / "serve.log"
    command = [sys.executable, "-m", "data_sanitizer.cli", "serve", "--data", str(folder / "data"), "--port", str(port), *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **dict(settings)})
    try:
        _answers(f"http://127.0.0.1:{port}/api/v1/health/live", process, log)
        yield Running(f"http://127.0.0.1:{port}", folder / "data", process, log)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())
