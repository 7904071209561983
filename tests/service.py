"""A service for tests: a database, a folder as object store, jobs put into it, and real worker processes."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer import bootstrap, storage
from data_sanitizer.publication import MANIFEST
from data_sanitizer.run_folder import sha256
from data_sanitizer.settings import PREFIX, ServiceSettings
from data_sanitizer.storage._statements import new_id
from data_sanitizer.storage.schema import FINAL_STATES, audit_logs, jobs, outbox
from data_sanitizer.storage_backend import Job, StorageBackend

LEASE = 1.5


class Service:
    """A database that is at the newest version, and a folder."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.settings = ServiceSettings(object_store=str(folder / "objects"))
        self.root = bootstrap.object_store(self.settings)
        self.backend = StorageBackend(storage.configured(database), retry_for=20)

    def submit(self, tenant: str, tables: Sequence[Path], *, lane: str = "small", dataset_id: UUID | None = None, **options: Any) -> UUID:
        """Upload tables and make a job of them."""
        self.backend.create_tenant(tenant)
        job, objects = new_id(), []
        for number, table in enumerate(tables):
            data, key = table.read_bytes(), f"{tenant}/jobs/{job}/input/{number}"
            self.root.store.write((self.root / key).key, [data])
            objects.append({"key": key, "name": table.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
        told = {"recipe": "careful", "output_format": "parquet", **options}
        return self.backend.create_job(tenant, source={"objects": objects}, options=told, lane=lane, job_id=job,
                                       dataset_id=dataset_id)  # fmt: skip

    def worker(self, *arguments: str, fault: str = "", **settings: Any) -> subprocess.Popen[bytes]:
        """A worker process."""
        told = {"database_url": self.database, "object_store": str(self.folder / "objects"), "lease_seconds": LEASE, "poll_seconds": 0.2,
                "checkpoint_seconds": 0, "job_threads": 1, "retry_for": 20, "tenant_jobs": 100, "fault": fault, **settings}  # fmt: skip
        environment = os.environ | {PREFIX + name.upper(): str(value) for name, value in told.items()}
        log = (self.folder / "worker.log").open("ab")
        return subprocess.Popen([sys.executable, "-m", "data_sanitizer.cli", "worker", *arguments], env=environment, stdout=log, stderr=log)

    @contextmanager
    def working(self, count: int = 1, lanes: str = "small,large", **settings: Any) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Workers that go on until the block ends; they have to end well when they are told to."""
        workers = [self.worker("--lanes", lanes, **settings) for _ in range(count)]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            codes = [worker.wait(30) for worker in workers]
        assert set(codes) <= {0, -signal.SIGKILL}

    def ended(self, tenant: str, job: UUID, seconds: float = 60) -> Job:
        """The job when it has ended."""
        return self.until(tenant, job, lambda found: found.state in FINAL_STATES, seconds)

    def until(self, tenant: str, job: UUID, reached: Any, seconds: float = 60) -> Job:
        """The job when it is as it shall be."""
        until = time.monotonic() + seconds
        while not reached(found := self.backend.get_job(tenant, job)):
            if time.monotonic() > until:
                raise AssertionError(f"{found}\n{self.log()[-3000:]}")
            time.sleep(0.05)
        return found

    def until_logged(self, word: str, seconds: float = 60) -> None:
        """Wait until a worker has said something."""
        until = time.monotonic() + seconds
        while word not in self.log():
            assert time.monotonic() < until, self.log()
            time.sleep(0.05)

    def log(self) -> str:
        return (self.folder / "worker.log").read_text()

    def ends_told(self, tenant: str, job: UUID) -> tuple[int, int]:
        """How many entries of the audit log, and how many messages, tell of the end of a job."""
        with self.backend._database.transaction(tenant) as connection:
            audited = sa.select(sa.func.count()).where(audit_logs.c.tenant_id == tenant, audit_logs.c.subject == str(job))
            sent = [row.payload["job_id"] for row in connection.execute(sa.select(outbox.c.payload).where(outbox.c.tenant_id == tenant))]
            return connection.execute(audited).scalar_one(), sent.count(str(job))

    def move(self, tenant: str, job: UUID, lane: str) -> None:
        """Put a job into another lane."""
        with self.backend._database.transaction(tenant) as connection:
            connection.execute(sa.update(jobs).where(jobs.c.tenant_id == tenant, jobs.c.id == job).values(lane=lane))

    def files(self, tenant: str, job: UUID) -> list[str]:
        """The objects of a job, as they are named below it."""
        start = (self.root / f"{tenant}/jobs/{job}/").key
        return [found.key.removeprefix(start) for found in self.root.store.listed(start)]

    def must_be_sound(self, tenant: str, job: UUID, manifest: str, state: str = "success") -> None:
        """What holds of every job that has ended, whatever happened to its workers."""
        found = self.ended(tenant, job)
        assert found.state == state, (found.error, self.log()[-3000:])
        assert self.ends_told(tenant, job) == (1, 1)
        self.backend.verify_audit_log(tenant)
        if state != "success":
            assert found.result is None
            return
        assert found.result
        assert found.manifest_sha256 == found.result["manifest_sha256"] == manifest
        place = self.folder / "objects" / found.result["prefix"]
        assert sha256(place / MANIFEST) == manifest
        assert {name: sha256(place / name) for name in found.result["files"]} == {n: f["sha256"] for n, f in found.result["files"].items()}
        rows = found.result["rows"]
        assert rows["in"] == rows["kept"] + rows["merged"] + rows["quarantined"]
