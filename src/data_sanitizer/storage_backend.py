"""What the service keeps: jobs, hashes, statistics, provenance and audit in a relational database, signatures in a vector index.

`python -m data_sanitizer.storage_backend` is the command `data-sanitizer migrate`.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import polars as pl
import sqlalchemy as sa
from numpy.typing import NDArray

from data_sanitizer import storage
from data_sanitizer.errors import DatabaseUnreachable, NotEmpty, SchemaOutdated, VectorsUnavailable
from data_sanitizer.model import Candidates, Delivery, EntityEvent, Samples
from data_sanitizer.storage import (
    _audit,
    _deliveries,
    _forgetting,
    _hashes,
    _jobs,
    _provenance,
    _statistics,
    migrations,
)  # fmt: skip
from data_sanitizer.storage._audit import AuditHead, AuditState
from data_sanitizer.storage._dataset import StoredDataset
from data_sanitizer.storage._forgetting import Target
from data_sanitizer.storage._jobs import Job
from data_sanitizer.storage._keys import ApiKey
from data_sanitizer.storage._leases import Chunk
from data_sanitizer.storage._listing import Reservation, Usage
from data_sanitizer.storage._requests import Requests
from data_sanitizer.storage._statements import Keys, new_id
from data_sanitizer.storage._types import now
from data_sanitizer.storage._vectors import Signatures
from data_sanitizer.storage._webhooks import Message
from data_sanitizer.storage._work import Made, Work
from data_sanitizer.storage.milvus import MilvusConfig, MilvusVectors
from data_sanitizer.storage.postgres import PostgresConfig
from data_sanitizer.storage.schema import EVERY_TENANT
from data_sanitizer.storage.sqlite import SqliteConfig

__all__ = [
    "ApiKey", "AuditHead", "AuditState", "Candidates", "Chunk", "Job", "Made", "Message", "MilvusConfig", "PostgresConfig", "Reservation",
    "Samples", "SqliteConfig", "StorageBackend", "StoredDataset", "Target", "Usage", "new_id",
]  # fmt: skip

T = TypeVar("T")


class StorageBackend(Requests, Work):
    """Relational storage for any number of tenants. Every method names its tenant, is one transaction, and may safely be called again.

    A call that loses its connection is made again, until `retry_for` seconds have passed; then DatabaseUnreachable is raised. Other errors
    of the database are DatabaseBusy, DatabaseFull, DatabaseRefused and SchemaOutdated.
    """

    def __init__(
        self, database: PostgresConfig | SqliteConfig, vectors: MilvusConfig | None = None, *, audit_key: bytes | None = None,
        retry_for: float = 10.0,
    ) -> None:  # fmt: skip
        self._config, self._database = database, storage.connected(database)
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

    def prepare(self) -> None:
        """Make an embedded database where there is none yet; else as `check`."""
        if isinstance(self._config, SqliteConfig) and not self._config.path.exists():
            self.migrate()
        self.check()

    def check(self) -> None:
        """Raise SchemaOutdated where the database needs a migration first."""
        migrations.check(self._database)

    def create_tenant(self, tenant_id: str) -> None:
        """Make a tenant; nothing happens where it is there."""
        self._run(tenant_id, lambda c: _jobs.ensure_tenant(c, tenant_id))

    def create_dataset(self, tenant_id: str, name: str) -> UUID:
        """The dataset of this name, made where it is not there."""
        return self._run(tenant_id, lambda c: _jobs.ensure_dataset(c, tenant_id, name))

    def datasets(self, tenant_id: str) -> list[tuple[str, UUID]]:
        """Name and id of all datasets of a tenant, by name."""
        return self._read(tenant_id, lambda c: _deliveries.names(c, tenant_id))

    def find_dataset(self, tenant_id: str, name: str) -> UUID:
        """The dataset of this name; raises NotStored where there is none."""
        return self._read(tenant_id, lambda c: _deliveries.find_dataset(c, tenant_id, name))

    def deliveries(self, tenant_id: str, dataset_id: UUID) -> list[Delivery]:
        """All deliveries of a dataset, in the order in which they were made."""
        return self._read(tenant_id, lambda c: _deliveries.listed(c, tenant_id, dataset_id))

    def delivery_profile(self, tenant_id: str, dataset_id: UUID, no: int) -> dict[str, Any]:
        """What profile.json said of a delivery; raises NotStored."""
        return self._read(tenant_id, lambda c: _deliveries.profile(c, tenant_id, dataset_id, no))

    def entity_events(self, tenant_id: str, dataset_id: UUID) -> list[EntityEvent]:
        """Everything that happened to the ids of entities, in order."""
        return self._read(tenant_id, lambda c: list(_deliveries.events(c, tenant_id, dataset_id)))

    def known_dataset(self, tenant_id: str, name: str, *, keep: bool = True) -> StoredDataset:
        """The dataset of this name, to look at or to decide about; without `keep` a run changes nothing of it. Raises NotStored."""

        def audit(event: EntityEvent) -> None:
            self.insert_audit_log(tenant_id, event.actor, f"entity.{event.kind}", event.entity, {"dataset": name, "other": event.other})

        return StoredDataset(self._run, tenant_id, self.find_dataset(tenant_id, name), self._signatures, keep=keep, audit=audit)

    def dataset(self, tenant_id: str, name: str) -> StoredDataset:
        """The dataset of this name for a run that delivers to it; tenant and dataset are made where they are not there."""
        self.create_tenant(tenant_id)
        return StoredDataset(self._run, tenant_id, self.create_dataset(tenant_id, name), self._signatures)

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
        self, tenant_id: str, dataset_id: UUID, signatures: NDArray[np.uint32], *, limit: int = 10, threshold: float = 0.5,
        before: int | None = None,
    ) -> Candidates:  # fmt: skip
        """Rows of the dataset with similar signatures, for each of those given, of shape (n, numbers); with `before`, only rows of
        deliveries with a lower number.

        Similarity is counted on the signatures. Where the vector index is away, or does not hold what the database holds, the index in this
        process answers, and the result says `degraded`.
        """
        return self._signatures.query(tenant_id, dataset_id, signatures, limit, threshold, before)

    def delete_delivery_vectors(self, tenant_id: str, dataset_id: UUID, delivery: int) -> None:
        """Delete the signatures of a delivery, here and in the vector index."""
        self._signatures.delete(tenant_id, dataset_id, delivery)

    def relay_vectors(self, tenant_id: str) -> int:
        """Pass on to the vector index what waits for it; gives how much. Raises VectorsUnavailable."""
        return self._signatures.relay(tenant_id)

    def forget(self, target: Target, actor: str) -> dict[str, int]:
        """Delete a tenant, a dataset, a delivery or a job in every table and in the vector index; gives the rows of each table.

        A call that was stopped goes on when it is made again; then NotStored is raised. The audit log keeps that it happened, and of a
        forgotten tenant the name. A vector index that does not answer is told when it does (`relay_vectors`).
        """

        def log(connection: sa.Connection, event: UUID, action: str, subject: str, detail: Mapping[str, Any]) -> None:
            told = {"actor": actor, "action": action, "subject": subject, "detail": dict(detail)}
            _audit.append(connection, target.tenant, event, self._audit_key, told)

        counts = _forgetting.forget(self._run, target, log, self._milvus is not None)
        with suppress(VectorsUnavailable):
            self.relay_vectors(target.tenant)
        return counts

    def would_forget(self, target: Target) -> dict[str, int]:
        """The rows of each table that `forget` would delete."""
        return self._read(target.tenant, lambda c: _forgetting.counted(c, target))

    def expired(self, tenant_id: str, seconds: float, dataset_id: UUID | None = None) -> list[Target]:
        """Deliveries and finished jobs that are older, by the clock of the database; of one dataset where it is named."""
        return self._read(tenant_id, lambda c: _forgetting.expired(c, tenant_id, seconds, dataset_id))

    def tenants(self) -> list[str]:
        """All tenants, also those that were forgotten."""
        return self._read(EVERY_TENANT, _jobs.tenant_names)

    def rebuild_vectors(self) -> int:
        """Make the vector index anew from the database, for all tenants; gives the number of signatures."""
        return sum(self._signatures.rebuild(name) for name in self.tenants())

    @property
    def dialect(self) -> str:
        """The kind of the database: postgresql or sqlite."""
        return self._database.dialect

    def dump(self, path: Path) -> str:
        """Save all that the database holds in a file, as it is at one moment; gives the version of its schema."""
        self.check()
        found = migrations.current(self._database)
        storage.dump(self._config, path)
        return str(found)

    def load(self, path: Path) -> str:
        """Put what `dump` saved into a database that is empty, and bring it to the newest schema; raises NotEmpty."""
        if not self.is_empty():
            raise NotEmpty(place="The database")
        storage.load(self._config, path)
        return self.migrate()

    def is_empty(self) -> bool:
        """Whether the database has no schema yet."""
        try:
            return migrations.current(self._database) is None
        except SchemaOutdated:  # SQLite: there is no file
            return True

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

    def clock(self) -> float:
        """The time of the database, in seconds since 1970."""
        return self._read(EVERY_TENANT, _jobs.clock)

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


if __name__ == "__main__":
    import runpy

    sys.argv.insert(1, "migrate")
    runpy.run_module("data_sanitizer.cli", run_name="__main__")
