"""What a dataset keeps of its deliveries: their account, their profile, and the rows that each was the first to bring."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NAME: Final = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")
TENANT: Final = "tenant_id = (select current_setting('app.tenant_id', true))"
COLUMNS: Final[dict[str, Any]] = {
    "counts": sa.JSON(),
    "inputs": sa.JSON(),
    "place": sa.Text(),
    "manifest_sha256": sa.String(64),
    "profile": sa.JSON(),
    "created_entities": sa.LargeBinary(),
}


def upgrade() -> None:
    """Add columns that may be empty, and the table of packed rows."""
    for name, kind in COLUMNS.items():
        op.add_column("deliveries", sa.Column(name, kind))
    op.create_table(
        "delivery_rows",
        sa.Column("tenant_id", NAME, nullable=False),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_no", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("part", sa.Integer(), nullable=False, autoincrement=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("hashes", "told", "cells", "entities")),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", "delivery_no", "part", name="pk_delivery_rows"),
    )
    if op.get_bind().dialect.name == "sqlite":
        return
    for name in ("hashes", "told", "cells", "entities"):  # they are packed already
        op.execute(f"alter table delivery_rows alter column {name} set storage external")
    op.execute("alter table delivery_rows enable row level security")
    op.execute("alter table delivery_rows force row level security")
    op.execute(f"create policy tenant on delivery_rows using ({TENANT}) with check ({TENANT})")


def downgrade() -> None:
    """Take them away; what was delivered is forgotten."""
    op.drop_table("delivery_rows")
    for name in reversed(COLUMNS):
        op.drop_column("deliveries", name)
