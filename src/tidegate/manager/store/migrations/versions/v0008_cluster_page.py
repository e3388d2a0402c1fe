"""For a cluster's page: containers of targets by name, and how long the steps of updates took."""

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
    op.create_table(
        "courses",
        sa.Column("assignment_id", sa.String(), nullable=False),
        sa.Column("steps", Document, nullable=False),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name="fk_courses_assignment_id"),
        sa.PrimaryKeyConstraint("assignment_id", name="pk_courses"),
    )
