"""How many people the channel's policy has come to ask for while a rollout waits, and since when."""

import sqlalchemy as sa
from alembic import op

from tidegate.manager.store.columns import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables what this version needs."""
    # not as a batch: that makes the table anew in SQLite, which refuses to drop one that others refer to
    op.add_column("rollouts", sa.Column("asks", sa.Integer(), server_default="0", nullable=False))
    op.add_column("rollouts", sa.Column("asked_at", Moment, nullable=True))
