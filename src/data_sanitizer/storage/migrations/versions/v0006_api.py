"""What the API keeps: decisions about clusters, addresses of webhooks, counters of rates, and the size of a job's input."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from data_sanitizer.storage._types import Moment

revision = "0006"
down_revision = "0005"

NAME: Final = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
TENANT: Final = "tenant_id = (select current_setting('app.tenant_id', true))"
TABLES: Final = ("cluster_decisions", "webhooks", "rate_windows")


def upgrade() -> None:
    """Make the tables and the column; keep tenants apart."""
    op.create_table(
        "cluster_decisions",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("cluster", sa.String(63), nullable=False),
        sa.Column("decision", sa.String(31), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("decided_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", "cluster", name="pk_cluster_decisions"),
        sa.ForeignKeyConstraint(["tenant_id", "job_id"], ["jobs.tenant_id", "jobs.id"], name="fk_cluster_decisions_jobs"),
    )
    op.create_table(
        "webhooks",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_webhooks"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_webhooks_tenants"),
    )
    op.create_table(
        "rate_windows",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("subject", sa.String(63), nullable=False),
        sa.Column("second", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("hits", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject", "second", name="pk_rate_windows"),
    )
    op.add_column("jobs", sa.Column("input_bytes", sa.BigInteger))
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"alter table {table} enable row level security")
            op.execute(f"alter table {table} force row level security")
            op.execute(f"create policy tenant on {table} using ({TENANT}) with check ({TENANT})")


def downgrade() -> None:
    """Drop them."""
    op.drop_column("jobs", "input_bytes")
    for table in TABLES:
        op.drop_table(table)
