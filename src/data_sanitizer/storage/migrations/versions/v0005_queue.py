"""What the queue needs beside the leases: whose turn it is, what a job gave, and what was counted."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from data_sanitizer.storage._types import Moment

revision = "0005"
down_revision = "0003"

NAME: Final = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
SEEN: Final = "tenant_id = (select current_setting('app.tenant_id', true)) or (select current_setting('app.tenant_id', true)) = '*'"


def upgrade() -> None:
    """Columns that an older version ignores, and a table."""
    op.add_column("tenants", sa.Column("served_at", Moment()))
    op.add_column("jobs", sa.Column("retries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("result", sa.JSON()))
    op.add_column("jobs", sa.Column("started_at", Moment()))
    op.create_table(
        "tallies", sa.Column("tenant_id", NAME, nullable=False), sa.Column("name", sa.String(63), nullable=False),
        sa.Column("label", sa.String(63), nullable=False), sa.Column("total", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "label", name="pk_tallies"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name="fk_tallies_tenants"),
    )  # fmt: skip
    if op.get_bind().dialect.name == "postgresql":
        op.execute("alter table tallies enable row level security")
        op.execute("alter table tallies force row level security")
        op.execute(f"create policy tenant on tallies using ({SEEN}) with check ({SEEN})")


def downgrade() -> None:
    """Take them away."""
    op.drop_table("tallies")
    for column in ("started_at", "result", "retries"):
        op.drop_column("jobs", column)
    op.drop_column("tenants", "served_at")
