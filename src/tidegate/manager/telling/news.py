"""What people's readers are told: releases and what became of rollouts, from what is kept for good."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import Kind, State
from tidegate.manager.people.audit import MANAGER
from tidegate.manager.rollouts.views import rollout_rows
from tidegate.manager.store.schema import alerts, audit, channels, releases, rollouts
from tidegate.manager.telling.alert import Rule

MOST: Final = 50
_SPACE: Final = uuid.UUID("5b0c1c3e-6f0e-4c0b-9a52-7d1f0a4e3c77")
"""Within it names of entries are unique; chosen once."""
_SHORT: Final = 12
_SUBJECT: Final = "rollout "
_ENDED: Final = {
    State.COMPLETED: "is completed",
    State.FAILED: "has failed",
    State.ROLLED_BACK: "is rolled back",
    State.CANCELLED: "is cancelled",
    State.SUPERSEDED: "is superseded",
}


@dataclass(frozen=True, slots=True)
class News:
    """One entry. `id` stays as it is for ever, and no other manager's is the same; `path` is the console's page.

    `kind` is such as `rollout.paused`; `by` is who did it; empty: it came about by itself.
    """

    id: str
    at: datetime
    updated: datetime
    kind: str
    title: str
    text: str
    path: str
    by: str = ""


async def read_news(conn: AsyncConnection, channel_id: int | None, *, most: int = MOST) -> list[News]:
    """The latest, the newest first; of one channel, or of all."""
    found = await _releases(conn, channel_id, most)
    found += await _paused_by_people(conn, channel_id, most)
    found += await _paused_by_itself(conn, channel_id, most)
    for column, told in _MOMENTS:
        statement = _of(rollout_rows(), rollouts.c.channel_id, channel_id).where(column.is_not(None))
        rows = await conn.execute(statement.order_by(column.desc(), rollouts.c.id.desc()).limit(most))
        found += [told(row) for row in rows]
    return sorted(found, key=lambda one: one.at)[::-1][:most]  # of one moment, what follows from the other is newer


# releases


async def _releases(conn: AsyncConnection, channel_id: int | None, most: int) -> list[News]:
    columns = [releases.c[name] for name in ("id", "digest", "seen_at", "read_at", "version", "revision", "source")]
    statement = select(*columns, channels.c.name.label("channel_name")).join(channels)
    rows = _of(statement, releases.c.channel_id, channel_id).order_by(releases.c.id.desc()).limit(most)
    return [_release(row) for row in await conn.execute(rows)]


def _release(row: Any) -> News:
    known = (("revision", row.revision), ("source", row.source))
    return News(
        _name("release", row.id, row.seen_at, "seen"),
        row.seen_at,
        max(row.seen_at, row.read_at) if row.read_at is not None else row.seen_at,
        "release.seen",
        f"Release {_called(row)} of {row.channel_name}",
        _sentences([f"{row.digest} was seen", *(f"{name}: {value}" for name, value in known if value)]),
        f"/releases/{row.id}",
    )


# rollouts


def _asked(row: Any) -> News:
    by = "its channel's policy" if row.requested_by == MANAGER else row.requested_by
    text = f"{_many(sum(row.counts.values()), 'target')} in {_many(row.waves, 'wave')}"
    who = "" if row.requested_by == MANAGER else row.requested_by
    needed = row.policy.get("approvals", 0) if row.kind == Kind.UPDATE else 0
    agree = [f"{_many(needed, 'approval')} needed"] if needed else []
    return _rollout(row, row.created_at, "asked", f"is asked for by {by}", [text, *agree], by=who)


def _begun(row: Any) -> News:
    return _rollout(row, row.begun_at, "begun", "has begun")


def _turned(row: Any) -> News:
    said = "goes back to what ran before" if row.ended_at is None else "went back to what ran before"
    return _rollout(row, row.back_since, "rolling_back", said, [row.reason])


def _over(row: Any) -> News:
    where = [f"{count} {progress.replace('_', ' ')}" for progress, count in row.counts.items() if count]
    return _rollout(row, row.ended_at, row.state, _ENDED[State(row.state)], [row.reason, ", ".join(where)])


_MOMENTS: Final[tuple[tuple[ColumnElement[Any], Callable[[Any], News]], ...]] = (
    (rollouts.c.created_at, _asked),
    (rollouts.c.begun_at, _begun),
    (rollouts.c.back_since, _turned),
    (rollouts.c.ended_at, _over),
)


async def _paused_by_people(conn: AsyncConnection, channel_id: int | None, most: int) -> list[News]:
    pause = _about(audit.c.subject, audit.c.action == "rollout.pause")
    columns = (audit.c.number, audit.c.at, audit.c.actor, audit.c.after)
    statement = _of(rollout_rows().add_columns(*columns).where(*pause), rollouts.c.channel_id, channel_id)
    rows = await conn.execute(statement.order_by(audit.c.number.desc()).limit(most))
    return [
        _rollout(
            row,
            row.at,
            "paused",
            f"is paused by {row.actor}",
            [str((row.after or {}).get("reason") or "")],
            by=row.actor,
            name=("audit", row.number),
        )
        for row in rows
    ]


async def _paused_by_itself(conn: AsyncConnection, channel_id: int | None, most: int) -> list[News]:
    """There is an alert of each time."""
    pause = _about(alerts.c.subject, alerts.c.rule == Rule.ROLLOUT_PAUSED)
    columns = (alerts.c.id.label("alert"), alerts.c.opened_at, alerts.c.text)
    statement = _of(rollout_rows().add_columns(*columns).where(*pause), rollouts.c.channel_id, channel_id)
    rows = await conn.execute(statement.order_by(alerts.c.id.desc()).limit(most))
    return [
        _rollout(
            row, row.opened_at, "paused", "has stopped and waits for a person", [row.text], name=("alert", row.alert)
        )
        for row in rows
    ]


def _rollout(
    row: Any,
    at: datetime,
    what: str,
    said: str,
    texts: Iterable[str] = (),
    *,
    by: str = "",
    name: tuple[str, int] | None = None,
) -> News:
    sort, to = ("Rollback", "back to") if row.kind == Kind.ROLLBACK else ("Rollout", "to")
    return News(
        _name("rollout", row.id, row.created_at, what) if name is None else _name(*name, at, what),
        at,
        at,
        f"rollout.{what}",
        f"{sort} {row.id} of {row.channel_name} {to} {_called(row)} {said}",
        _sentences(texts) or f"{sort} {row.id} {said}.",
        f"/rollouts/{row.id}",
        by,
    )


# words and names


def _name(table: str, number: int, since: datetime, what: str) -> str:
    """Of a row of this database: where another has the same number, it is not from the same microsecond."""
    return uuid.uuid5(_SPACE, f"{table} {number} {since.isoformat()} {what}").urn


def name_of(address: str) -> str:
    """The name of a whole feed, which is the same as long as its address is."""
    return uuid.uuid5(uuid.NAMESPACE_URL, address).urn


def _of(statement: Select[Any], column: ColumnElement[Any], channel_id: int | None) -> Select[Any]:
    return statement if channel_id is None else statement.where(column == channel_id)


def _about(subject: ColumnElement[str], which: ColumnElement[bool]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """These rows, each with its rollout, which is found by its number: of other rows the subject may hold none."""
    number = case((which, cast(func.substr(subject, len(_SUBJECT) + 1), BigInteger)))
    return which, rollouts.c.id == number


def _called(row: Any) -> str:
    return str(row.version or row.digest.rpartition(":")[2][:_SHORT])


def _sentences(texts: Iterable[str]) -> str:
    return " ".join(f"{one.rstrip('.')}." for one in texts if one)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
