"""The manager's documents as the commands use them. Their JSON is read here and nowhere else.

What is missing or null is read as empty, so that an older manager, or a newer one, can be spoken with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tidegate.domain.reference import InvalidReferenceError, parse_reference

Document = Mapping[str, Any]

ENDED: Final = frozenset({"completed", "failed", "rolled_back", "cancelled", "superseded"})
WENT_WRONG: Final = frozenset({"failed", "rolled_back"})
TROUBLE: Final = ("failed", "inconclusive", "not_put_back")


@dataclass(frozen=True, slots=True)
class Cluster:
    """One Compose project on one agent's engine: `name` is PROJECT@AGENT."""

    name: str
    agent: str
    online: bool
    targets: int
    labels: Mapping[str, str]
    updater: Mapping[str, Any] | None = None

    @property
    def project(self) -> str:
        """The project's own name."""
        return self.name.rpartition("@")[0]


@dataclass(frozen=True, slots=True)
class Target:
    """One service of a cluster: `name` is PROJECT@AGENT/SERVICE."""

    name: str
    channel: str
    channel_id: int | None
    digest: str
    version: str
    state: str
    health: str
    held: bool
    reason: str
    online: bool = True

    @property
    def agent(self) -> str:
        """The agent beside it."""
        return self.cluster.rpartition("@")[2]

    @property
    def cluster(self) -> str:
        """PROJECT@AGENT."""
        return self.name.partition("/")[0]

    @property
    def service(self) -> str:
        """The service's own name."""
        return self.name.partition("/")[2]

    @property
    def short(self) -> str:
        """PROJECT/SERVICE."""
        return f"{self.cluster.rpartition('@')[0]}/{self.service}"


@dataclass(frozen=True, slots=True)
class Channel:
    """A repository and a tag that targets follow."""

    id: int
    name: str
    mode: str = ""
    newest: str = ""
    targets: int = 0
    polled_at: str = ""
    trouble: str = ""
    choice: str = ""

    @property
    def familiar(self) -> str:
        """The name as people write it."""
        return familiar(self.name)


@dataclass(frozen=True, slots=True)
class Release:
    """One digest that was seen on a channel."""

    id: int
    channel: str
    channel_id: int | None
    digest: str
    version: str
    revision: str
    image_created: str
    seen_at: str
    quarantined: bool
    newest: bool
    running: int
    fixed_tag: str
    trouble: str

    @property
    def note(self) -> str:
        """What there is to say of it."""
        running = f"{self.running} running" if self.running else ""
        parts = ("newest" if self.newest else "", running, "in quarantine" if self.quarantined else "", self.trouble)
        return ", ".join(part for part in parts if part)

    @property
    def full(self) -> str:
        """Its channel, version and digest, so that it can be told from every other."""
        return " ".join(one for one in (familiar(self.channel), self.version, self.digest) if one)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A digest that is offered to nobody."""

    id: int
    digest: str
    channel: str
    since: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing in which two images differ. `dangerous`: somebody should have meant it."""

    field: str
    before: str
    after: str
    note: str
    dangerous: bool


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave, and how many of its targets are where."""

    number: int
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many targets it has."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Rollout:
    """One release on its way. `wave` counts from 1; 0: none is open."""

    id: int
    channel: str
    digest: str
    version: str
    kind: str
    state: str
    reason: str
    waits_for: str
    requested_by: str
    created_at: str
    not_before: str
    begun_at: str
    ended_at: str
    wave: int
    waves: int
    passed_at: str
    wake_at: str
    approvals: tuple[str, ...]
    approvals_needed: int
    counts: Mapping[str, int]
    detail: tuple[Wave, ...] = field(default=())

    @property
    def ended(self) -> bool:
        """Whether nothing more of it is begun."""
        return self.state in ENDED

    @property
    def total(self) -> int:
        """How many targets it has."""
        return sum(self.counts.values())

    @property
    def what(self) -> str:
        """The release as people name it."""
        return release_name(self.version, self.digest)


@dataclass(frozen=True, slots=True)
class RolloutTarget:
    """Where one target is in a rollout."""

    target: str
    wave: int
    progress: str
    reason: str
    since: str

    @property
    def cluster(self) -> str:
        """PROJECT@AGENT."""
        return self.target.partition("/")[0]


def read_cluster(it: Document) -> Cluster:
    """An item of `/clusters`."""
    name = _text(it, "name")
    agent = _text(it, "agent") or name.rpartition("@")[2]
    updater = it.get("updater")
    return Cluster(
        name=name,
        agent=agent,
        online=bool(it.get("online")),
        targets=_count(it.get("targets")),
        labels=_texts(it.get("labels")),
        updater=updater if isinstance(updater, Mapping) else None,
    )


def read_target(it: Document) -> Target:
    """An item of `/targets`."""
    channel, channel_id = _channel(it)
    return Target(
        name=_text(it, "name"),
        channel=channel or _text(it, "image"),
        channel_id=channel_id,
        digest=_text(it, "digest"),
        version=_text(it, "version"),
        state=_text(it, "state"),
        health=_text(it, "health"),
        held=bool(it.get("held")),
        reason=_text(it, "reason"),
        online=it.get("online") is not False,
    )


def read_channel(it: Document) -> Channel:
    """An item of `/channels`."""
    newest = _document(it.get("newest"))
    return Channel(
        id=_number(it, "id"),
        name=_text(it, "name"),
        mode=_text(it, "mode"),
        newest=release_name(_text(newest, "version"), _text(newest, "digest")),
        targets=_count(it.get("targets")),
        polled_at=_text(it, "polled_at"),
        trouble=_text(it, "trouble"),
        choice=_text(it, "choice"),
    )


def read_release(it: Document) -> Release:
    """An item of `/releases`."""
    channel, channel_id = _channel(it)
    return Release(
        id=_number(it, "id"),
        channel=channel,
        channel_id=channel_id,
        digest=_text(it, "digest"),
        version=_text(it, "version"),
        revision=_text(it, "revision"),
        image_created=_text(it, "image_created"),
        seen_at=_text(it, "seen_at"),
        quarantined=bool(it.get("quarantined")),
        newest=bool(it.get("newest")),
        running=_number(it, "running"),
        fixed_tag=_text(it, "fixed_tag"),
        trouble=_text(it, "trouble"),
    )


def read_quarantined(it: Document) -> Quarantined:
    """An item of `/quarantine`."""
    return Quarantined(
        id=_number(it, "id"),
        digest=_text(it, "digest"),
        channel=_channel(it)[0],
        since=_text(it, "at"),
        by=_text(it, "by"),
        reason=_text(it, "reason"),
    )


def read_change(it: Document) -> Change:
    """One change of `/releases/{id}/changes`."""
    where = f" ({it['platform']})" if it.get("platform") else ""
    return Change(
        field=_text(it, "field") + where,
        before=_text(it, "before"),
        after=_text(it, "after"),
        note=_text(it, "note"),
        dangerous=bool(it.get("dangerous")),
    )


def read_policy(it: Document) -> Document:
    """The rules in an answer of `/policies/{channel}`, without what else it tells of them."""
    return {name: value for name, value in it.items() if name not in {"channel", "version", "updated_at"}}


def read_rollout(it: Document) -> Rollout:
    """An item of `/rollouts`."""
    return Rollout(
        id=_number(it, "id"),
        channel=_channel(it)[0],
        digest=_text(it, "digest"),
        version=_text(it, "version"),
        kind=_text(it, "kind"),
        state=_text(it, "state"),
        reason=_text(it, "reason"),
        waits_for=_text(it, "waits_for"),
        requested_by=_text(it, "requested_by"),
        created_at=_text(it, "created_at"),
        not_before=_text(it, "not_before"),
        begun_at=_text(it, "begun_at"),
        ended_at=_text(it, "ended_at"),
        wave=_number(it, "wave"),
        waves=_number(it, "waves"),
        passed_at=_text(it, "passed_at"),
        wake_at=_text(it, "wake_at"),
        approvals=tuple(_text(one, "by") for one in _items(it.get("approvals"))),
        approvals_needed=_number(it, "approvals_needed"),
        counts=_counts(it.get("counts")),
        detail=tuple(Wave(_number(one, "wave"), _counts(one.get("counts"))) for one in _items(it.get("waves_detail"))),
    )


def read_rollout_target(it: Document) -> RolloutTarget:
    """An item of `/rollouts/{id}/targets`."""
    return RolloutTarget(
        target=_text(it, "target"),
        wave=_number(it, "wave"),
        progress=_text(it, "progress"),
        reason=_text(it, "reason"),
        since=_text(it, "since"),
    )


def read_rollouts(document: Any) -> list[dict[str, Any]]:
    """The rollouts that a write began: one, or a list of them."""
    if isinstance(document, dict) and "id" in document:
        return [document]
    found = document.get("items", document.get("rollouts")) if isinstance(document, dict) else document
    return [dict(one) for one in _items(found)]


def familiar(name: str) -> str:
    """An image's name as people write it."""
    try:
        return parse_reference(name).familiar
    except InvalidReferenceError:
        return name


def release_name(version: str, digest: str) -> str:
    """A version with the digest's beginning, or the one that there is."""
    short = digest.rpartition(":")[2][:12]
    return f"{version} ({short})" if version and short else version or short


def parse_time(text: str) -> datetime | None:
    """A time of the manager's; None where it is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _channel(it: Document) -> tuple[str, int | None]:
    channel = it.get("channel")
    if isinstance(channel, Mapping):
        return _text(channel, "name"), _number(channel, "id")
    return (channel, None) if isinstance(channel, str) else ("", None)


def _text(it: Document, name: str) -> str:
    value = it.get(name)
    return "" if value is None else str(value)


def _number(it: Document, name: str) -> int:
    value = it.get(name)
    return value if isinstance(value, int) else int(value) if isinstance(value, str) and value.isdecimal() else 0


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else value if isinstance(value, int) else 0


def _counts(value: Any) -> dict[str, int]:
    return {str(name): count for name, count in _document(value).items() if isinstance(count, int) and count}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(one) for name, one in _document(value).items()}


def _document(value: Any) -> Document:
    return value if isinstance(value, Mapping) else {}


def _items(value: Any) -> list[Document]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
