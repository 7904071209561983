"""What a delivery learned about its dataset, for deliveries that cannot look at all rows again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the column."""
    op.add_column("deliveries", sa.Column("knowledge", sa.LargeBinary))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("deliveries", "knowledge")
