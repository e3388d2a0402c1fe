"""What the program that updates in an agent's place counts."""

import sqlalchemy as sa
from alembic import op

from tidegate.manager.store.columns import Document

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables what this version needs."""
    op.add_column("agents", sa.Column("updater", Document, nullable=True))
