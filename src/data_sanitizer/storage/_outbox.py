"""Statements on the outbox: messages to what is outside the database, written in the transaction of what they tell of.

A message is passed on at least once, in any order; who takes it must not mind one that comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer.storage._statements import new_id
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import outbox

_LONGEST_WAIT = 300.0  # seconds between two attempts


def put(connection: sa.Connection, tenant: str, topic: str, payload: Mapping[str, Any]) -> None:
    """Write a message."""
    clock = {"run_after": now(), "created_at": now()}
    connection.execute(sa.insert(outbox).values(tenant_id=tenant, id=new_id(), topic=topic, payload=payload, attempts=0, **clock))


def waiting(connection: sa.Connection, tenant: str, topics: Sequence[str], *, due: bool, limit: int = 1000) -> list[Any]:
    """Messages that were not passed on yet, the oldest first; with `due` only those whose turn it is."""
    t = outbox.c
    asked = sa.select(t.id, t.topic, t.payload, t.attempts).where(t.tenant_id == tenant, t.topic.in_(topics), t.done_at.is_(None))
    asked = asked.where(t.run_after <= now()) if due else asked
    return list(connection.execute(asked.order_by(t.created_at, t.id).limit(limit)))


def done(connection: sa.Connection, tenant: str, messages: Sequence[UUID]) -> None:
    """Mark messages as passed on."""
    connection.execute(sa.update(outbox).where(outbox.c.tenant_id == tenant, outbox.c.id.in_(messages)).values(done_at=now()))


def failed(connection: sa.Connection, tenant: str, message: UUID, attempts: int, error: str) -> None:
    """Mark a message to be tried again, later each time."""
    wait = min(2.0**attempts, _LONGEST_WAIT)
    change = sa.update(outbox).where(outbox.c.tenant_id == tenant, outbox.c.id == message)
    connection.execute(change.values(attempts=attempts + 1, run_after=now(wait), error=error))
