"""Which keys the manager has signed with, in their order."""

import sqlalchemy as sa
from alembic import op

from tidegate.manager.store.columns import Document, Moment, Number

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables what this version needs."""
    op.create_table(
        "signing_keys",
        sa.Column("number", Number, autoincrement=False, nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_signing_keys")),
    )
    newest = _newest()
    op.bulk_insert(_table("counters", "name", "value"), [{"name": "keys", "value": len(newest)}])
    op.bulk_insert(
        sa.table("signing_keys", sa.column("number"), sa.column("public_key"), sa.column("since", Moment)), newest
    )


def _newest() -> list[dict[str, object]]:
    """The key that was rotated to last, if agents go by it: else the file was made anew since, and who starts says."""
    audit = sa.table(
        "audit", sa.column("number"), sa.column("at", Moment), sa.column("action"), sa.column("after", Document)
    )
    rotated = sa.select(audit.c.at, audit.c.after).where(audit.c.action == "key.rotate").order_by(audit.c.number)
    agents = _table("agents", "manager_key", "revoked_at")
    known = sa.select(agents.c.manager_key).where(agents.c.revoked_at.is_(None)).distinct()
    conn = op.get_bind()
    there = set(conn.execute(known).scalars())
    last = conn.execute(rotated).all()[-1:]
    found = [{"number": 1, "public_key": row.after["public_key"], "since": row.at} for row in last]
    return [one for one in found if one["public_key"] in there]


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(one) for one in columns))
