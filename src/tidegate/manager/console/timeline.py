"""What happened to a rollout, from what is kept for good: its own times, the audit log and its assignments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.console.words import span, spoken
from tidegate.manager.people.audit import MANAGER
from tidegate.manager.store.schema import assignments, audit, targets

MOST = 200
"""Entries of each sort that are read, the latest."""
_DID = {
    "create": "asked for it",
    "approve": "approved it",
    "reject": "rejected it",
    "pause": "paused it",
    "resume": "resumed it",
    "abort": "aborted it",
    "retry": "had it try again",
    "advance": "opened the next wave",
    "rollback": "had it go back",
    "leave": "took targets out of it",
}
_LOOKS = {Outcome.HEALTHY: "healthy", Outcome.FAILED: "failed", Outcome.INCONCLUSIVE: "inconclusive"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. `looks` is the state whose colour it has; `said` is why, in somebody's words."""

    at: datetime
    text: str
    said: str = ""
    looks: str = "waiting"
    order: int = 2
    """Of those of one moment, the higher comes after."""


async def timeline(conn: AsyncConnection, row: Any) -> list[Entry]:
    """Of a rollout (its row), the latest first."""
    wanted = select(audit).where(audit.c.subject == f"rollout {row.id}").order_by(audit.c.number.desc()).limit(MOST)
    acts = [_act(one) for one in await conn.execute(wanted)]
    steps = (
        select(*(one for one in assignments.c if one is not assignments.c.output), targets.c.name.label("target"))
        .join(targets, targets.c.id == assignments.c.target_id)
        .where(assignments.c.rollout_id == row.id)
        .order_by(assignments.c.issued_at.desc())
        .limit(MOST)
    )
    carried_out = [entry for one in await conn.execute(steps) for entry in _assignment(one)]
    return sorted_latest([*acts, *_own(row), *carried_out])


def sorted_latest(entries: Iterable[Entry]) -> list[Entry]:
    """The latest first."""
    return sorted(entries, key=lambda one: (one.at, one.order), reverse=True)


def _own(row: Any) -> Sequence[Entry]:
    found = []
    if row.begun_at is not None:
        found.append(Entry(row.begun_at, "it began", looks="running"))
    if row.passed_at is not None and row.ended_at is None:
        found.append(Entry(row.passed_at, f"wave {row.wave + 1} passed", looks="healthy"))
    if row.back_since is not None:
        found.append(Entry(row.back_since, "it turned round", row.reason, looks="rolling_back"))
    if row.ended_at is not None:
        found.append(Entry(row.ended_at, f"it ended: {spoken(row.state)}", row.reason, looks=row.state, order=5))
    return found


def _act(row: Any) -> Entry:
    verb = row.action.removeprefix("rollout.")
    who = "its channel's policy" if row.actor == MANAGER else row.actor
    said = str((row.after or {}).get("reason") or "")
    return Entry(
        row.at, f"{who} {_DID.get(verb, spoken(verb))}", said, looks="scheduled", order=0 if verb == "create" else 1
    )


def _assignment(row: Any) -> Sequence[Entry]:
    told = []
    way = "told to go back" if row.back else "offered"
    told.append(Entry(row.issued_at, f"{row.target} was {way}", looks="offered", order=3))
    if row.told_at is not None and row.outcome:
        took = f" after {span(row.duration_s)}" if row.duration_s is not None else ""
        text = f"{row.target}: {spoken(row.outcome)}{took}"
        told.append(Entry(row.told_at, text, looks=_LOOKS.get(row.outcome, "waiting"), order=4))
    return told
