"""Containers of targets by name."""

import sqlalchemy as sa
from alembic import op

from tidegate.manager.store.columns import Document

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables what this version needs."""
    op.add_column("targets", sa.Column("members", Document, server_default="[]", nullable=False))
