"""Whether an agent is there, as it was told last, and by which key it knows the manager."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables what this version needs."""
    # not as a batch: that makes the table anew in SQLite, which refuses to drop one that others refer to
    op.add_column("agents", sa.Column("online", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("agents", sa.Column("manager_key", sa.String(), server_default="", nullable=False))
