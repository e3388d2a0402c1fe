"""The first tables."""

import sqlalchemy as sa
from alembic import op

from tidegate.manager.store.columns import Document, Moment, Number

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:  # noqa: PLR0915 - every table once
    """Make the tables what this version needs."""
    op.create_table(
        "agents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("protocol", sa.Integer(), server_default="1", nullable=False),
        sa.Column("labels", Document, nullable=False),
        sa.Column("enrolled_at", Moment, nullable=False),
        sa.Column("revoked_at", Moment, nullable=True),
        sa.Column("last_seen_at", Moment, nullable=True),
        sa.Column("address", sa.String(), server_default="", nullable=False),
        sa.Column("stream", sa.String(), server_default="", nullable=False),
        sa.Column("applied", Number, server_default="0", nullable=False),
        sa.Column("outbox_last", Number, server_default="0", nullable=False),
        sa.Column("outbox_seen", Number, server_default="0", nullable=False),
        sa.Column("edition", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("name", name=op.f("uq_agents_name")),
    )
    with op.batch_alter_table("agents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_agents_last_seen_at"), ["last_seen_at"], unique=False)

    op.create_table(
        "alerts",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("text", sa.String(), server_default="", nullable=False),
        sa.Column("data", Document, nullable=False),
        sa.Column("opened_at", Moment, nullable=False),
        sa.Column("closed_at", Moment, nullable=True),
        sa.Column("close_reason", sa.String(), server_default="", nullable=False),
        sa.Column("acknowledged_at", Moment, nullable=True),
        sa.Column("acknowledged_by", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_alerts_opened_at"), ["opened_at"], unique=False)
        batch_op.create_index(
            "one_open_alert",
            ["rule", "subject"],
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        )

    op.create_table(
        "approvals",
        sa.Column("rollout_id", Number, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "by", name=op.f("pk_approvals")),
    )
    op.create_table(
        "audit",
        sa.Column("number", Number, autoincrement=False, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("source", sa.String(), server_default="", nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("before", Document, nullable=True),
        sa.Column("after", Document, nullable=True),
        sa.Column("previous", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit")),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_action"), ["action"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_actor"), ["actor"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_subject"), ["subject"], unique=False)

    op.create_table(
        "channels",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("policy", Document, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("poll_at", Moment, nullable=True),
        sa.Column("polled_at", Moment, nullable=True),
        sa.Column("etag", sa.String(), server_default="", nullable=False),
        sa.Column("trouble", sa.String(), server_default="", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("plan_at", Moment, nullable=True),
        sa.Column("choice", sa.String(), server_default="", nullable=False),
        sa.Column("edition", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channels")),
        sa.UniqueConstraint("name", name=op.f("uq_channels_name")),
        sa.UniqueConstraint("repository", "tag", name=op.f("uq_channels_repository_tag")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_channels_plan_at"), ["plan_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_channels_poll_at"), ["poll_at"], unique=False)

    op.create_table(
        "counters",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", Number, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "enrolments",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), server_default="", nullable=False),
        sa.Column("labels", Document, nullable=False),
        sa.Column("created_by", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("used_at", Moment, nullable=True),
        sa.Column("revoked_at", Moment, nullable=True),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_enrolments_token_hash")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "feed",
        sa.Column("number", Number, autoincrement=False, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), server_default="", nullable=False),
        sa.Column("data", Document, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_feed")),
    )
    with op.batch_alter_table("feed", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_feed_at"), ["at"], unique=False)

    op.create_table(
        "freezes",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("starts_at", Moment, nullable=False),
        sa.Column("ends_at", Moment, nullable=False),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("scope", Document, nullable=False),
        sa.Column("created_by", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("edition", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freezes")),
        sa.UniqueConstraint("name", name=op.f("uq_freezes_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "idempotency",
        sa.Column("token_id", Number, autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", Document, nullable=True),
        sa.Column("body", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("token_id", "key", name=op.f("pk_idempotency")),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_at"), ["at"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("seq", Number, autoincrement=False, nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "seq", name=op.f("pk_outbox")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("channel_id", Number, nullable=True),
        sa.Column("rollout_id", Number, nullable=True),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("released_at", Moment, nullable=True),
        sa.Column("released_by", sa.String(), server_default="", nullable=False),
        sa.Column("release_reason", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_digest"), ["digest"], unique=False)
        batch_op.create_index(
            "one_quarantine",
            ["digest"],
            unique=True,
            sqlite_where=sa.text("released_at IS NULL"),
            postgresql_where=sa.text("released_at IS NULL"),
        )

    op.create_table(
        "rollout_targets",
        sa.Column("rollout_id", Number, nullable=False),
        sa.Column("target_id", Number, nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("wave", sa.Integer(), server_default="0", nullable=False),
        sa.Column("before", sa.String(), server_default="", nullable=False),
        sa.Column("progress", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("back", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("forced", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("touched", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("since", Moment, nullable=True),
        sa.Column("deadline", Moment, nullable=True),
        sa.Column("busy_since", Moment, nullable=True),
        sa.Column("failed_in", sa.Integer(), nullable=True),
        sa.Column("blamed", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("excused", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("rollout_id", "target_id", name=op.f("pk_rollout_targets")),
    )
    with op.batch_alter_table("rollout_targets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rollout_targets_target_id"), ["target_id"], unique=False)

    op.create_table(
        "tokens",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("name", sa.String(), server_default="", nullable=False),
        sa.Column("created_by", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=True),
        sa.Column("revoked_at", Moment, nullable=True),
        sa.Column("used_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_tokens_user"), ["user"], unique=False)

    op.create_table(
        "windows",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("window", sa.String(), nullable=False),
        sa.Column("scope", Document, nullable=False),
        sa.Column("created_by", sa.String(), server_default="", nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("edition", sa.Integer(), server_default="1", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_windows")),
        sa.UniqueConstraint("name", name=op.f("uq_windows_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "clusters",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("labels", Document, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("edition", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_clusters_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
        sa.UniqueConstraint("name", name=op.f("uq_clusters_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("clusters", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_clusters_agent_id"), ["agent_id"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("alert_id", Number, nullable=False),
        sa.Column("sink", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", Moment, nullable=True),
        sa.Column("done_at", Moment, nullable=True),
        sa.Column("trouble", sa.String(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=op.f("fk_deliveries_alert_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("alert_id", "sink", "what", name=op.f("uq_deliveries_alert_id_sink_what")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deliveries_alert_id"), ["alert_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_deliveries_next_at"), ["next_at"], unique=False)

    op.create_table(
        "releases",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("channel_id", Number, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.Column("named_at", Moment, nullable=False),
        sa.Column("told_by", sa.String(), server_default="", nullable=False),
        sa.Column("read_at", Moment, nullable=True),
        sa.Column("read_again_at", Moment, nullable=True),
        sa.Column("trouble", sa.String(), server_default="", nullable=False),
        sa.Column("version", sa.String(), server_default="", nullable=False),
        sa.Column("revision", sa.String(), server_default="", nullable=False),
        sa.Column("source", sa.String(), server_default="", nullable=False),
        sa.Column("fixed_tag", sa.String(), server_default="", nullable=False),
        sa.Column("image_created", Moment, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("labels", Document, nullable=False),
        sa.Column("configs", Document, nullable=False),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_releases_channel_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("channel_id", "digest", name=op.f("uq_releases_channel_id_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("releases", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_releases_channel_id"), ["channel_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_releases_digest"), ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_releases_read_again_at"), ["read_again_at"], unique=False)

    op.create_table(
        "rollouts",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("channel_id", Number, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("requested_by", sa.String(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("not_before", Moment, nullable=True),
        sa.Column("begun_at", Moment, nullable=True),
        sa.Column("ended_at", Moment, nullable=True),
        sa.Column("passed_at", Moment, nullable=True),
        sa.Column("back_since", Moment, nullable=True),
        sa.Column("wave", sa.Integer(), server_default="0", nullable=False),
        sa.Column("waves", sa.Integer(), server_default="0", nullable=False),
        sa.Column("whole", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("policy", Document, nullable=False),
        sa.Column("counts", Document, nullable=False),
        sa.Column("wake_at", Moment, nullable=True),
        sa.Column("edition", sa.Integer(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_rollouts_channel_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_rollouts_channel_id"), ["channel_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_rollouts_state"), ["state"], unique=False)
        batch_op.create_index(batch_op.f("ix_rollouts_wake_at"), ["wake_at"], unique=False)

    op.create_table(
        "reports",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("rollout_id", Number, nullable=False),
        sa.Column("target_id", Number, nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("blame", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name=op.f("fk_reports_rollout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("reports", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reports_rollout_id"), ["rollout_id"], unique=False)

    op.create_table(
        "targets",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cluster_id", Number, nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("channel_id", Number, nullable=True),
        sa.Column("image", sa.String(), server_default="", nullable=False),
        sa.Column("repository", sa.String(), server_default="", nullable=False),
        sa.Column("tag", sa.String(), server_default="", nullable=False),
        sa.Column("digest", sa.String(), server_default="", nullable=False),
        sa.Column("state", sa.String(), server_default="", nullable=False),
        sa.Column("health", sa.String(), server_default="", nullable=False),
        sa.Column("containers", sa.Integer(), server_default="0", nullable=False),
        sa.Column("platform", sa.String(), server_default="", nullable=False),
        sa.Column("strategy", sa.String(), server_default="", nullable=False),
        sa.Column("held", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("reason", sa.String(), server_default="", nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seen_at", Moment, nullable=False),
        sa.Column("digest_since", Moment, nullable=True),
        sa.Column("gone_at", Moment, nullable=True),
        sa.Column("drift_since", Moment, nullable=True),
        sa.Column("wanted", sa.String(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name=op.f("fk_targets_channel_id")),
        sa.ForeignKeyConstraint(["cluster_id"], ["clusters.id"], name=op.f("fk_targets_cluster_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_targets")),
        sa.UniqueConstraint("name", name=op.f("uq_targets_name")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("targets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_targets_channel_id"), ["channel_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_targets_cluster_id"), ["cluster_id"], unique=False)

    op.create_table(
        "assignments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("target_id", Number, nullable=False),
        sa.Column("rollout_id", Number, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("issued_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("back", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("forced", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("open", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("outcome", sa.String(), server_default="", nullable=False),
        sa.Column("told_at", Moment, nullable=True),
        sa.Column("duration_s", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_assignments_agent_id")),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollouts.id"], name=op.f("fk_assignments_rollout_id")),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_assignments_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
        sa.UniqueConstraint("target_id", "generation", name=op.f("uq_assignments_target_id_generation")),
    )
    with op.batch_alter_table("assignments", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_assignments_agent_id"), ["agent_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_assignments_rollout_id"), ["rollout_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_assignments_target_id"), ["target_id"], unique=False)
        batch_op.create_index(
            "one_open_assignment",
            ["target_id"],
            unique=True,
            sqlite_where=sa.text("open"),
            postgresql_where=sa.text("open"),
        )

    op.create_table(
        "runs",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("target_id", Number, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.Column("rollout_id", Number, nullable=True),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_runs_target_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_target_id"), ["target_id"], unique=False)
    op.bulk_insert(
        sa.table("counters", sa.column("name"), sa.column("value")),
        [{"name": name, "value": 0} for name in ("world", "feed", "audit")],
    )
