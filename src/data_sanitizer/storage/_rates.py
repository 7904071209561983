"""Statements on rates: how often a subject (a key, an address) did something in the last minute, counted by the second."""

from __future__ import annotations

import sqlalchemy as sa

from data_sanitizer.storage._statements import insert
from data_sanitizer.storage._types import now
from data_sanitizer.storage.schema import rate_windows


def hit(connection: sa.Connection, tenant: str, subject: str, most: int, seconds: int, count: int = 1) -> tuple[int, int]:
    """Count one more, unless there were `most` already in the last seconds; gives how many there were, and seconds until one is free.

    A `count` of 0 only asks. The window moves: the sum over the last seconds decides, so that no two windows add up to twice the limit.
    """
    if connection.dialect.name == "postgresql":  # one at a time for each subject, or two would both count the last free place
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"rate {tenant} {subject}", 0))))
    t = rate_windows.c
    here = [t.tenant_id == tenant, t.subject == subject]
    second = int(connection.execute(sa.select(now())).scalar_one().timestamp())
    rows = connection.execute(sa.select(t.second, t.hits).where(*here, t.second > second - seconds).order_by(t.second)).all()
    used = sum(row.hits for row in rows)
    if used + max(count, 1) > most:
        return used, max(1, rows[0].second + seconds - second if rows else seconds)
    if count:
        connection.execute(sa.delete(rate_windows).where(*here, t.second <= second - seconds))
        more = insert(connection, rate_windows).values(tenant_id=tenant, subject=subject, second=second, hits=count)
        added = {"hits": rate_windows.c.hits + count}
        connection.execute(more.on_conflict_do_update(index_elements=["tenant_id", "subject", "second"], set_=added))
    return used, 0
