"""Statements that forget: a tenant, a dataset, a delivery or a job, in every table, in pieces that may be done again after a kill.

What a thing is named by goes last, so that who asks again finds it and goes on. The audit log is not touched: it keeps that something was
forgotten, when and by whom, and how much it was; never what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

import sqlalchemy as sa

from data_sanitizer.errors import NotStored
from data_sanitizer.storage import _outbox
from data_sanitizer.storage._statements import as_keys, changed
from data_sanitizer.storage._types import now
from data_sanitizer.storage._vectors import DELETE, Run
from data_sanitizer.storage.schema import (  # fmt: skip
    api_keys,
    cell_provenance,
    cluster_decisions,
    datasets,
    deliveries,
    delivery_rows,
    entities,
    entity_events,
    imputation_stats,
    job_chunks,
    jobs,
    lsh_samples,
    must_not_link,
    outbox,
    profiles,
    rate_windows,
    row_hashes,
    tallies,
    tenants,
    webhooks,
)

PIECE: Final = 50_000  # rows that one transaction deletes
_OF_JOB: Final = (cell_provenance, imputation_stats, profiles, job_chunks, cluster_decisions)
_OF_DATASET: Final = (delivery_rows, row_hashes, lsh_samples, must_not_link, entity_events, entities, deliveries)
_OF_TENANT: Final = (*_OF_JOB, jobs, *_OF_DATASET, datasets, api_keys, outbox, rate_windows, tallies, webhooks)
_NAMES: Final = (jobs, deliveries, datasets)  # by which the rest is found
_NUMBERS: Final = {row_hashes: "first_delivery", entities: "first_delivery", deliveries: "no"}  # else delivery_no


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be forgotten of a tenant: a delivery of a dataset, the dataset, a job, or everything where nothing is named."""

    tenant: str
    dataset: UUID | None = None
    delivery: int | None = None
    job: UUID | None = None

    @property
    def kind(self) -> str:
        """tenant, dataset, delivery or job."""
        return "job" if self.job else "delivery" if self.delivery is not None else "dataset" if self.dataset else "tenant"

    @property
    def subject(self) -> str:
        """By identifiers alone: names may tell something."""
        return {"job": f"job {self.job}", "delivery": f"delivery {self.dataset}/{self.delivery}", "dataset": f"dataset {self.dataset}",
                "tenant": "tenant"}[self.kind]  # fmt: skip


class Log(Protocol):
    """Adds to the audit log, in the transaction of what it tells."""

    def __call__(self, connection: sa.Connection, event: UUID, action: str, subject: str, detail: Mapping[str, Any]) -> None:
        """The same event again changes nothing."""
        ...


def forget(run: Run, target: Target, log: Log, vectors: bool) -> dict[str, int]:
    """Forget it in the database, piece by piece; gives the rows of each table that this call deleted. Raises NotStored where it is not
    there. With `vectors` the shared index is told through the outbox.
    """
    told, deleted = {"kind": target.kind}, Counter[str]()

    def begin(connection: sa.Connection) -> None:
        if not lock(connection, target):
            raise NotStored(what=f"The {target.kind}", tenant=target.tenant)
        log(connection, event(connection, target, "begun"), "forgetting", target.subject, told)
        deleted[must_not_link.name] = begun(connection, target)

    def end(connection: sa.Connection) -> None:
        if not lock(connection, target):
            raise NotStored(what=f"The {target.kind}", tenant=target.tenant)
        done, gone = event(connection, target, "done"), datasets_of(connection, target) if vectors else []
        for table, where in held(target):
            deleted[table.name] += changed(connection, sa.delete(table).where(*where))
        for dataset in gone:
            _outbox.put(connection, target.tenant, DELETE, {"dataset": str(dataset), "delivery": target.delivery})
        counts = {name: n for name, n in sorted(deleted.items()) if n}
        log(connection, done, "forgotten", target.subject, {**told, "rows": counts})

    run(target.tenant, begin)
    for table, where in held(target):
        while table not in _NAMES and (count := run(target.tenant, partial(piece, table=table, where=where))):
            deleted[table.name] += count
    run(target.tenant, end)
    return {name: n for name, n in sorted(deleted.items()) if n}


def event(connection: sa.Connection, target: Target, stage: str) -> UUID:
    """The identifier of an audit entry: the same for the same thing, so that it is told once, however often it is begun."""
    born = sa.select(tenants.c.created_at).where(tenants.c.tenant_id == target.tenant)
    if target.delivery is not None:
        d = deliveries.c
        born = sa.select(d.created_at).where(d.tenant_id == target.tenant, d.dataset_id == target.dataset, d.no == target.delivery)
    return uuid5(NAMESPACE_URL, f"{target.tenant}/{target.subject}/{stage}/{connection.execute(born).scalar()}")


def held(target: Target) -> Iterator[tuple[sa.Table, list[sa.ColumnElement[bool]]]]:
    """The tables that hold something of it, with the condition of those rows: what others point to comes last."""
    if target.job:
        yield from _jobs_where(target.tenant, jobs.c.id == target.job)
    elif target.delivery is not None:
        for table in (t for t in _OF_DATASET if t is not must_not_link):
            number = table.c[_NUMBERS.get(table, "delivery_no")]
            yield table, [table.c.tenant_id == target.tenant, table.c.dataset_id == target.dataset, number == target.delivery]
    elif target.dataset:
        yield from _jobs_where(target.tenant, jobs.c.dataset_id == target.dataset)
        for table in _OF_DATASET:
            yield table, [table.c.tenant_id == target.tenant, table.c.dataset_id == target.dataset]
        yield datasets, [datasets.c.tenant_id == target.tenant, datasets.c.id == target.dataset]
    else:
        for table in _OF_TENANT:
            yield table, [table.c.tenant_id == target.tenant]


def _jobs_where(tenant: str, which: sa.ColumnElement[bool]) -> Iterator[tuple[sa.Table, list[sa.ColumnElement[bool]]]]:
    chosen = sa.select(jobs.c.id).where(jobs.c.tenant_id == tenant, which)
    for table in _OF_JOB:
        yield table, [table.c.tenant_id == tenant, table.c.job_id.in_(chosen)]
    yield jobs, [jobs.c.tenant_id == tenant, which]


def counted(connection: sa.Connection, target: Target) -> dict[str, int]:
    """Table -> rows that would be forgotten, for the tables that have some."""
    counts = {t.name: connection.execute(sa.select(sa.func.count()).select_from(t).where(*where)).scalar_one() for t, where in held(target)}
    counts[must_not_link.name] = counts.get(must_not_link.name, 0) + len(_decisions(connection, target))
    return {name: int(n) for name, n in sorted(counts.items()) if n}


def piece(connection: sa.Connection, table: sa.Table, where: list[sa.ColumnElement[bool]], size: int = PIECE) -> int:
    """Delete the first `size` rows in the order of the key; gives how many there were."""
    key = list(table.primary_key.columns)
    end = connection.execute(sa.select(*key).where(*where).order_by(*key).offset(size).limit(1)).first()
    if end is not None:
        upto = sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(end, key, strict=True)))
        where = [*where, sa.tuple_(*key) < upto]
    return changed(connection, sa.delete(table).where(*where))


def begun(connection: sa.Connection, target: Target) -> int:
    """From here on nothing new is stored for a tenant that is forgotten; gives how many decisions about a delivery's rows it deleted."""
    if target.kind == "tenant":
        gone = sa.update(tenants).where(tenants.c.tenant_id == target.tenant, tenants.c.deleted_at.is_(None))
        connection.execute(gone.values(deleted_at=now()))
    m, known = must_not_link.c, _decisions(connection, target)
    for one, other in known:
        here = (m.tenant_id == target.tenant, m.dataset_id == target.dataset, m.one == one, m.other == other)
        connection.execute(sa.delete(must_not_link).where(*here))
    return len(known)


def _decisions(connection: sa.Connection, target: Target) -> list[tuple[bytes, bytes]]:
    """The decisions of persons about rows that the delivery was the first to bring."""
    if target.kind != "delivery":
        return []
    m, r = must_not_link.c, delivery_rows.c
    pairs = connection.execute(sa.select(m.one, m.other).where(m.tenant_id == target.tenant, m.dataset_id == target.dataset)).all()
    if not pairs:
        return []
    here = (r.tenant_id == target.tenant, r.dataset_id == target.dataset, r.delivery_no == target.delivery)
    packed = connection.execute(sa.select(r.hashes).where(*here)).scalars()
    keys = {key.astype(">u8").tobytes() for part in packed for key in as_keys(part)}
    return [(one, other) for one, other in pairs if one in keys or other in keys]


def lock(connection: sa.Connection, target: Target) -> bool:
    """Wait for who writes to it, and keep others from it; whether it is there."""
    asked: sa.Select[Any] = sa.select(tenants.c.tenant_id).where(tenants.c.tenant_id == target.tenant)
    if target.job:
        asked = sa.select(jobs.c.id).where(jobs.c.tenant_id == target.tenant, jobs.c.id == target.job)
    elif target.dataset:
        asked = sa.select(datasets.c.id).where(datasets.c.tenant_id == target.tenant, datasets.c.id == target.dataset)
    return connection.execute(asked.with_for_update()).first() is not None


def datasets_of(connection: sa.Connection, target: Target) -> list[UUID]:
    """The datasets of which signatures have to go."""
    if target.kind == "tenant":
        return list(connection.execute(sa.select(datasets.c.id).where(datasets.c.tenant_id == target.tenant)).scalars())
    return [target.dataset] if target.dataset else []


def expired(connection: sa.Connection, tenant: str, seconds: float, dataset: UUID | None) -> list[Target]:
    """Deliveries and finished jobs older than that, by the clock of the database; of one dataset where it is named."""
    d, j = deliveries.c, jobs.c
    old = sa.select(d.dataset_id, d.no).where(d.tenant_id == tenant, d.created_at < now(-seconds)).order_by(d.dataset_id, d.no)
    done = sa.select(j.id).where(j.tenant_id == tenant, j.finished_at < now(-seconds)).order_by(j.id)
    if dataset:
        old, done = old.where(d.dataset_id == dataset), done.where(j.dataset_id == dataset)
    return [
        *(Target(tenant, dataset=row.dataset_id, delivery=row.no) for row in connection.execute(old)),
        *(Target(tenant, job=job) for job in connection.execute(done).scalars()),
    ]
