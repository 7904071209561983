"""Statements on API keys: a digest of each secret, never the secret, and what the key may do and until when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from data_sanitizer.errors import NotStored
from data_sanitizer.storage._statements import changed
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import api_keys, tenants

_EVERY = 60  # seconds: how exact `last_used_at` is, so that a busy key does not write at each request


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it is stored; `usable` says whether it may be used at this moment of the database's clock."""

    tenant_id: str
    id: str
    digest: bytes
    label: str
    scopes: list[str]
    created_by: str
    created_at: dt.datetime
    not_before: dt.datetime | None
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None
    revoked_at: dt.datetime | None
    usable: bool


_T = api_keys.c
_ALIVE = sa.and_(
    _T.revoked_at.is_(None),
    sa.or_(_T.not_before.is_(None), _T.not_before <= now()),
    sa.or_(_T.expires_at.is_(None), _T.expires_at > now()),
)
_COLUMNS = [_T[f.name] for f in fields(ApiKey) if f.name != "usable"]


def create(connection: sa.Connection, tenant: str, values: Mapping[str, Any], lifetime: float | None, delay: float | None) -> None:
    """Store a key; it begins and ends so many seconds from now, where that is given."""
    clock = {"created_at": now(), "expires_at": now(lifetime) if lifetime else None, "not_before": now(delay) if delay else None}
    connection.execute(sa.insert(api_keys).values(tenant_id=tenant, **values, **clock))


def find(connection: sa.Connection, tenant: str, key: str) -> ApiKey | None:
    """One key of a tenant that was not deleted; None where there is none."""
    of = sa.and_(tenants.c.tenant_id == _T.tenant_id, tenants.c.deleted_at.is_(None))
    asked = sa.select(*_COLUMNS, _ALIVE.label("usable")).join_from(api_keys, tenants, of)
    row = connection.execute(asked.where(_T.tenant_id == tenant, _T.id == key)).first()
    return _key(row) if row else None


def _key(row: Sequence[Any]) -> ApiKey:
    return ApiKey(*(*row[:-1], bool(row[-1])))


def all_of(connection: sa.Connection, tenant: str) -> list[ApiKey]:
    """All keys of a tenant, the oldest first."""
    asked = sa.select(*_COLUMNS, _ALIVE.label("usable")).where(_T.tenant_id == tenant).order_by(_T.created_at, _T.id)
    return [_key(row) for row in connection.execute(asked)]


def revoke(connection: sa.Connection, tenant: str, key: str) -> None:
    """End a key now; one that is revoked already stays so. Raises NotStored where there is none."""
    here = [_T.tenant_id == tenant, _T.id == key]
    if not changed(connection, sa.update(api_keys).where(*here).values(revoked_at=sa.func.coalesce(_T.revoked_at, now()))):
        raise NotStored(what=f"Key {key}", tenant=tenant)


def touch(connection: sa.Connection, tenant: str, key: str) -> None:
    """Note that a key was used, once a minute."""
    stale = sa.or_(_T.last_used_at.is_(None), _T.last_used_at < now(-_EVERY))
    connection.execute(sa.update(api_keys).where(_T.tenant_id == tenant, _T.id == key, stale).values(last_used_at=now()))
