"""For the console: times of a long history, what failed containers wrote, accounts of an OpenID provider."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables what this version needs."""
    op.create_index("ix_assignments_told_at", "assignments", ["told_at"])
    op.create_index("ix_runs_target_id_since", "runs", ["target_id", "since"])
    op.drop_index("ix_runs_target_id", "runs")  # the one before serves for that, too
    op.add_column("assignments", sa.Column("output", sa.String(), server_default="", nullable=False))
    # not as a batch: that makes the table anew in SQLite, which refuses to drop one that others refer to
    op.add_column("tokens", sa.Column("account", sa.String(), server_default="", nullable=False))
    counts = sa.text("account <> '' AND revoked_at IS NULL")
    op.create_index(
        "one_token_of_an_account", "tokens", ["account"], unique=True, sqlite_where=counts, postgresql_where=counts
    )
