"""Statements on the addresses that are told when a job ends, and on the messages that wait for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer.errors import NotStored
from data_sanitizer.storage._leases import FINISHED
from data_sanitizer.storage._statements import changed
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import outbox, webhooks

_T = webhooks.c
_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be told: its id stays the same however often it is sent."""

    id: UUID
    payload: Mapping[str, Any]
    attempts: int
    created_at: dt.datetime
    age: float  # seconds


def add(connection: sa.Connection, tenant: str, webhook: UUID, url: str, by: str) -> None:
    """Keep an address."""
    connection.execute(sa.insert(webhooks).values(tenant_id=tenant, id=webhook, url=url, created_by=by, created_at=now()))


def all_of(connection: sa.Connection, tenant: str) -> list[tuple[UUID, str]]:
    """All addresses of a tenant."""
    return [(row.id, row.url) for row in connection.execute(sa.select(_T.id, _T.url).where(_T.tenant_id == tenant).order_by(_T.id))]


def delete(connection: sa.Connection, tenant: str, webhook: UUID) -> None:
    """Forget an address."""
    if not changed(connection, sa.delete(webhooks).where(_T.tenant_id == tenant, _T.id == webhook)):
        raise NotStored(what=f"Webhook {webhook}", tenant=tenant)


def tenants_due(connection: sa.Connection) -> list[str]:
    """Tenants that have messages whose turn it is; for all tenants at once."""
    t = outbox.c
    asked = sa.select(t.tenant_id).where(t.topic == FINISHED, t.done_at.is_(None), t.run_after <= now()).distinct()
    return list(connection.execute(asked.order_by(t.tenant_id)).scalars())


def due(connection: sa.Connection, tenant: str) -> list[Message]:
    """Messages of a tenant whose turn it is."""
    t = outbox.c
    moment = connection.execute(sa.select(now())).scalar_one()
    asked = sa.select(t.id, t.payload, t.attempts, t.created_at).where(t.tenant_id == tenant, t.topic == FINISHED, t.done_at.is_(None))
    rows = connection.execute(asked.where(t.run_after <= now()).order_by(t.created_at, t.id).limit(_AT_A_TIME))
    return [Message(*row, (moment - row.created_at).total_seconds()) for row in rows]
