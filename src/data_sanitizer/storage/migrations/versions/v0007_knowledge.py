"""What a delivery learned about its dataset, for those that cannot look at all rows again, and which earlier rows it had too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("deliveries", sa.Column("knowledge", sa.LargeBinary))
    op.add_column("deliveries", sa.Column("seen", sa.LargeBinary))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("deliveries", "seen")
    op.drop_column("deliveries", "knowledge")
