"""Statements on counts: each is raised in the transaction of what it counts, so that no crash loses or doubles one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from data_sanitizer.storage._statements import insert
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import jobs, tallies

if TYPE_CHECKING:
    from data_sanitizer.storage._jobs import Job

BOUNDS: Final = (1, 2, 5, 10, 30, 60, 300, 1800, 7200)  # seconds, of the histogram of durations


def add(connection: sa.Connection, tenant: str, name: str, label: str = "", by: float = 1.0) -> None:
    """Raise a count."""
    put = insert(connection, tallies).values(tenant_id=tenant, name=name, label=label, total=by)
    more = {"total": tallies.c.total + put.excluded.total}
    connection.execute(put.on_conflict_do_update(index_elements=["tenant_id", "name", "label"], set_=more))


def ended(connection: sa.Connection, job: Job) -> None:
    """Count a job that has just ended: its state, its rows, its duration, what was degraded, the seconds of its stages."""
    add(connection, job.tenant_id, "jobs", job.state)
    if job.result:
        add(connection, job.tenant_id, "rows", by=job.result["rows"]["in"])
        for stage, seconds in sorted(job.result.get("seconds", {}).items()):
            add(connection, job.tenant_id, "stage_seconds", stage, seconds)
            add(connection, job.tenant_id, "stage_count", stage)
    for part in sorted(job.degraded):
        add(connection, job.tenant_id, "degraded", part)
    if job.started_at and job.finished_at:
        took = (job.finished_at - job.started_at).total_seconds()
        add(connection, job.tenant_id, "duration_sum", by=took)
        add(connection, job.tenant_id, "duration_le", next((str(bound) for bound in BOUNDS if took <= bound), "+Inf"))


def totals(connection: sa.Connection) -> list[Any]:
    """All counts: tenant, name, label, total."""
    t = tallies.c
    return list(connection.execute(sa.select(t.tenant_id, t.name, t.label, t.total).order_by(t.tenant_id, t.name, t.label)))


def queue(connection: sa.Connection) -> list[Any]:
    """The queue as it is: by lane and state how many jobs, how many with an ended lease, and the seconds since the oldest was due."""
    age = sa.func.extract("epoch", now()) - sa.func.extract("epoch", sa.func.min(jobs.c.run_after))
    if connection.dialect.name == "sqlite":
        age = (sa.func.julianday(now()) - sa.func.julianday(sa.func.min(jobs.c.run_after))) * 86400
    lost = sa.func.sum(sa.case((jobs.c.lease_until <= now(), 1), else_=0))
    asked = sa.select(jobs.c.lane, jobs.c.state, sa.func.count(), lost, age).where(jobs.c.state.in_(("accepted", "queued", "running")))
    return list(connection.execute(asked.group_by(jobs.c.lane, jobs.c.state).order_by(jobs.c.lane, jobs.c.state)))
