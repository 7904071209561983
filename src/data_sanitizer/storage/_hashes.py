"""Statements on the hashes of rows: which rows of a dataset were seen before, and where first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from data_sanitizer.errors import NotStored
from data_sanitizer.ports import Database
from data_sanitizer.storage._statements import Keys, as_bytes, changed
from data_sanitizer.storage._types import Key128
from data_sanitizer.storage.schema import datasets, row_hashes


def store(
    database: Database, connection: sa.Connection, tenant: str, dataset: UUID, delivery: int, hashes: Keys, rows: NDArray[np.int64],
    entities: Keys | None,
) -> int:  # fmt: skip
    """Store hashes that are new; gives how many. Of equal ones the first delivery and row is kept, in whatever order they come."""
    order = np.lexsort((rows, hashes[:, 1], hashes[:, 0]))  # sorted, so that the index is filled from one end to the other
    first = np.ones(len(order), np.bool_)
    first[1:] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
    order = order[first]
    columns = {"hash": as_bytes(hashes[order]), "first_row": rows[order]}
    if entities is not None:
        columns["entity_id"] = as_bytes(entities[order])
    stage = database.stage(connection, row_hashes, columns)
    _look_up(connection)
    _lock(connection, tenant, dataset)
    entity = stage.c.entity_id if entities is not None else sa.null().cast(Key128)
    constants: tuple[Any, ...] = (
        sa.bindparam("dataset", dataset, sa.Uuid),
        sa.bindparam("tenant", tenant, sa.String),
        sa.bindparam("delivery", delivery),
    )
    new = sa.select(stage.c.hash, *constants[:2], entity, constants[2], stage.c.first_row).where(
        ~sa.exists().where(_same(stage, tenant, dataset))
    )
    names = ["hash", "dataset_id", "tenant_id", "entity_id", "first_delivery", "first_row"]
    stored = changed(connection, sa.insert(row_hashes).from_select(names, new))
    if stored < len(order):
        _move_back(connection, tenant, dataset, delivery, stage)
    return stored


def _look_up(connection: sa.Connection) -> None:
    """Until Postgres has statistics of a new table it takes a dataset for a single row, and compares every hash with all of its hashes
    instead of looking it up: seconds for some thousand. Without a place to keep those rows it never does.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.set_config("enable_material", "off", True)))


def _lock(connection: sa.Connection, tenant: str, dataset: UUID) -> None:
    """One writer of a dataset at a time. So what is not there when it looks is not there when it writes, and a plain INSERT will do:
    on Postgres ON CONFLICT takes twice as long. It is also what a foreign key would see to: the dataset is there, and stays.
    """
    here = sa.select(datasets.c.id).where(datasets.c.tenant_id == tenant, datasets.c.id == dataset)
    if connection.execute(here.with_for_update(key_share=True)).first() is None:
        raise NotStored(what=f"Dataset {dataset}", tenant=tenant)


def _same(stage: sa.Table, tenant: str, dataset: UUID) -> sa.ColumnElement[bool]:
    t = row_hashes.c
    return sa.and_(t.hash == stage.c.hash, t.dataset_id == dataset, t.tenant_id == tenant)


def _move_back(connection: sa.Connection, tenant: str, dataset: UUID, delivery: int, stage: sa.Table) -> None:
    """Where a hash was stored with a later delivery or row, this one is its first."""
    t = row_hashes.c
    later = sa.or_(t.first_delivery > delivery, sa.and_(t.first_delivery == delivery, t.first_row > stage.c.first_row))
    change = sa.update(row_hashes).values(first_delivery=delivery, first_row=stage.c.first_row)
    connection.execute(change.where(_same(stage, tenant, dataset), later))


def seen(database: Database, connection: sa.Connection, tenant: str, dataset: UUID, hashes: Keys, before: int | None) -> NDArray[np.bool_]:
    """Which hashes are stored, from a delivery before `before` where that is given; in the order they are asked for."""
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    stage = database.stage(connection, row_hashes, {"hash": as_bytes(hashes[order])})
    _look_up(connection)
    t = row_hashes.c
    known = sa.select(stage.c.place).join(row_hashes, _same(stage, tenant, dataset))
    if before is not None:
        known = known.where(t.first_delivery < before)
    found = np.zeros(len(hashes), np.bool_)
    for part in connection.execute(known).partitions(100_000):
        found[order[np.fromiter((row[0] for row in part), np.int64, len(part))]] = True
    return found
