"""The tables of the first version."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from data_sanitizer.storage._types import Key128, Moment

revision = "0001"
down_revision = None

NAME: Final = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
KEY: Final = Key128()
MOMENT: Final = Moment()
TABLES: Final = (
    "tenants",
    "api_keys",
    "audit_logs",
    "datasets",
    "deliveries",
    "jobs",
    "job_chunks",
    "outbox",
    "imputation_stats",
    "profiles",
    "cell_provenance",
    "row_hashes",
    "lsh_samples",
    "entities",
    "entity_events",
    "must_not_link",
)  # in the order in which they are made


def upgrade() -> None:
    """Make the tables."""
    _tenants()
    _api_keys()
    _audit_logs()
    _datasets()
    _deliveries()
    _jobs()
    _job_chunks()
    _outbox()
    _imputation_stats()
    _profiles()
    _cell_provenance()
    _row_hashes()
    _lsh_samples()
    _entities()
    _entity_events()
    _must_not_link()


def downgrade() -> None:
    """Drop them, the youngest first."""
    for table in reversed(TABLES):
        op.drop_table(table)


def _tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.CheckConstraint("tenant_id <> '*' and length(tenant_id) > 0", name="ck_tenants_a_name"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_tenants"),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("not_before", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_api_keys_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_api_keys"),
    )


def _audit_logs() -> None:
    op.create_table(
        "audit_logs",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_audit_logs_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "seq", name="pk_audit_logs"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_audit_logs_tenant_id_id"),
    )


def _datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_datasets_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_datasets"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_datasets_tenant_id_name"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "dataset_id"], ["datasets.tenant_id", "datasets.id"], name="fk_deliveries_datasets"),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "no", name="pk_deliveries"),
        sa.UniqueConstraint("tenant_id", "dataset_id", "fingerprint", name="uq_deliveries_tenant_id_dataset_id_fingerprint"),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("crash_count", sa.Integer(), nullable=False),
        sa.Column("run_after", MOMENT, nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("heartbeat_at", MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("request_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("degraded", sa.JSON(), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "state <> 'running' or (lease_token is not null and lease_until is not null)", name="ck_jobs_running_has_a_lease"
        ),
        sa.CheckConstraint("state in ('accepted', 'queued', 'running', 'success', 'failed', 'cancelled', 'dead')", name="ck_jobs_a_state"),
        sa.ForeignKeyConstraint(["tenant_id", "dataset_id"], ["datasets.tenant_id", "datasets.id"], name="fk_jobs_datasets"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_jobs_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_jobs"),
        sa.UniqueConstraint("tenant_id", "idempotency_key", name="uq_jobs_tenant_id_idempotency_key"),
    )
    op.create_index("ix_jobs_queue", "jobs", ["state", "lane", "priority", "run_after"], unique=False)


def _job_chunks() -> None:
    op.create_table(
        "job_chunks",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_row", sa.BigInteger(), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("artifact_sha256", sa.String(length=64), nullable=True),
        sa.Column("stats", sa.JSON(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], name="fk_job_chunks_jobs"),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "stage", "no", name="pk_job_chunks"),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.String(length=63), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("run_after", MOMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("done_at", MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_outbox_tenants"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_waiting", "outbox", ["topic", "done_at", "run_after"], unique=False)


def _imputation_stats() -> None:
    op.create_table(
        "imputation_stats",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("stats", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], name="fk_imputation_stats_jobs"),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "column_name", name="pk_imputation_stats"),
    )


def _profiles() -> None:
    op.create_table(
        "profiles",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], name="fk_profiles_jobs"),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", name="pk_profiles"),
    )


def _cell_provenance() -> None:
    op.create_table(
        "cell_provenance",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("chunk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("row", sa.BigInteger(), nullable=True),
        sa.Column("column", sa.Text(), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("confidence", sa.REAL(), nullable=True),
        sa.Column("sensitive", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "chunk", "no", name="pk_cell_provenance"),
    )
    op.create_index("ix_cell_provenance_cell", "cell_provenance", ["tenant_id", "job_id", "row"], unique=False)


def _row_hashes() -> None:
    op.create_table(
        "row_hashes",
        sa.Column("hash", KEY, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("entity_id", KEY, nullable=True),
        sa.Column("first_delivery", sa.Integer(), nullable=False),
        sa.Column("first_row", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash", "dataset_id", "tenant_id", name="pk_row_hashes"),
        sqlite_with_rowid=False,
    )


def _lsh_samples() -> None:
    op.create_table(
        "lsh_samples",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_no", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chunk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("signatures", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "delivery_no", "chunk", "part", name="pk_lsh_samples"),
    )


def _entities() -> None:
    op.create_table(
        "entities",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("first_delivery", sa.Integer(), nullable=False),
        sa.Column("merged_into", KEY, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id", "dataset_id"], ["datasets.tenant_id", "datasets.id"], name="fk_entities_datasets"),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "id", name="pk_entities"),
    )


def _entity_events() -> None:
    op.create_table(
        "entity_events",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("entity_id", KEY, nullable=False),
        sa.Column("other_id", KEY, nullable=True),
        sa.Column("delivery_no", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("kind in ('created', 'merged', 'split')", name="ck_entity_events_a_kind"),
        sa.ForeignKeyConstraint(["tenant_id", "dataset_id"], ["datasets.tenant_id", "datasets.id"], name="fk_entity_events_datasets"),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "no", name="pk_entity_events"),
    )


def _must_not_link() -> None:
    op.create_table(
        "must_not_link",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("one", KEY, nullable=False),
        sa.Column("other", KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("one < other", name="ck_must_not_link_ordered"),
        sa.ForeignKeyConstraint(["tenant_id", "dataset_id"], ["datasets.tenant_id", "datasets.id"], name="fk_must_not_link_datasets"),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "one", "other", name="pk_must_not_link"),
    )
