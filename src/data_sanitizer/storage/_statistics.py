"""Statements on what pass 1 learned of a job, for the workers of pass 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from data_sanitizer.storage._statements import escape, insert, unescape
from data_sanitizer.storage.schema import imputation_stats


def store(connection: sa.Connection, tenant: str, job: UUID, stats: Mapping[str, Any]) -> None:
    """Store statistics by column; those that were stored for a column before are replaced."""
    rows = [{"tenant_id": tenant, "job_id": job, "column_name": escape(name), "stats": told} for name, told in sorted(stats.items())]
    if rows:
        statement = insert(connection, imputation_stats)
        keys = ["tenant_id", "job_id", "column_name"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_={"stats": statement.excluded.stats}), rows)


def get(connection: sa.Connection, tenant: str, job: UUID) -> dict[str, Any]:
    """The statistics of all columns, by name."""
    t = imputation_stats.c
    rows = connection.execute(sa.select(t.column_name, t.stats).where(t.tenant_id == tenant, t.job_id == job).order_by(t.column_name))
    return {unescape(name): stats for name, stats in rows}
