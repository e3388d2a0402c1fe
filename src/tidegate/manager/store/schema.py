"""Every table. What a row means is told beside it; how it came to be, the migrations tell."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)
from sqlalchemy import text as sql
from sqlalchemy.schema import SchemaItem

from tidegate.manager.store.columns import Document, Number, document, moment, number_key, text, to

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, default=False, server_default=sql("false"))


def _count(name: str, *, default: int = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, default=default, server_default=str(default))


def _edition() -> Column[int]:
    """Counts the changes of a row: an edit of an earlier edition is refused."""
    return _count("edition", default=1)


def numbered(name: str, *columns: SchemaItem) -> Table:
    """A table whose rows have numbers for ids."""
    return Table(name, metadata, number_key(), *columns, sqlite_autoincrement=True)


# one row a name. `world` counts changes of what gates and stops rollouts (quarantine, windows, freezes, policies);
# `feed`, `audit` and `keys` are locked by who appends, so that numbers are seen in their order.
counters = Table(
    "counters", metadata, Column("name", String, primary_key=True), Column("value", Number, nullable=False)
)

# who is beside which engine

agents = Table(
    "agents",
    metadata,
    Column("id", String, primary_key=True),
    text("name", default=None, unique=True),
    text("public_key", default=None),
    text("version"),
    _count("protocol", default=1),
    document("labels"),
    moment("enrolled_at"),
    moment("revoked_at", nullable=True),
    moment("last_seen_at", nullable=True, index=True),
    # what was told last of whether it is there
    _flag("online"),
    text("address"),
    # the public half of the manager's key that it goes by, once it has what is on its way to it
    text("manager_key"),
    # what the Watchtower that updates in its place counts; NULL: there is none, or it does not answer
    document("updater", nullable=True),
    # the agent's own log of events: which one, and how far it was taken in
    text("stream"),
    Column("applied", Number, nullable=False, default=0, server_default="0"),
    # what is on its way to it: the number given last, and how far it has it
    Column("outbox_last", Number, nullable=False, default=0, server_default="0"),
    Column("outbox_seen", Number, nullable=False, default=0, server_default="0"),
    _edition(),
)

outbox = Table(
    "outbox",
    metadata,
    Column("agent_id", String, primary_key=True),
    Column("seq", Number, primary_key=True, autoincrement=False),
    text("document", default=None),
    text("signature", default=None),
)

# what the manager has signed with; the last is the newest
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    text("public_key", default=None),
    moment("since"),
)

enrolments = numbered(
    "enrolments",
    text("token_hash", default=None, unique=True),
    text("name"),
    document("labels"),
    text("created_by"),
    moment("created_at"),
    moment("expires_at"),
    moment("used_at", nullable=True),
    moment("revoked_at", nullable=True),
    Column("agent_id", String, nullable=True),
)

clusters = numbered(
    "clusters",
    text("name", default=None, unique=True),
    text("project", default=None),
    to("agents", "agent_id"),
    document("labels"),
    moment("created_at"),
    _edition(),
)

channels = numbered(
    "channels",
    text("name", default=None, unique=True),
    text("repository", default=None),
    text("tag", default=None),
    document("policy"),
    moment("created_at"),
    # asking its registry; `poll_at` is moved on by who takes the work, so that one of several does it
    moment("poll_at", nullable=True, index=True),
    moment("polled_at", nullable=True),
    text("etag"),
    text("trouble"),
    _count("failures"),
    # choosing a release
    moment("plan_at", nullable=True, index=True),
    text("choice"),
    _edition(),
    UniqueConstraint("repository", "tag"),
)

targets = numbered(
    "targets",
    text("name", default=None, unique=True),
    to("clusters", "cluster_id"),
    text("service", default=None),
    to("channels", "channel_id", nullable=True),
    text("image"),
    text("repository"),
    text("tag"),
    text("digest"),
    text("state"),
    text("health"),
    _count("containers"),
    # its containers: `name`, `state`, `health` and `digest` of each; none where its agent does not tell
    document("members", default=list),
    text("platform"),
    text("strategy"),
    _flag("held"),
    text("reason"),
    _count("generation"),
    moment("seen_at"),
    moment("digest_since", nullable=True),
    moment("gone_at", nullable=True),
    moment("drift_since", nullable=True),
    # what the manager last had put there, by which drift is told
    text("wanted"),
)

# what ran on a target, the newest last
runs = numbered(
    "runs",
    to("targets", "target_id", index=False),
    text("digest", default=None),
    moment("since"),
    Column("rollout_id", Number, nullable=True),
    Index(None, "target_id", "since"),
)

releases = numbered(
    "releases",
    to("channels", "channel_id"),
    text("digest", default=None, index=True),
    moment("seen_at"),
    moment("named_at"),
    text("told_by"),
    # what the registry says of it; `read_at` None: not asked yet
    moment("read_at", nullable=True),
    moment("read_again_at", nullable=True, index=True),
    text("trouble"),
    text("version"),
    text("revision"),
    text("source"),
    text("fixed_tag"),
    moment("image_created", nullable=True),
    Column("size", BigInteger, nullable=True),
    document("labels"),
    # by platform, the image's config as far as it is compared
    document("configs"),
    UniqueConstraint("channel_id", "digest"),
)

# rollouts

rollouts = numbered(
    "rollouts",
    to("channels", "channel_id"),
    text("digest", default=None),
    text("kind", default=None),
    text("state", default=None, index=True),
    text("reason"),
    text("requested_by", default=None),
    moment("created_at"),
    moment("not_before", nullable=True),
    moment("begun_at", nullable=True),
    moment("ended_at", nullable=True),
    moment("passed_at", nullable=True),
    moment("back_since", nullable=True),
    _count("wave"),
    _count("waves"),
    # it is one of all targets of the channel, so that a later one of that sort takes its place
    _flag("whole"),
    document("policy"),
    # how many people the channel's policy has come to ask for before it began, if more than its own; `asked_at`: since
    # when it waits for approval, if not since it was made
    _count("asks"),
    moment("asked_at", nullable=True),
    document("counts"),
    # when it is decided again; None: nothing of it is left to decide
    moment("wake_at", nullable=True, index=True),
    _edition(),
)

rollout_targets = Table(
    "rollout_targets",
    metadata,
    Column("rollout_id", Number, primary_key=True),
    Column("target_id", Number, primary_key=True, index=True),
    text("target", default=None),
    _count("position"),
    _count("wave"),
    text("before"),
    text("progress", default=None),
    _count("generation"),
    _flag("back"),
    _flag("withdrawn"),
    _flag("forced"),
    _flag("touched"),
    moment("since", nullable=True),
    moment("deadline", nullable=True),
    moment("busy_since", nullable=True),
    Column("failed_in", Integer, nullable=True),
    _flag("blamed"),
    _flag("excused"),
    _count("attempts"),
    text("reason"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("rollout_id", Number, primary_key=True),
    Column("by", String, primary_key=True),
    moment("at"),
)

assignments = Table(
    "assignments",
    metadata,
    Column("id", String, primary_key=True),
    to("agents", "agent_id"),
    to("targets", "target_id"),
    to("rollouts", "rollout_id"),
    text("digest", default=None),
    _count("generation"),
    moment("issued_at"),
    moment("expires_at"),
    _flag("back"),
    _flag("forced"),
    # it is, or may be, under way: one at most of a target
    _flag("open"),
    text("outcome"),
    moment("told_at", nullable=True, index=True),
    Column("duration_s", Float, nullable=True),
    # what the container wrote last that failed
    text("output"),
    UniqueConstraint("target_id", "generation"),
)
Index(
    "one_open_assignment",
    assignments.c.target_id,
    unique=True,
    sqlite_where=sql("open"),
    postgresql_where=sql("open"),
)

# what was waited for as an assignment was carried out: `step`, `took_s`, `container` and `back` of each. Beside the
# assignments, of which many are looked at at once
courses = Table(
    "courses",
    metadata,
    Column("assignment_id", ForeignKey("assignments.id"), primary_key=True),
    document("steps", default=list),
)

# what agents have told of assignments, until the rollout has taken it in
reports = numbered(
    "reports",
    to("rollouts", "rollout_id"),
    Column("target_id", Number, nullable=False),
    _count("generation"),
    text("outcome", default=None),
    text("reason"),
    _flag("blame"),
    moment("at"),
)

quarantine = numbered(
    "quarantine",
    text("digest", default=None, index=True),
    Column("channel_id", Number, nullable=True),
    Column("rollout_id", Number, nullable=True),
    text("reason"),
    text("by", default=None),
    moment("at"),
    moment("released_at", nullable=True),
    text("released_by"),
    text("release_reason"),
)
Index(
    "one_quarantine",
    quarantine.c.digest,
    unique=True,
    sqlite_where=quarantine.c.released_at.is_(None),
    postgresql_where=quarantine.c.released_at.is_(None),
)

windows = numbered(
    "windows",
    text("name", default=None, unique=True),
    text("window", default=None),
    document("scope"),
    text("created_by"),
    moment("created_at"),
    _edition(),
)

freezes = numbered(
    "freezes",
    text("name", default=None, unique=True),
    moment("starts_at"),
    moment("ends_at"),
    text("reason"),
    document("scope"),
    text("created_by"),
    moment("created_at"),
    _edition(),
)

# people

tokens = numbered(
    "tokens",
    text("hash", default=None, unique=True),
    text("user", default=None, index=True),
    text("role", default=None),
    text("name"),
    text("created_by"),
    moment("created_at"),
    moment("expires_at", nullable=True),
    moment("revoked_at", nullable=True),
    moment("used_at", nullable=True),
    # whose sign-ins by OpenID Connect it stands for: the issuer, a blank, and the provider's `sub`; empty: nobody's
    text("account"),
)
Index(
    "one_token_of_an_account",
    tokens.c.account,
    unique=True,
    sqlite_where=sql("account <> '' AND revoked_at IS NULL"),
    postgresql_where=sql("account <> '' AND revoked_at IS NULL"),
)

# people who have signed in with a token in a browser
sessions = numbered(
    "sessions",
    text("hash", default=None, unique=True),
    to("tokens", "token_id"),
    moment("created_at"),
    moment("expires_at", index=True),
    text("address"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("token_id", Number, primary_key=True, autoincrement=False),
    Column("key", String, primary_key=True),
    text("request_hash", default=None),
    moment("at", index=True),
    Column("status", Integer, nullable=True),
    Column("headers", Document, nullable=True),
    Column("body", String, nullable=True),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    moment("at"),
    text("actor", default=None, index=True),
    text("source"),
    text("action", default=None, index=True),
    text("subject", default=None, index=True),
    document("before", nullable=True),
    document("after", nullable=True),
    text("previous", default=None),
    text("hash", default=None),
)

# telling people

feed = Table(
    "feed",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    moment("at", index=True),
    text("kind", default=None),
    text("subject"),
    document("data"),
)

alerts = numbered(
    "alerts",
    text("rule", default=None),
    text("subject", default=None),
    text("severity", default=None),
    text("text"),
    document("data"),
    moment("opened_at", index=True),
    moment("closed_at", nullable=True),
    text("close_reason"),
    moment("acknowledged_at", nullable=True),
    text("acknowledged_by"),
)
Index(
    "one_open_alert",
    alerts.c.rule,
    alerts.c.subject,
    unique=True,
    sqlite_where=alerts.c.closed_at.is_(None),
    postgresql_where=alerts.c.closed_at.is_(None),
)

# one for each sink that an alert's opening, or its end, is told to
deliveries = numbered(
    "deliveries",
    to("alerts", "alert_id"),
    text("sink", default=None),
    text("what", default=None),
    _count("attempts"),
    moment("next_at", nullable=True, index=True),
    moment("done_at", nullable=True),
    text("trouble"),
    UniqueConstraint("alert_id", "sink", "what"),
)
