"""Statements on the queue: the row of a job is its place in it, and a lease on the row is the right to work on the job.

A lease ends by the clock of the database. Its token is new with every claim, and every effect of a worker asks for it in the same
statement: a worker that was stopped, cut off or taken for dead finds that nothing it does has an effect any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa

from data_sanitizer.errors import LeaseLost, NotStored
from data_sanitizer.storage import _jobs, _outbox, _tallies
from data_sanitizer.storage._jobs import COLUMNS, Job
from data_sanitizer.storage._statements import changed, insert
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import job_chunks, jobs, tenants

MOST_CRASHES: Final = 3  # in a row, without anything done in between
FINISHED: Final = "job.finished"  # topic of the messages about jobs that ended


@dataclass(frozen=True, slots=True)
class Chunk:
    """One part of a stage that was done: where what it gave is kept is told by `key`, and `sha256` is of those bytes."""

    stage: str
    no: int
    key: str
    sha256: str
    rows: int


def due(connection: sa.Connection, lanes: Sequence[str]) -> bool:
    """Whether some job of these lanes waits for a worker."""
    return connection.execute(sa.select(jobs.c.id).where(_waits(lanes)).limit(1)).first() is not None


def claim(connection: sa.Connection, lanes: Sequence[str], seconds: float, most: int) -> Job | None:
    """Take the lease of the job whose turn it is; None where there is none.

    The tenant with the fewest running jobs comes first, then the one that waited longest; of its jobs the one with the highest priority,
    then the oldest. A tenant with `most` running jobs waits, and so does a job while another one delivers to the same dataset. A job whose
    lease ended is claimed like one that waits, and counts a crash.
    """
    if connection.dialect.name == "postgresql":  # one claim at a time, so that `most` holds: it takes a millisecond, a job takes seconds
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended("claim", 0))))
    found = connection.execute(_next(lanes, most)).first()
    if found is None:
        return None
    lost = found.state == "running"
    lease = {"state": "running", "attempt": jobs.c.attempt + 1, "lease_token": uuid4(), "lease_until": now(seconds), "heartbeat_at": now(),
             "started_at": sa.func.coalesce(jobs.c.started_at, now()), "crash_count": jobs.c.crash_count + int(lost),
             "updated_at": now()}  # fmt: skip
    here = (jobs.c.tenant_id == found.tenant_id, jobs.c.id == found.id)
    connection.execute(sa.update(jobs).where(*here).values(**lease))
    connection.execute(sa.update(tenants).where(tenants.c.tenant_id == found.tenant_id).values(served_at=now()))
    if lost:
        _tallies.add(connection, found.tenant_id, "leases_lost")
    return Job(*connection.execute(sa.select(*COLUMNS).where(*here)).one())


def _waits(lanes: Sequence[str]) -> Any:
    queued = sa.and_(jobs.c.state == "queued", jobs.c.run_after <= now())
    return sa.and_(jobs.c.lane.in_(lanes), sa.or_(queued, sa.and_(jobs.c.state == "running", jobs.c.lease_until <= now())))


def _next(lanes: Sequence[str], most: int) -> Any:
    live = (
        sa.select(jobs.c.tenant_id, sa.func.count().label("running"))
        .where(jobs.c.state == "running", jobs.c.lease_until > now())
        .group_by(jobs.c.tenant_id).subquery()
    )  # fmt: skip
    running = sa.func.coalesce(live.c.running, 0)
    turn = (running, tenants.c.served_at.asc().nulls_first(), tenants.c.tenant_id, jobs.c.priority.desc(), jobs.c.run_after, jobs.c.id)
    joined = jobs.join(tenants, tenants.c.tenant_id == jobs.c.tenant_id).outerjoin(live, live.c.tenant_id == jobs.c.tenant_id)
    asked = sa.select(jobs.c.tenant_id, jobs.c.id, jobs.c.state).select_from(joined)
    return asked.where(_waits(lanes), running < most, _alone()).order_by(*turn).limit(1).with_for_update(skip_locked=True, of=jobs)


def _alone() -> Any:
    """No other job is delivering to the dataset of this one: it would find a dataset that has changed, and have worked for nothing."""
    other = jobs.alias("other")
    same = sa.and_(other.c.tenant_id == jobs.c.tenant_id, other.c.dataset_id == jobs.c.dataset_id, other.c.id != jobs.c.id)
    live = sa.and_(other.c.state == "running", other.c.lease_until > now())
    return sa.or_(jobs.c.dataset_id.is_(None), ~sa.exists().where(same, live).correlate(jobs))


def heartbeat(connection: sa.Connection, tenant: str, job: UUID, token: UUID, seconds: float, progress: Mapping[str, Any] | None) -> bool:
    """Prolong the lease; gives whether the job is to be cancelled. Raises LeaseLost where another worker has taken it."""
    told = {"progress": progress} if progress else {}
    mine = (*_row(tenant, job), jobs.c.lease_token == token, jobs.c.state == "running")
    change = sa.update(jobs).where(*mine).values(lease_until=now(seconds), heartbeat_at=now(), **told)
    found = connection.execute(change.returning(jobs.c.cancel_requested)).scalar_one_or_none()
    if found is None:
        raise LeaseLost(job=job)
    return bool(found)


def record(connection: sa.Connection, tenant: str, job: UUID, token: UUID, chunk: Chunk) -> None:
    """Store that a chunk is done, once; what crashed before is forgotten, since the job gets on."""
    _fenced(connection, tenant, job, token, {"crash_count": 0, "retries": 0})
    stored = {"tenant_id": tenant, "job_id": job, "stage": chunk.stage, "no": chunk.no, "row_count": chunk.rows, "state": "done",
              "artifact_sha256": chunk.sha256, "stats": {"key": chunk.key}, "updated_at": now()}  # fmt: skip
    put = insert(connection, job_chunks).values(stored)
    new = {name: put.excluded[name] for name in ("row_count", "artifact_sha256", "stats", "updated_at")}
    connection.execute(put.on_conflict_do_update(index_elements=["tenant_id", "job_id", "stage", "no"], set_=new))


def chunks(connection: sa.Connection, tenant: str, job: UUID) -> list[Chunk]:
    """All chunks of a job that are done, in order."""
    t = job_chunks.c
    asked = sa.select(t.stage, t.no, t.stats, t.artifact_sha256, t.row_count).where(t.tenant_id == tenant, t.job_id == job)
    found = connection.execute(asked.where(t.state == "done").order_by(t.stage, t.no))
    return [Chunk(stage, no, stats["key"], sha256, rows) for stage, no, stats, sha256, rows in found]


def advance(connection: sa.Connection, tenant: str, job: UUID, token: UUID, stage: str, done: int) -> None:
    """Go on to the next stage, where `done` chunks of the present one are stored; raises LeaseLost, and NotStored where some are not."""
    present = connection.execute(sa.select(jobs.c.stage).where(*_row(tenant, job))).scalar_one()
    if present == stage:
        return
    t = job_chunks.c
    there = (t.tenant_id == tenant, t.job_id == job, t.stage == present, t.state == "done")
    if (found := connection.execute(sa.select(sa.func.count()).where(*there)).scalar_one()) < done:
        raise NotStored(what=f"{done - found} chunks of stage {present}", tenant=tenant)
    _fenced(connection, tenant, job, token, {"stage": stage})


def give_back(
    connection: sa.Connection, tenant: str, job: UUID, token: UUID, *, wait: float = 0, error: Mapping[str, Any] | None = None,
    crashed: bool = False,
) -> None:  # fmt: skip
    """End the lease so that any worker may claim the job after `wait` seconds; with an error it counts as a retry, or as a crash."""
    counted = jobs.c.crash_count if crashed else jobs.c.retries
    told = {"error": error, counted.name: counted + 1} if error else {}
    _fenced(connection, tenant, job, token, {"state": "queued", "run_after": now(wait), **told, "lease_token": None, "lease_until": None})
    if error:
        _tallies.add(connection, tenant, "crashes" if crashed else "retries")
    _jobs.announce(connection, job)


def finish(connection: sa.Connection, tenant: str, job: UUID, token: UUID, state: str, told: Mapping[str, Any]) -> str:
    """End the job, with a message to the outbox; gives the state that it has now: cancelled, where that was asked for before.

    Raises LeaseLost where the lease does not hold any more; the same end again is no error.
    """
    unless = [jobs.c.cancel_requested.is_(False)] if state == "success" else []
    change = {**told, "state": state, "finished_at": now(), "updated_at": now()}
    if changed(connection, sa.update(jobs).where(*_held(tenant, job, token), *unless).values(**change)):
        _ended(connection, tenant, job, state)
        return state
    found = _jobs.get(connection, tenant, job)
    if found.lease_token != token:
        raise LeaseLost(job=job)
    if found.state == "running" and found.cancel_requested and unless:
        return finish(connection, tenant, job, token, "cancelled", {})
    if found.state not in (state, "cancelled"):
        raise LeaseLost(job=job)
    return found.state


def request_cancel(connection: sa.Connection, tenant: str, job: UUID) -> str:
    """End a job that no worker holds, ask the worker of another to; gives its state. A job at its end stays as it is."""
    waiting = (*_row(tenant, job), jobs.c.state.in_(("accepted", "queued")))
    change = {"state": "cancelled", "cancel_requested": True, "finished_at": now(), "updated_at": now()}
    if changed(connection, sa.update(jobs).where(*waiting).values(**change)):
        _ended(connection, tenant, job, "cancelled")
        return "cancelled"
    running = (*_row(tenant, job), jobs.c.state == "running")
    connection.execute(sa.update(jobs).where(*running).values(cancel_requested=True, updated_at=now()))
    return _jobs.get(connection, tenant, job).state


def abandon(connection: sa.Connection, tenant: str, seconds: float, error: Mapping[str, Any]) -> list[UUID]:
    """End the jobs whose upload was begun so long ago and never completed; gives them."""
    old = (jobs.c.tenant_id == tenant, jobs.c.state == "accepted", jobs.c.created_at < now(-seconds))
    change = sa.update(jobs).where(*old).values(state="failed", error=error, finished_at=now(), updated_at=now())
    found = list(connection.execute(change.returning(jobs.c.id)).scalars())
    for job in found:
        _ended(connection, tenant, job, "failed")
    return found


def places(connection: sa.Connection, tenant: str) -> dict[UUID, tuple[str, str | None]]:
    """The state of every job of a tenant, and the prefix of its result where it has one."""
    found = connection.execute(sa.select(jobs.c.id, jobs.c.state, jobs.c.result).where(jobs.c.tenant_id == tenant))
    return {job: (state, result["prefix"] if result else None) for job, state, result in found}


def _ended(connection: sa.Connection, tenant: str, job: UUID, state: str) -> None:
    _outbox.put(connection, tenant, FINISHED, {"event": f"job.{state}", "job_id": str(job), "state": state})
    row = connection.execute(sa.select(*COLUMNS).where(*_row(tenant, job))).one()
    _tallies.ended(connection, Job(*row))


def _fenced(connection: sa.Connection, tenant: str, job: UUID, token: UUID, values: Mapping[str, Any]) -> None:
    if not changed(connection, sa.update(jobs).where(*_held(tenant, job, token)).values(**values, updated_at=now())):
        raise LeaseLost(job=job)


def _row(tenant: str, job: UUID) -> tuple[Any, ...]:
    return jobs.c.tenant_id == tenant, jobs.c.id == job


def _held(tenant: str, job: UUID, token: UUID) -> tuple[Any, ...]:
    return (*_row(tenant, job), jobs.c.lease_token == token, jobs.c.lease_until > now(), jobs.c.state == "running")
