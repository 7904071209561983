"""Statements on tenants, datasets and jobs. The row of a job is also its place in the queue: who holds its lease may change it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer.errors import IdempotencyKeyReused, LeaseLost, NotStored
from data_sanitizer.storage._statements import changed, insert, new_id
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import FINAL_STATES, datasets, jobs, tenants

CHANNEL: Final = "data_sanitizer_jobs"  # of LISTEN and NOTIFY


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it is stored; `schema.jobs` says what each field is."""

    tenant_id: str
    id: UUID
    dataset_id: UUID | None
    state: str
    stage: str
    lane: str
    priority: int
    attempt: int
    max_attempts: int
    crash_count: int
    retries: int
    run_after: dt.datetime
    lease_token: UUID | None
    lease_until: dt.datetime | None
    heartbeat_at: dt.datetime | None
    cancel_requested: bool
    idempotency_key: str | None
    request_fingerprint: str | None
    source: Mapping[str, Any]
    options: Mapping[str, Any]
    progress: Mapping[str, Any]
    error: Mapping[str, Any] | None
    degraded: list[str]
    manifest_sha256: str | None
    result: Mapping[str, Any] | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    updated_at: dt.datetime
    finished_at: dt.datetime | None


COLUMNS: Final = tuple(jobs.c[f.name] for f in fields(Job))


def ensure_tenant(connection: sa.Connection, tenant: str) -> None:
    """Make the tenant where it is not there yet."""
    connection.execute(insert(connection, tenants).values(tenant_id=tenant, created_at=now()).on_conflict_do_nothing())


def tenant_names(connection: sa.Connection) -> list[str]:
    """All tenants; for a worker."""
    return list(connection.execute(sa.select(tenants.c.tenant_id).order_by(tenants.c.tenant_id)).scalars())


def clock(connection: sa.Connection) -> float:
    """The time of the database, in seconds since 1970."""
    moment: dt.datetime = connection.execute(sa.select(now())).scalar_one()
    return moment.timestamp()


def dataset_ids(connection: sa.Connection, tenant: str) -> list[UUID]:
    """All datasets of a tenant."""
    return list(connection.execute(sa.select(datasets.c.id).where(datasets.c.tenant_id == tenant).order_by(datasets.c.id)).scalars())


def ensure_dataset(connection: sa.Connection, tenant: str, name: str) -> UUID:
    """The dataset of this name, made where it is not there yet."""
    must_be_alive(connection, tenant)
    values = {"tenant_id": tenant, "id": new_id(), "name": name, "options": {}, "created_at": now()}
    connection.execute(insert(connection, datasets).values(values).on_conflict_do_nothing())
    found: UUID = connection.execute(sa.select(datasets.c.id).where(datasets.c.tenant_id == tenant, datasets.c.name == name)).scalar_one()
    return found


def must_be_alive(connection: sa.Connection, tenant: str) -> None:
    """Raise NotStored for a tenant that is not there or was forgotten; one that is stays until the end of the transaction."""
    asked = sa.select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant, tenants.c.deleted_at.is_(None))
    if not connection.execute(asked.with_for_update(read=True)).first():
        raise NotStored(what="The tenant itself", tenant=tenant)


def create(connection: sa.Connection, tenant: str, job: UUID, values: Mapping[str, Any]) -> UUID:
    """Store a new job, or find the one that the idempotency key or the id names already."""
    must_be_alive(connection, tenant)
    start = {
        "state": "queued",
        "stage": "pass1",
        "retries": 0,
        "attempt": 0,
        "crash_count": 0,
        "cancel_requested": False,
        "progress": {},
        "degraded": [],
    }
    start |= values
    clock = {"run_after": now(), "created_at": now(), "updated_at": now()}
    connection.execute(insert(connection, jobs).values({"tenant_id": tenant, "id": job, **clock, **start}).on_conflict_do_nothing())
    announce(connection, job)
    key = values.get("idempotency_key")
    if key is None:
        return job
    found = connection.execute(
        sa.select(jobs.c.id, jobs.c.request_fingerprint).where(jobs.c.tenant_id == tenant, jobs.c.idempotency_key == key)
    ).one()
    if found.request_fingerprint != values.get("request_fingerprint"):
        raise IdempotencyKeyReused(key=key)
    first: UUID = found.id
    return first


def announce(connection: sa.Connection, job: UUID) -> None:
    """Wake who waits for jobs when the transaction is committed; SQLite has no such thing, and there one looks."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, str(job))))


def get(connection: sa.Connection, tenant: str, job: UUID) -> Job:
    """One job; raises NotStored for one that is not there, or is another tenant's."""
    row = connection.execute(sa.select(*COLUMNS).where(jobs.c.tenant_id == tenant, jobs.c.id == job)).first()
    if row is None:
        raise NotStored(what=f"Job {job}", tenant=tenant)
    return Job(*row)


def update(connection: sa.Connection, tenant: str, job: UUID, lease: UUID | None, values: Mapping[str, Any]) -> None:
    """Change a job that is not at its end; with a lease, only while it holds. The same change again is no error."""
    state = values["state"]
    ended = {"finished_at": now()} if state in FINAL_STATES else {}
    released = {} if state in (*FINAL_STATES, "running") else {"lease_token": None, "lease_until": None}
    here = [jobs.c.tenant_id == tenant, jobs.c.id == job]
    held = [jobs.c.lease_token == lease, jobs.c.lease_until > now(), jobs.c.state == "running"] if lease else []
    allowed = [*here, jobs.c.state.not_in(FINAL_STATES), *held]
    if changed(connection, sa.update(jobs).where(*allowed).values(**values, **ended, **released, updated_at=now())):
        return
    found = get(connection, tenant, job)
    if found.state != state or (lease and found.lease_token != lease):
        raise LeaseLost(job=job)
