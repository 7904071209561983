"""Statements of the service on jobs: lists by cursor, what a tenant uses, uploads under way, decisions of people, deletion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer.errors import IdempotencyKeyReused
from data_sanitizer.storage import _jobs
from data_sanitizer.storage._statements import changed, insert
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import (
    FINAL_STATES,
    audit_logs,
    cell_provenance,
    cluster_decisions,
    imputation_stats,
    job_chunks,
    jobs,
    profiles,
)  # fmt: skip

_KEPT: float = 24 * 3600  # seconds that an idempotency key is remembered
_SILENT: float = 120  # seconds without a sign of life after which an upload counts as given up


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tenant uses: jobs by state, those not at their end, and the bytes of all inputs."""

    jobs: Mapping[str, int]
    open_jobs: int
    input_bytes: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """What an idempotency key stands for: a job that is there, or an upload under way, `mine` or another's."""

    job: UUID
    state: str
    mine: bool


def listed(connection: sa.Connection, tenant: str, states: Sequence[str], before: UUID | None, limit: int) -> list[_jobs.Job]:
    """Jobs of a tenant, the newest first, below the job `before`; of any state where none is named."""
    asked = sa.select(*(jobs.c[f.name] for f in fields(_jobs.Job))).where(jobs.c.tenant_id == tenant)
    asked = asked.where(jobs.c.state.in_(states)) if states else asked
    asked = asked.where(jobs.c.id < before) if before else asked
    return [_jobs.Job(*row) for row in connection.execute(asked.order_by(jobs.c.id.desc()).limit(limit))]


def usage(connection: sa.Connection, tenant: str) -> Usage:
    """Counts of jobs by state, and the bytes of their inputs."""
    counts = sa.select(jobs.c.state, sa.func.count(), sa.func.sum(jobs.c.input_bytes)).where(jobs.c.tenant_id == tenant)
    rows = list(connection.execute(counts.group_by(jobs.c.state).order_by(jobs.c.state)))
    waiting = sum(n for state, n, _ in rows if state not in FINAL_STATES)
    return Usage({state: int(n) for state, n, _ in rows}, waiting, int(sum(size or 0 for _, _, size in rows)))


def reserve(connection: sa.Connection, tenant: str, job: UUID, key: str) -> Reservation:
    """Take an idempotency key for an upload, or tell who has it; one that is a day old, or whose upload was given up, is free again."""
    here = [jobs.c.tenant_id == tenant, jobs.c.idempotency_key == key]
    old = sa.and_(jobs.c.created_at < now(-_KEPT), jobs.c.state.in_(FINAL_STATES))
    connection.execute(sa.update(jobs).where(*here, old).values(idempotency_key=None))
    connection.execute(sa.delete(jobs).where(*here, jobs.c.state == "accepted", jobs.c.updated_at < now(-_SILENT)))
    taken = connection.execute(sa.select(jobs.c.id, jobs.c.state).where(*here)).first()
    if taken:
        return Reservation(taken.id, taken.state, mine=False)
    values = {"source": {}, "options": {}, "lane": "small", "priority": 0, "max_attempts": 20, "idempotency_key": key, "state": "accepted",
              "request_fingerprint": None, "dataset_id": None}  # fmt: skip
    _jobs.create(connection, tenant, job, values)
    found = connection.execute(sa.select(jobs.c.id, jobs.c.state).where(*here)).one()
    return Reservation(found.id, found.state, mine=found.id == job)


def alive(connection: sa.Connection, tenant: str, job: UUID) -> None:
    """A sign of life of an upload under way."""
    connection.execute(sa.update(jobs).where(*_upload(tenant, job)).values(updated_at=now()))


def submit(connection: sa.Connection, tenant: str, job: UUID, values: Mapping[str, Any]) -> bool:
    """An upload is complete: its job is queued. False where the reservation is gone."""
    clock = {"run_after": now(), "updated_at": now()}
    done = changed(connection, sa.update(jobs).where(*_upload(tenant, job)).values(state="queued", **values, **clock)) == 1
    _jobs.announce(connection, job)
    return done


def abandon(connection: sa.Connection, tenant: str, job: UUID) -> None:
    """An upload failed: its reservation goes, so that the same key can be used again."""
    connection.execute(sa.delete(jobs).where(*_upload(tenant, job)))


def _upload(tenant: str, job: UUID) -> list[Any]:
    return [jobs.c.tenant_id == tenant, jobs.c.id == job, jobs.c.state == "accepted"]


def same_request(connection: sa.Connection, tenant: str, job: UUID, fingerprint: str, key: str) -> None:
    """Raises IdempotencyKeyReused where the job came from another request."""
    asked = sa.select(jobs.c.request_fingerprint).where(jobs.c.tenant_id == tenant, jobs.c.id == job)
    if connection.execute(asked).scalar_one() != fingerprint:
        raise IdempotencyKeyReused(key=key)


def delivering(connection: sa.Connection, tenant: str, dataset: UUID | None) -> bool:
    """Whether a job that is not at its end delivers to the dataset."""
    open_ = (jobs.c.tenant_id == tenant, jobs.c.dataset_id == dataset, jobs.c.state.not_in(FINAL_STATES))
    return connection.execute(sa.select(jobs.c.id).where(*open_).limit(1)).first() is not None


def of_dataset(connection: sa.Connection, tenant: str, dataset: UUID, delivery: int | None) -> list[UUID]:
    """The jobs that delivered to a dataset, in order; those that made one delivery where it is given."""
    asked = sa.select(jobs.c.id, jobs.c.result).where(jobs.c.tenant_id == tenant, jobs.c.dataset_id == dataset).order_by(jobs.c.id)
    return [job for job, result in connection.execute(asked) if delivery is None or (result or {}).get("delivery") == delivery]


def delete(connection: sa.Connection, tenant: str, job: UUID) -> bool:
    """Delete a job that is at its end, with all that hangs on it; False where it is not at its end. The audit log stays."""
    found = _jobs.get(connection, tenant, job)
    if found.state not in FINAL_STATES:
        return False
    for table in (job_chunks, imputation_stats, profiles, cell_provenance, cluster_decisions):
        connection.execute(sa.delete(table).where(table.c.tenant_id == tenant, table.c.job_id == job))
    connection.execute(sa.delete(jobs).where(jobs.c.tenant_id == tenant, jobs.c.id == job))
    return True


def decide(connection: sa.Connection, tenant: str, job: UUID, cluster: str, decision: str, actor: str) -> None:
    """Keep what somebody decided about a cluster; the last decision counts."""
    _jobs.get(connection, tenant, job)
    values = {"decision": decision, "actor": actor, "decided_at": now()}
    statement = insert(connection, cluster_decisions).values(tenant_id=tenant, job_id=job, cluster=cluster, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "job_id", "cluster"], set_=values))


def decisions(connection: sa.Connection, tenant: str, job: UUID, clusters: Sequence[str]) -> dict[str, str]:
    """What was decided about these clusters."""
    t = cluster_decisions.c
    asked = sa.select(t.cluster, t.decision).where(t.tenant_id == tenant, t.job_id == job, t.cluster.in_(clusters))
    return {row.cluster: row.decision for row in connection.execute(asked)}


def audit_page(connection: sa.Connection, tenant: str, subject: str | None, after: int, limit: int) -> list[Mapping[str, Any]]:
    """Entries of the audit log in their order, behind the number `after`; of one subject where it is given."""
    t = audit_logs.c
    asked = sa.select(t.seq, t.id, t.at, t.actor, t.action, t.subject, t.detail, t.hash).where(t.tenant_id == tenant, t.seq > after)
    asked = asked.where(t.subject == subject) if subject else asked
    return [dict(row) for row in connection.execute(asked.order_by(t.seq).limit(limit)).mappings()]
