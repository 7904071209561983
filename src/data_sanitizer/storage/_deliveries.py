"""Statements on deliveries: what each was, which rows it was the first to bring, and which entity every row is.

Rows are kept packed, some thousand in one row of the table: they are only ever read together, and a million is stored in a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import sqlalchemy as sa

from data_sanitizer.errors import DatasetBusy, NotStored
from data_sanitizer.model import DatasetState, Delivery, EntityEvent, Key, NewDelivery, RowPart, Split
from data_sanitizer.storage._statements import as_bytes, as_keys
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import datasets, deliveries, delivery_rows, entity_events, must_not_link

_D, _R, _E, _M = deliveries.c, delivery_rows.c, entity_events.c, must_not_link.c
SYSTEM: Final = "data-sanitizer"  # who made an event that no person made
_OF_DELIVERY: Final = (_D.no, _D.name, _D.fingerprint, _D.row_count, _D.counts, _D.inputs, _D.place, _D.manifest_sha256, _D.created_at)


def find_dataset(connection: sa.Connection, tenant: str, name: str) -> UUID:
    """The dataset of this name; raises NotStored."""
    asked = sa.select(datasets.c.id).where(datasets.c.tenant_id == tenant, datasets.c.name == name)
    found: UUID | None = connection.execute(asked).scalar()
    if found is None:
        raise NotStored(what=f"Dataset {name}", tenant=tenant)
    return found


def names(connection: sa.Connection, tenant: str) -> list[tuple[str, UUID]]:
    """All datasets of a tenant by name."""
    asked = sa.select(datasets.c.name, datasets.c.id).where(datasets.c.tenant_id == tenant).order_by(datasets.c.name)
    return [(name, dataset) for name, dataset in connection.execute(asked)]


def listed(connection: sa.Connection, tenant: str, dataset: UUID) -> list[Delivery]:
    """All deliveries of a dataset, in order."""
    rows = connection.execute(sa.select(*_OF_DELIVERY).where(_D.tenant_id == tenant, _D.dataset_id == dataset).order_by(_D.no))
    return [
        Delivery(r.no, r.name, r.fingerprint, r.row_count or 0, r.counts or {}, tuple(r.inputs or ()), r.place or "",
                 r.manifest_sha256 or "", r.created_at)
        for r in rows
    ]  # fmt: skip


def profile(connection: sa.Connection, tenant: str, dataset: UUID, no: int) -> dict[str, Any]:
    """The profile of a delivery; raises NotStored where there is no such delivery, or it has none."""
    asked = sa.select(_D.profile).where(_D.tenant_id == tenant, _D.dataset_id == dataset, _D.no == no)
    found: dict[str, Any] | None = connection.execute(asked).scalar()
    if found is None:
        raise NotStored(what=f"The profile of delivery {no}", tenant=tenant)
    return found


def knowledge(connection: sa.Connection, tenant: str, dataset: UUID, before: int) -> bytes:
    """What the last delivery before one that learned anything has learned; empty where none did."""
    asked = sa.select(_D.knowledge).where(_D.tenant_id == tenant, _D.dataset_id == dataset, _D.no < before, _D.knowledge.is_not(None))
    found: bytes | None = connection.execute(asked.order_by(_D.no.desc()).limit(1)).scalar()
    return found or b""


def seen(connection: sa.Connection, tenant: str, dataset: UUID, no: int) -> bytes:
    """Which rows of earlier deliveries one had too; empty where it did not keep that."""
    asked = sa.select(_D.seen).where(_D.tenant_id == tenant, _D.dataset_id == dataset, _D.no == no)
    return connection.execute(asked).scalar() or b""


def signed_columns(connection: sa.Connection, tenant: str, dataset: UUID, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns that are signed in a dataset: the given ones, where none were given before."""
    here = (datasets.c.tenant_id == tenant, datasets.c.id == dataset)
    options = connection.execute(sa.select(datasets.c.options).where(*here).with_for_update(key_share=True)).scalar()
    if options is None:
        raise NotStored(what=f"Dataset {dataset}", tenant=tenant)
    if "signed" not in options:
        options = {**options, "signed": list(columns)}
        connection.execute(sa.update(datasets).where(*here).values(options=options))
    return tuple(options["signed"])


def state(connection: sa.Connection, tenant: str, dataset: UUID) -> DatasetState:
    """What the dataset is now; raises NotStored."""
    asked = sa.select(datasets.c.name, datasets.c.options).where(datasets.c.tenant_id == tenant, datasets.c.id == dataset)
    found = connection.execute(asked).first()
    if found is None:
        raise NotStored(what=f"Dataset {dataset}", tenant=tenant)
    pairs = connection.execute(
        sa.select(_M.one, _M.other).where(_M.tenant_id == tenant, _M.dataset_id == dataset).order_by(_M.one, _M.other)
    )
    apart = as_keys(b"".join(key for pair in pairs for key in pair)).reshape(-1, 2, 2)
    made = listed(connection, tenant, dataset)
    return DatasetState(tenant, found.name, found.options.get("rules", {}), tuple(made), apart, _version(connection, tenant, dataset))


def _version(connection: sa.Connection, tenant: str, dataset: UUID) -> tuple[int, int]:
    newest = connection.execute(sa.select(sa.func.max(_D.no)).where(_D.tenant_id == tenant, _D.dataset_id == dataset)).scalar()
    event = connection.execute(sa.select(sa.func.max(_E.no)).where(_E.tenant_id == tenant, _E.dataset_id == dataset)).scalar()
    return newest or 0, event or 0


def parts(connection: sa.Connection, tenant: str, dataset: UUID, delivery: int | None = None) -> list[RowPart]:
    """All parts of a dataset, or of one delivery, in order, without their cells."""
    asked = sa.select(_R.delivery_no, _R.part, _R.hashes, _R.told, _R.entities).where(_R.tenant_id == tenant, _R.dataset_id == dataset)
    if delivery is not None:
        asked = asked.where(_R.delivery_no == delivery)
    rows = connection.execute(asked.order_by(_R.delivery_no, _R.part))
    return [RowPart(r.delivery_no, r.part, as_keys(r.hashes), r.told, as_keys(r.entities)) for r in rows]


def cells(connection: sa.Connection, tenant: str, dataset: UUID, delivery: int, part: int) -> bytes:
    """The cells of one part; raises NotStored where the delivery was deleted meanwhile."""
    asked = sa.select(_R.cells).where(_R.tenant_id == tenant, _R.dataset_id == dataset, _R.delivery_no == delivery, _R.part == part)
    found: bytes | None = connection.execute(asked).scalar()
    if found is None:
        raise NotStored(what=f"Part {part} of delivery {delivery}", tenant=tenant)
    return found


def commit(connection: sa.Connection, tenant: str, dataset: UUID, new: NewDelivery, rows: Iterator[RowPart],
           version: tuple[int, int]) -> None:  # fmt: skip
    """Store a delivery, all of it or nothing; raises DatasetBusy where the dataset is no more what it was at `version`.

    One that is stored already is left as it is: a connection can be lost after the database took it, and before it said so.
    """
    if _is_stored(connection, tenant, dataset, new.delivery):
        return
    _lock(connection, tenant, dataset, version)
    here = {"tenant_id": tenant, "dataset_id": dataset}
    if version[0] == 0:
        change = sa.update(datasets).where(datasets.c.tenant_id == tenant, datasets.c.id == dataset)
        connection.execute(change.values(options={"rules": dict(new.rules)}))
    made = new.delivery
    connection.execute(sa.insert(deliveries).values(
        **here, no=made.no, name=made.name, fingerprint=made.fingerprint, row_count=made.row_count, counts=dict(made.counts),
        inputs=[dict(i) for i in made.inputs], place=made.place, manifest_sha256=made.manifest_sha256, profile=dict(new.profile),
        created_entities=as_bytes(new.created).tobytes(), created_at=now(), knowledge=new.knowledge,
        seen=new.seen,
    ))  # fmt: skip
    if new.knowledge is not None:
        _forget_knowledge(connection, tenant, dataset)
    for part in rows:
        packed = {"hashes": as_bytes(part.keys).tobytes(), "entities": as_bytes(part.entities).tobytes()}
        values = {"delivery_no": made.no, "part": part.part, "told": part.told, "cells": part.cells, **packed}
        connection.execute(sa.insert(delivery_rows).values(**here, **values))
    move(connection, tenant, dataset, new.changed)
    tell(connection, tenant, dataset, new.events)


def _is_stored(connection: sa.Connection, tenant: str, dataset: UUID, made: Delivery) -> bool:
    here = (_D.tenant_id == tenant, _D.dataset_id == dataset, _D.no == made.no)
    asked = sa.select(_D.no).where(*here, _D.fingerprint == made.fingerprint, _D.manifest_sha256 == made.manifest_sha256)
    return connection.execute(asked).first() is not None


def _forget_knowledge(connection: sa.Connection, tenant: str, dataset: UUID) -> None:
    """Keep what the last two deliveries learned: the last one, when it is made again, needs what was known before it."""
    here = (_D.tenant_id == tenant, _D.dataset_id == dataset, _D.knowledge.is_not(None))
    kept = connection.scalars(sa.select(_D.no).where(*here).order_by(_D.no.desc()).limit(2)).all()
    connection.execute(sa.update(deliveries).where(*here, _D.no < min(kept)).values(knowledge=None))


def _lock(connection: sa.Connection, tenant: str, dataset: UUID, version: tuple[int, int]) -> None:
    """One writer of a dataset at a time, and only one who has seen what the last one wrote."""
    here = sa.select(datasets.c.name).where(datasets.c.tenant_id == tenant, datasets.c.id == dataset)
    name = connection.execute(here.with_for_update(key_share=True)).scalar()
    if name is None:
        raise NotStored(what=f"Dataset {dataset}", tenant=tenant)
    if _version(connection, tenant, dataset) != version:
        raise DatasetBusy(dataset=name)


def move(connection: sa.Connection, tenant: str, dataset: UUID, changed: Mapping[tuple[int, int], Key]) -> None:
    """Write other entities for the rows of some parts."""
    for (delivery, part), entities in sorted(changed.items()):
        here = (_R.tenant_id == tenant, _R.dataset_id == dataset, _R.delivery_no == delivery, _R.part == part)
        connection.execute(sa.update(delivery_rows).where(*here).values(entities=as_bytes(entities).tobytes()))


def tell(connection: sa.Connection, tenant: str, dataset: UUID, events: tuple[EntityEvent, ...]) -> None:
    """Write events, numbered on from the last one."""
    last = _version(connection, tenant, dataset)[1]
    values = [
        {"tenant_id": tenant, "dataset_id": dataset, "no": last + 1 + k, "kind": e.kind, "entity_id": bytes.fromhex(e.entity),
         "other_id": bytes.fromhex(e.other) if e.other else None, "delivery_no": e.delivery, "actor": e.actor, "evidence": dict(e.evidence)}
        for k, e in enumerate(events)
    ]  # fmt: skip
    if values:
        connection.execute(sa.insert(entity_events).values(created_at=now()), values)


def separate(connection: sa.Connection, tenant: str, dataset: UUID, one: Key, other: Key, reason: str) -> None:
    """Write that each row of `one` is not the entity of any row of `other`."""
    pairs = {tuple(sorted((a.tobytes(), b.tobytes()))) for a in as_bytes(one) for b in as_bytes(other)}
    known = {
        tuple(pair) for pair in connection.execute(sa.select(_M.one, _M.other).where(_M.tenant_id == tenant, _M.dataset_id == dataset))
    }
    here = {"tenant_id": tenant, "dataset_id": dataset, "reason": reason}
    if new := sorted(pairs - known):
        values = [{**here, "one": a, "other": b} for a, b in new]
        connection.execute(sa.insert(must_not_link).values(created_at=now()), values)


def split(connection: sa.Connection, tenant: str, dataset: UUID, decision: Split, version: tuple[int, int]) -> None:
    """Store a person's decision that rows are not one entity."""
    _lock(connection, tenant, dataset, version)
    move(connection, tenant, dataset, decision.changed)
    tell(connection, tenant, dataset, decision.events)
    for (one, other), event in zip(decision.apart, decision.events, strict=True):
        separate(connection, tenant, dataset, one, other, event.actor)


def events(connection: sa.Connection, tenant: str, dataset: UUID) -> Iterator[EntityEvent]:
    """All events of a dataset: for each delivery the entities that it created, then what else happened, then decisions after it."""
    asked = sa.select(_E.no, _E.kind, _E.entity_id, _E.other_id, _E.delivery_no, _E.actor, _E.evidence)
    told = connection.execute(asked.where(_E.tenant_id == tenant, _E.dataset_id == dataset).order_by(_E.no)).all()
    made = connection.execute(sa.select(_D.no, _D.created_entities).where(_D.tenant_id == tenant, _D.dataset_id == dataset).order_by(_D.no))
    for no, packed in made:
        for key in np.frombuffer(packed or b"", "V16"):
            yield EntityEvent(0, "created", key.tobytes().hex(), None, no, SYSTEM, {})
        yield from (_event(row) for row in told if row.delivery_no == no)


def _event(row: Any) -> EntityEvent:
    other = row.other_id.hex() if row.other_id is not None else None
    return EntityEvent(row.no, row.kind, row.entity_id.hex(), other, row.delivery_no, row.actor, row.evidence)
