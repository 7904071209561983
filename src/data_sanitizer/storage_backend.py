"""What the service keeps: jobs, hashes, statistics, provenance and audit in a relational database, signatures in a vector index.

`python -m data_sanitizer.storage_backend` is the command `data-sanitizer migrate`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID, uuid5

import numpy as np
import polars as pl
import sqlalchemy as sa
from numpy.typing import NDArray

from data_sanitizer import storage
from data_sanitizer.errors import DatabaseUnreachable, LeaseLost
from data_sanitizer.model import Candidates, Samples
from data_sanitizer.storage import _audit, _hashes, _jobs, _leases, _provenance, _statistics, _tallies, migrations
from data_sanitizer.storage._audit import AuditHead, AuditState
from data_sanitizer.storage._jobs import Job
from data_sanitizer.storage._keys import ApiKey
from data_sanitizer.storage._leases import Chunk
from data_sanitizer.storage._listing import Reservation, Usage
from data_sanitizer.storage._requests import Requests
from data_sanitizer.storage._statements import Keys, new_id
from data_sanitizer.storage._types import now
from data_sanitizer.storage._vectors import Signatures
from data_sanitizer.storage._webhooks import Message
from data_sanitizer.storage.milvus import MilvusConfig, MilvusVectors
from data_sanitizer.storage.postgres import PostgresConfig
from data_sanitizer.storage.schema import EVERY_TENANT
from data_sanitizer.storage.sqlite import SqliteConfig

__all__ = [
    "ApiKey", "AuditHead", "AuditState", "Candidates", "Chunk", "Job", "Message", "MilvusConfig", "PostgresConfig", "Reservation",
    "Samples", "SqliteConfig", "StorageBackend", "Usage", "new_id",
]  # fmt: skip

T = TypeVar("T")


class StorageBackend(Requests):
    """Relational storage for any number of tenants. Every method names its tenant, is one transaction, and may safely be called again.

    A call that loses its connection is made again, until `retry_for` seconds have passed; then DatabaseUnreachable is raised. Other errors
    of the database are DatabaseBusy, DatabaseFull, DatabaseRefused and SchemaOutdated.
    """

    def __init__(
        self, database: PostgresConfig | SqliteConfig, vectors: MilvusConfig | None = None, *, audit_key: bytes | None = None,
        retry_for: float = 10.0,
    ) -> None:  # fmt: skip
        self._database = storage.connected(database)
        self._milvus = MilvusVectors(vectors) if vectors else None
        self._signatures = Signatures(self._run, self._milvus)
        self._audit_key = audit_key
        self._retry_for = retry_for

    def _run(self, tenant: str, work: Callable[[sa.Connection], T], *, read_only: bool = False) -> T:
        """One transaction; again where the connection was lost, with growing pauses."""
        until, pause = time.monotonic() + self._retry_for, 0.05
        while True:
            try:
                with self._database.transaction(tenant, read_only=read_only) as connection:
                    return work(connection)
            except DatabaseUnreachable:
                if time.monotonic() + pause > until:
                    raise
                time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  so that not all come back at once
                pause = min(pause * 2, 2.0)

    def _read(self, tenant: str, work: Callable[[sa.Connection], T]) -> T:
        return self._run(tenant, work, read_only=True)

    def migrate(self) -> str:
        """Bring the database to the schema of this version; gives its number."""
        return migrations.upgrade(self._database)

    def check(self) -> None:
        """Raise SchemaOutdated where the database needs a migration first."""
        migrations.check(self._database)

    def create_tenant(self, tenant_id: str) -> None:
        """Make a tenant; nothing happens where it is there."""
        self._run(tenant_id, lambda c: _jobs.ensure_tenant(c, tenant_id))

    def create_dataset(self, tenant_id: str, name: str) -> UUID:
        """The dataset of this name, made where it is not there."""
        return self._run(tenant_id, lambda c: _jobs.ensure_dataset(c, tenant_id, name))

    def create_job(
        self, tenant_id: str, *, source: Mapping[str, Any], options: Mapping[str, Any] | None = None, dataset_id: UUID | None = None,
        lane: str = "small", priority: int = 0, max_attempts: int = 20, idempotency_key: str | None = None,
        request_fingerprint: str | None = None, job_id: UUID | None = None, state: str = "queued", result: Mapping[str, Any] | None = None,
        input_bytes: int | None = None,
    ) -> UUID:  # fmt: skip
        """Store a job, queued; gives its id. The same idempotency key gives the same job; IdempotencyKeyReused for another request.

        With `state` accepted it waits until `update_job_status` makes it queued; with success and a `result` it is done already.
        """
        job, values = job_id or new_id(), {
            "state": state, "input_bytes": input_bytes,
            **({"result": dict(result), "manifest_sha256": result["manifest_sha256"], "finished_at": now()} if result else {}),
            "source": dict(source), "options": dict(options or {}), "dataset_id": dataset_id, "lane": lane, "priority": priority,
            "max_attempts": max_attempts, "idempotency_key": idempotency_key, "request_fingerprint": request_fingerprint,
        }  # fmt: skip
        return self._run(tenant_id, lambda c: _jobs.create(c, tenant_id, job, values))

    def get_job(self, tenant_id: str, job_id: UUID) -> Job:
        """One job; raises NotStored where the tenant has none with this id."""
        return self._read(tenant_id, lambda c: _jobs.get(c, tenant_id, job_id))

    def update_job_status(self, tenant_id: str, job_id: UUID, state: str, *, lease_token: UUID | None = None, **changes: Any) -> None:
        """Set the state of a job and other fields with it (`stage`, `progress`, `error`, `degraded`, `manifest_sha256`, …).

        A job at its end stays as it is; with a lease token, only who holds the lease may change it: raises LeaseLost otherwise.
        """
        self._run(tenant_id, lambda c: _jobs.update(c, tenant_id, job_id, lease_token, {"state": state, **changes}))

    def claim_job(self, lanes: Sequence[str], *, lease_seconds: float, tenant_jobs: int) -> Job | None:
        """Take the job of any tenant whose turn it is, for a time; None where there is none. See `storage._leases.claim`."""
        return self._run(EVERY_TENANT, lambda c: _leases.claim(c, lanes, lease_seconds, tenant_jobs))

    def jobs_due(self, lanes: Sequence[str]) -> bool:
        """Whether a job of these lanes waits for a worker."""
        return self._read(EVERY_TENANT, lambda c: _leases.due(c, lanes))

    def heartbeat_job(self, job: Job, lease_seconds: float, progress: Mapping[str, Any] | None = None) -> bool:
        """Keep a claimed job; gives whether it is to be cancelled. Raises LeaseLost."""
        return self._run(job.tenant_id, lambda c: _leases.heartbeat(c, job.tenant_id, job.id, _token(job), lease_seconds, progress))

    def record_chunk(self, job: Job, chunk: Chunk) -> None:
        """Store that a part of a claimed job is done; raises LeaseLost."""
        self._run(job.tenant_id, lambda c: _leases.record(c, job.tenant_id, job.id, _token(job), chunk))

    def job_chunks(self, job: Job) -> list[Chunk]:
        """The parts of a job that are done."""
        return self._read(job.tenant_id, lambda c: _leases.chunks(c, job.tenant_id, job.id))

    def advance_job(self, job: Job, stage: str, done: int) -> None:
        """Put a claimed job into its next stage, where `done` chunks of the present one are stored; raises LeaseLost and NotStored."""
        self._run(job.tenant_id, lambda c: _leases.advance(c, job.tenant_id, job.id, _token(job), stage, done))

    def give_back_job(self, job: Job, *, wait: float = 0, error: Mapping[str, Any] | None = None, crashed: bool = False) -> None:
        """End the lease; the job can be claimed again after `wait` seconds. Raises LeaseLost."""
        told: dict[str, Any] = {"wait": wait, "error": error, "crashed": crashed}
        self._run(job.tenant_id, lambda c: _leases.give_back(c, job.tenant_id, job.id, _token(job), **told))

    def finish_job(self, job: Job, state: str, **told: Any) -> str:
        """End a claimed job (`result`, `manifest_sha256`, `error`, `degraded`), with an entry in the audit log and a message to the outbox.

        Gives the state that it has then: cancelled, where that was asked for meanwhile. Raises LeaseLost.
        """

        def work(connection: sa.Connection) -> str:
            ended = _leases.finish(connection, job.tenant_id, job.id, _token(job), state, told)
            self._ended(connection, job.tenant_id, job.id, ended, "worker")
            return ended

        return self._run(job.tenant_id, work)

    def request_cancel(self, tenant_id: str, job_id: UUID, *, actor: str = "tenant") -> str:
        """Cancel a job; gives its state: `running` where a worker has to stop first. Raises NotStored."""

        def work(connection: sa.Connection) -> str:
            state = _leases.request_cancel(connection, tenant_id, job_id)
            if state == "cancelled":
                self._ended(connection, tenant_id, job_id, state, actor)
            return state

        return self._run(tenant_id, work)

    def tenant_names(self) -> list[str]:
        """All tenants."""
        return self._read(EVERY_TENANT, _jobs.tenant_names)

    def job_places(self, tenant_id: str) -> dict[UUID, tuple[str, str | None]]:
        """The state of each job of a tenant, and the prefix of its result in the object store."""
        return self._read(tenant_id, lambda c: _leases.places(c, tenant_id))

    def abandon_jobs(self, tenant_id: str, seconds: float) -> list[UUID]:
        """End the jobs whose upload was begun so long ago and never completed; gives them."""

        def work(connection: sa.Connection) -> list[UUID]:
            error = {"code": "upload-abandoned", "title": "The upload was begun and never completed. Send it again.", "retryable": False}
            found = _leases.abandon(connection, tenant_id, seconds, error)
            for job in found:
                self._ended(connection, tenant_id, job, "failed", "reconciler")
            return found

        return self._run(tenant_id, work)

    def _ended(self, connection: sa.Connection, tenant: str, job: UUID, state: str, actor: str) -> None:
        told = {"actor": actor, "action": f"job.{state}", "subject": str(job), "detail": {}}
        _audit.append(connection, tenant, uuid5(job, "ended"), self._audit_key, told)

    def counts(self) -> list[tuple[str, str, str, float]]:
        """What was counted since the beginning: tenant, name, label, total."""
        return [tuple(row) for row in self._read(EVERY_TENANT, _tallies.totals)]

    def queue_state(self) -> list[tuple[str, str, int, int, float]]:
        """The queue now: lane, state, jobs, those whose lease has ended, seconds since the oldest was due."""
        return [tuple(row) for row in self._read(EVERY_TENANT, _tallies.queue)]

    def batch_insert_row_hashes(
        self, tenant_id: str, dataset_id: UUID, delivery: int, hashes: Keys, rows: NDArray[np.int64], entities: Keys | None = None
    ) -> int:
        """Store the 128-bit hashes, shape (n, 2), of rows of a delivery; gives how many were not seen in the dataset before.

        The order of calls does not matter: a hash keeps the first delivery and row it occurs in.
        """
        if not len(hashes):
            return 0
        work = (tenant_id, dataset_id, delivery, hashes, rows, entities)
        return self._run(tenant_id, lambda c: _hashes.store(self._database, c, *work))

    def check_existing_hashes(self, tenant_id: str, dataset_id: UUID, hashes: Keys, *, before: int | None = None) -> NDArray[np.bool_]:
        """Which hashes, shape (n, 2), are stored in the dataset; with `before`, only by deliveries with a lower number."""
        if not len(hashes):
            return np.zeros(0, np.bool_)
        return self._run(tenant_id, lambda c: _hashes.seen(self._database, c, tenant_id, dataset_id, hashes, before))

    def store_imputation_stats(self, tenant_id: str, job_id: UUID, stats: Mapping[str, Any]) -> None:
        """Store what is needed to fill missing cells, by column, as JSON; replaces what was stored for a column."""
        self._run(tenant_id, lambda c: _statistics.store(c, tenant_id, job_id, stats))

    def get_imputation_stats(self, tenant_id: str, job_id: UUID) -> dict[str, Any]:
        """What was stored for a job, by column."""
        return self._read(tenant_id, lambda c: _statistics.get(c, tenant_id, job_id))

    def batch_insert_provenance(self, tenant_id: str, job_id: UUID, chunk: int, entries: pl.DataFrame) -> int:
        """Store the ledger entries of one chunk (columns of `ledger.SCHEMA`); gives how many.

        A chunk is stored once: again changes nothing.
        """
        return self._run(tenant_id, lambda c: _provenance.store(self._database, c, tenant_id, job_id, chunk, entries))

    def find_provenance(
        self,
        tenant_id: str,
        job_id: UUID,
        *,
        row: int | None = None,
        column: str | None = None,
        rule: str | None = None,
        limit: int = 10_000,
    ) -> Iterator[pl.DataFrame]:
        """The entries of a job in the order of its ledger, `limit` at a time, of one row, column or rule where that is given."""
        after: tuple[int, int] | None = (-1, -1)
        while after is not None:
            asked = (tenant_id, job_id, row, column, rule, after, limit)
            frame, after = self._read(tenant_id, lambda c, asked=asked: _provenance.find(c, *asked))  # type: ignore[misc]
            yield frame

    def insert_audit_log(
        self,
        tenant_id: str,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, Any] | None = None,
        *,
        event_id: UUID | None = None,
    ) -> AuditHead:
        """Add an entry to the tenant's audit log; gives the new head. The same `event_id` again changes nothing. No cell values here."""
        event, told = event_id or new_id(), {"actor": actor, "action": action, "subject": subject, "detail": dict(detail or {})}
        return self._run(tenant_id, lambda c: _audit.append(c, tenant_id, event, self._audit_key, told))

    def verify_audit_log(self, tenant_id: str, anchor: AuditHead | None = None) -> AuditState:
        """Follow the chain of a tenant; raises AuditBroken at the first entry that was changed, removed or inserted."""
        return self._read(tenant_id, lambda c: _audit.verify(tenant_id, _audit.entries(c, tenant_id), self._audit_key, anchor))

    def batch_insert_lsh_samples(self, tenant_id: str, samples: Samples) -> None:
        """Store the signatures of a chunk, in the database first; the vector index follows, at once or when it answers again.

        A chunk is stored once: again changes nothing. Of rows with equal hashes in it the first is kept.
        """
        self._signatures.store(tenant_id, samples)

    def query_lsh_candidates(
        self, tenant_id: str, dataset_id: UUID, signatures: NDArray[np.uint32], *, limit: int = 10, threshold: float = 0.5
    ) -> Candidates:
        """Rows of the dataset with similar signatures, for each of those given, of shape (n, numbers).

        Similarity is counted on the signatures. Where the vector index is away, or does not hold what the database holds, the index in this
        process answers, and the result says `degraded`.
        """
        return self._signatures.query(tenant_id, dataset_id, signatures, limit, threshold)

    def delete_delivery_vectors(self, tenant_id: str, dataset_id: UUID, delivery: int) -> None:
        """Delete the signatures of a delivery, here and in the vector index."""
        self._signatures.delete(tenant_id, dataset_id, delivery)

    def relay_vectors(self, tenant_id: str) -> int:
        """Pass on to the vector index what waits for it; gives how much. Raises VectorsUnavailable."""
        return self._signatures.relay(tenant_id)

    def rebuild_vectors(self) -> int:
        """Make the vector index anew from the database, for all tenants; gives the number of signatures."""
        tenants = self._read(EVERY_TENANT, _jobs.tenant_names)
        return sum(self._signatures.rebuild(name) for name in tenants)

    def parts(self) -> dict[str, Callable[[], str]]:
        """What the storage consists of: for each part a function that tells its version, or raises what is wrong with it."""
        found: dict[str, Callable[[], str]] = {"database": self._look_at_database}
        if self._milvus:
            milvus = self._milvus
            found["vectors"] = lambda: f"Milvus {milvus.version()}"
        return found

    def _look_at_database(self) -> str:
        self.check()
        return f"{self._database.dialect}, schema {migrations.newest()}"

    def grant(self, role: str) -> None:
        """Give a role of Postgres the rights that the service needs."""
        migrations.grant(self._database, role)

    @contextmanager
    def closing(self) -> Iterator[StorageBackend]:
        """The same storage, closed at the end of a `with`."""
        try:
            yield self
        finally:
            self.close()

    def close(self) -> None:
        """Give all connections back."""
        if self._milvus:
            self._milvus.close()
        self._database.close()


def _token(job: Job) -> UUID:
    if job.lease_token is None:
        raise LeaseLost(job=job.id)
    return job.lease_token


if __name__ == "__main__":
    import runpy

    sys.argv.insert(1, "migrate")
    runpy.run_module("data_sanitizer.cli", run_name="__main__")
