"""The relational schema, the same on Postgres and SQLite. Every key holds the tenant.

The tables that grow with the rows of customers (`row_hashes`, `cell_provenance`, `lsh_samples`) have no foreign keys: a check for each of
a million rows costs more than storing it. What they belong to is locked in the same transaction instead, once for each batch.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import (  # fmt: skip
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from data_sanitizer.storage._types import Key128, Moment

EVERY_TENANT: Final = "*"  # what a worker says instead of a tenant; it opens the tables of `FOR_WORKERS` and no other
FOR_WORKERS: Final = ("jobs", "outbox", "tenants", "tallies")
STATES: Final = ("accepted", "queued", "running", "success", "failed", "cancelled", "dead")
FINAL_STATES: Final = ("success", "failed", "cancelled", "dead")

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                       "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(referred_table_name)s",
                       "pk": "pk_%(table_name)s"}
)  # fmt: skip

Name = String(63).with_variant(String(63, collation="C"), "postgresql")  # byte order: the same on every machine, and faster
Json = sa.JSON()  # on Postgres `json` and not `jsonb`, which refuses the character U+0000 that a cell may hold


def _tenant() -> Column[Any]:
    return Column("tenant_id", Name, primary_key=True)


def _dataset() -> Column[Any]:
    return Column("dataset_id", Uuid, primary_key=True)


def _of(table: str, *columns: str, on: tuple[str, ...] = ()) -> ForeignKeyConstraint:
    """A foreign key that carries the tenant; what it points to has a key of the tenant and `on` (the same names, where not given)."""
    return ForeignKeyConstraint(["tenant_id", *columns], [f"{table}.{c}" for c in ("tenant_id", *(on or columns))])


def _of_tenant() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"])


tenants = Table(
    "tenants", metadata,
    _tenant(),
    Column("created_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Column("served_at", Moment),
    CheckConstraint("tenant_id <> '*' and length(tenant_id) > 0", name="a_name"),
)  # fmt: skip

datasets = Table(
    "datasets", metadata,
    _tenant(),
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("tenant_id", "name"),
    _of_tenant(),
)  # fmt: skip

deliveries = Table(
    "deliveries", metadata,
    _tenant(), _dataset(),
    Column("no", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("row_count", BigInteger),
    Column("counts", Json),
    Column("inputs", Json),
    Column("place", Text),
    Column("manifest_sha256", String(64)),
    Column("profile", Json),
    Column("created_entities", LargeBinary),
    Column("created_at", Moment, nullable=False),
    Column("knowledge", LargeBinary),
    Column("seen", LargeBinary),
    UniqueConstraint("tenant_id", "dataset_id", "fingerprint"),
    _of("datasets", "dataset_id", on=("id",)),
)  # fmt: skip

# One row holds thousands of rows of a delivery, packed: those it was the first to bring, ascending by key.
delivery_rows = Table(
    "delivery_rows", metadata,
    _tenant(), _dataset(),
    Column("delivery_no", Integer, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    Column("told", LargeBinary, nullable=False),
    Column("cells", LargeBinary, nullable=False),
    Column("entities", LargeBinary, nullable=False),
)  # fmt: skip

jobs = Table(
    "jobs", metadata,
    _tenant(),
    Column("id", Uuid, primary_key=True),
    Column("dataset_id", Uuid),
    Column("state", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("lane", String(16), nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("crash_count", Integer, nullable=False),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("run_after", Moment, nullable=False),
    Column("lease_token", Uuid),
    Column("lease_until", Moment),
    Column("heartbeat_at", Moment),
    Column("cancel_requested", Boolean, nullable=False),
    Column("idempotency_key", String(255)),
    Column("request_fingerprint", String(64)),
    Column("source", Json, nullable=False),
    Column("input_bytes", BigInteger),
    Column("options", Json, nullable=False),
    Column("progress", Json, nullable=False),
    Column("error", Json),
    Column("degraded", Json, nullable=False),
    Column("manifest_sha256", String(64)),
    Column("result", Json),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("updated_at", Moment, nullable=False),
    Column("finished_at", Moment),
    UniqueConstraint("tenant_id", "idempotency_key"),
    CheckConstraint("state in ('accepted', 'queued', 'running', 'success', 'failed', 'cancelled', 'dead')", name="a_state"),
    CheckConstraint("state <> 'running' or (lease_token is not null and lease_until is not null)", name="running_has_a_lease"),
    _of_tenant(),
    _of("datasets", "dataset_id", on=("id",)),
)  # fmt: skip
Index("ix_jobs_queue", jobs.c.state, jobs.c.lane, jobs.c.priority, jobs.c.run_after)

job_chunks = Table(
    "job_chunks", metadata,
    _tenant(),
    Column("job_id", Uuid, primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("no", Integer, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger),
    Column("row_count", BigInteger),
    Column("state", String(16), nullable=False),
    Column("artifact_sha256", String(64)),
    Column("stats", Json, nullable=False),
    Column("updated_at", Moment, nullable=False),
    _of("jobs", "job_id", on=("id",)),
)  # fmt: skip

# What was counted, in the transaction of what it counts: every process can tell it, and a crash loses none of it.
tallies = Table(
    "tallies", metadata,
    _tenant(),
    Column("name", String(63), primary_key=True),
    Column("label", String(63), primary_key=True),
    Column("total", Double, nullable=False),
    _of_tenant(),
)  # fmt: skip

# The hash first: it is what differs, so that keys are compared in one step. Tenant and dataset first take half as long again.
row_hashes = Table(
    "row_hashes", metadata,
    Column("hash", Key128, primary_key=True),
    _dataset(), _tenant(),
    Column("entity_id", Key128),
    Column("first_delivery", Integer, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

entities = Table(
    "entities", metadata,
    _tenant(), _dataset(),
    Column("id", Key128, primary_key=True),
    Column("first_delivery", Integer, nullable=False),
    Column("merged_into", Key128),
    _of("datasets", "dataset_id", on=("id",)),
)  # fmt: skip

entity_events = Table(
    "entity_events", metadata,
    _tenant(), _dataset(),
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("entity_id", Key128, nullable=False),
    Column("other_id", Key128),
    Column("delivery_no", Integer),
    Column("actor", Text, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("kind in ('created', 'merged', 'split')", name="a_kind"),
    _of("datasets", "dataset_id", on=("id",)),
)  # fmt: skip

must_not_link = Table(
    "must_not_link", metadata,
    _tenant(), _dataset(),
    Column("one", Key128, primary_key=True),
    Column("other", Key128, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("one < other", name="ordered"),
    _of("datasets", "dataset_id", on=("id",)),
)  # fmt: skip

imputation_stats = Table(
    "imputation_stats", metadata,
    _tenant(),
    Column("job_id", Uuid, primary_key=True),
    Column("column_name", Text, primary_key=True),
    Column("stats", Json, nullable=False),
    _of("jobs", "job_id", on=("id",)),
)  # fmt: skip

profiles = Table(
    "profiles", metadata,
    _tenant(),
    Column("job_id", Uuid, primary_key=True),
    Column("profile", Json, nullable=False),
    _of("jobs", "job_id", on=("id",)),
)  # fmt: skip

cell_provenance = Table(
    "cell_provenance", metadata,
    _tenant(),
    Column("job_id", Uuid, primary_key=True),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("no", Integer, primary_key=True, autoincrement=False),
    Column("source", Text),
    Column("row", BigInteger),
    Column("column", Text),
    Column("action", String(16), nullable=False),
    Column("old", Text),
    Column("new", Text),
    Column("rule", Text, nullable=False),
    Column("rule_version", Integer),
    Column("evidence", Text),
    Column("confidence", REAL()),
    Column("sensitive", Boolean, nullable=False),
)  # fmt: skip
Index("ix_cell_provenance_cell", cell_provenance.c.tenant_id, cell_provenance.c.job_id, cell_provenance.c.row)

audit_logs = Table(
    "audit_logs", metadata,
    _tenant(),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Uuid, nullable=False),
    Column("at", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", LargeBinary(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("mac", LargeBinary(32)),
    UniqueConstraint("tenant_id", "id"),
    _of_tenant(),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata,
    _tenant(),
    Column("id", String(32), primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("label", Text, nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("not_before", Moment),
    Column("expires_at", Moment),
    Column("last_used_at", Moment),
    Column("revoked_at", Moment),
    _of_tenant(),
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    _tenant(),
    Column("id", Uuid, primary_key=True),
    Column("topic", String(63), nullable=False),
    Column("payload", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("run_after", Moment, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("done_at", Moment),
    Column("error", Text),
    _of_tenant(),
)  # fmt: skip
Index("ix_outbox_waiting", outbox.c.topic, outbox.c.done_at, outbox.c.run_after)

# One row holds the signatures of thousands of rows, packed: they are only ever read together, to build an index.
lsh_samples = Table(
    "lsh_samples", metadata,
    _tenant(), _dataset(),
    Column("delivery_no", Integer, primary_key=True, autoincrement=False),
    Column("chunk", Integer, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
    Column("signatures", LargeBinary, nullable=False),
)  # fmt: skip

cluster_decisions = Table(
    "cluster_decisions", metadata,
    _tenant(),
    Column("job_id", Uuid, primary_key=True),
    Column("cluster", String(63), primary_key=True),
    Column("decision", String(31), nullable=False),
    Column("actor", Text, nullable=False),
    Column("decided_at", Moment, nullable=False),
    _of("jobs", "job_id", on=("id",)),
)  # fmt: skip

webhooks = Table(
    "webhooks", metadata,
    _tenant(),
    Column("id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    _of_tenant(),
)  # fmt: skip

# Subjects are keys of tenants, and addresses, which belong to no tenant: so there is no foreign key.
rate_windows = Table(
    "rate_windows", metadata,
    _tenant(),
    Column("subject", String(63), primary_key=True),
    Column("second", BigInteger, primary_key=True, autoincrement=False),
    Column("hits", Integer, nullable=False),
)  # fmt: skip
