"""Statements on the audit log: one chain of hashes a tenant, each signed with a key that the database does not know.

An entry's hash covers its content and the hash before it, so nothing can be changed, taken out or put in without breaking the chain;
its MAC, made with the key, cannot be made anew by whoever may write to the database. What a chain cannot show is that its end was cut
off, or that all of it was replaced by somebody who has the key: keep `head` elsewhere from time to time, and verify against it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer.errors import AuditBroken
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import audit_logs

_START: Final = bytes(32)
_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last entry of a chain: kept elsewhere, it shows whether entries were cut off."""

    seq: int
    hash: str  # hexadecimal


@dataclass(frozen=True, slots=True)
class AuditState:
    """A chain that was verified: how many entries, its head, and how many of them carry no MAC."""

    entries: int
    head: AuditHead
    unsigned: int


def append(connection: sa.Connection, tenant: str, event: UUID, key: bytes | None, told: Mapping[str, Any]) -> AuditHead:
    """Add an entry at the end; the same event again changes nothing. `told`: actor, action, subject, detail."""
    if connection.dialect.name == "postgresql":  # one at a time for each tenant, so that the chain has one end
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"audit {tenant}", 0))))
    t = audit_logs.c
    stored = connection.execute(sa.select(t.seq, t.hash).where(t.tenant_id == tenant, t.id == event)).first()
    if stored:
        return AuditHead(stored.seq, stored.hash.hex())
    last = connection.execute(sa.select(t.seq, t.hash).where(t.tenant_id == tenant).order_by(t.seq.desc()).limit(1)).first()
    moment = connection.execute(sa.select(now())).scalar_one()
    entry = {
        "tenant_id": tenant, "seq": last.seq + 1 if last else 1, "id": event, "at": moment.isoformat(), "actor": told["actor"],
        "action": told["action"], "subject": told["subject"], "previous": last.hash if last else _START,
        "detail": json.dumps(told["detail"], sort_keys=True, separators=(",", ":"), allow_nan=False),
    }  # fmt: skip
    digest = _digest(entry)
    connection.execute(sa.insert(audit_logs).values(**entry, hash=digest, mac=_mac(key, digest)))
    return AuditHead(int(entry["seq"]), digest.hex())


def _digest(entry: Mapping[str, Any]) -> bytes:
    told = {name: str(entry[name]) for name in ("tenant_id", "seq", "id", "at", "actor", "action", "subject", "detail")}
    return hashlib.sha256(bytes(entry["previous"]) + json.dumps(told, sort_keys=True).encode()).digest()


def _mac(key: bytes | None, digest: bytes) -> bytes | None:
    return hmac.new(key, digest, hashlib.sha256).digest() if key else None


def entries(connection: sa.Connection, tenant: str) -> Iterable[Mapping[str, Any]]:
    """All entries of a tenant, in order."""
    found = connection.execute(sa.select(audit_logs).where(audit_logs.c.tenant_id == tenant).order_by(audit_logs.c.seq))
    for part in found.mappings().partitions(_BATCH):
        yield from map(dict, part)


def verify(tenant: str, chain: Iterable[Mapping[str, Any]], key: bytes | None, anchor: AuditHead | None) -> AuditState:
    """Follow the chain; raises AuditBroken at the first entry that was changed, removed or inserted."""
    count = unsigned = 0
    previous = _START
    anchored = anchor is None or anchor.seq == 0
    waiting = iter(chain)
    entry = next(waiting, None)
    while entry is not None:
        after = next(waiting, None)
        if fault := _fault(entry, after, count + 1, previous, key):
            raise AuditBroken(tenant=tenant, entry=count + 1, what=fault)
        count, previous, unsigned = count + 1, bytes(entry["hash"]), unsigned + (entry["mac"] is None)
        if anchor and anchor.seq == count:
            anchored = anchor.hash == previous.hex()
            if not anchored:
                raise AuditBroken(tenant=tenant, entry=count, what="replaced, or one before it: it is not what the anchor says")
        entry = after
    if not anchored:
        raise AuditBroken(tenant=tenant, entry=count + 1, what="removed, with all that followed: the anchor knows more entries")
    return AuditState(count, AuditHead(count, previous.hex()), unsigned)


def _fault(entry: Mapping[str, Any], after: Mapping[str, Any] | None, seq: int, previous: bytes, key: bytes | None) -> str | None:
    """What is wrong with an entry that should have this number and follow this hash."""
    digest = _digest(entry)
    sound = digest == bytes(entry["hash"]) and _signed(entry, key, digest)
    follows = bytes(entry["previous"]) == previous
    if entry["seq"] == seq and sound and follows:
        return None
    if entry["seq"] > seq and not follows:
        return "removed"
    if after is not None and bytes(after["previous"]) == previous and not (sound and follows and entry["seq"] == seq):
        return "inserted"
    if after is None and follows and digest == bytes(entry["hash"]):
        return "inserted"
    return "changed"


def _signed(entry: Mapping[str, Any], key: bytes | None, digest: bytes) -> bool:
    """With the key at hand every entry must carry its MAC."""
    expected = _mac(key, digest)
    return expected is None or hmac.compare_digest(expected, bytes(entry["mac"] or b""))
