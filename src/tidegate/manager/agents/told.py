"""What agents tell of their assignments: kept for the rollout that each is of."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Row, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.assignment import NO_TARGET
from tidegate.domain.rollout_apply import MADE_OF_REFUSALS, Outcome
from tidegate.manager.agents.known import Agent
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import assignments, clusters, courses, reports, targets
from tidegate.manager.telling.feed import Said
from tidegate.protocol.events import Refusal, Report

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """One agent's word. `there`: the targets that it told before it in the same batch; None: it told none."""

    agent: Agent
    event: Report | Refusal
    there: frozenset[str] | None = None


async def take_in_told(conn: AsyncConnection, told: Sequence[Told], now: datetime) -> tuple[list[Said], set[int]]:
    """Keep reports; what the feed has to tell, and the rollouts that there is news of.

    What is about no assignment of the agent, or not as that was, is logged and dropped.
    """
    known = await _assignments(conn, {one.event.assignment for one in told})
    kept: list[dict[str, Any]] = []
    last: dict[str, dict[str, Any]] = {}
    for one in told:
        row = known.get(one.event.assignment)
        if row is None or not _is_about(one, row):
            _drop(one)
            continue
        kept.append(_report(one, row, now))
        last[row.id] = _outcome(one, row, now)
    if kept:
        await conn.execute(insert(reports), kept)
        await conn.execute(_TOLD, [last[id_] for id_ in sorted(last)])
        await _note_courses(conn, {one.event.assignment: one.event for one in told if one.event.assignment in last})
    alarming = [one for one in told if not _was_taken_away(one, known.get(one.event.assignment))]
    return _refusals(alarming), {row["rollout_id"] for row in kept}


async def _note_courses(conn: AsyncConnection, said: Mapping[str, Report | Refusal]) -> None:
    """What was waited for, by the ids of assignments; what is told later takes the place of what was told before."""
    steps = {id_: one.steps for id_, one in said.items() if isinstance(one, Report) and one.steps}
    for some in pieces(sorted(steps)):
        await conn.execute(delete(courses).where(courses.c.assignment_id.in_(some)))
        rows = [{"assignment_id": id_, "steps": [asdict(one) for one in steps[id_]]} for id_ in some]
        await conn.execute(insert(courses), rows)


async def _assignments(conn: AsyncConnection, ids: set[str]) -> dict[str, Row[Any]]:
    found: dict[str, Row[Any]] = {}
    for some in pieces(sorted(ids - {""})):
        statement = (
            select(
                assignments.c.id,
                assignments.c.agent_id,
                assignments.c.target_id,
                assignments.c.rollout_id,
                assignments.c.generation,
                assignments.c.digest,
                assignments.c.expires_at,
                targets.c.gone_at,
                (clusters.c.project + "/" + targets.c.service).label("target"),
            )
            .join(targets, targets.c.id == assignments.c.target_id)
            .join(clusters, clusters.c.id == targets.c.cluster_id)
            .where(assignments.c.id.in_(some))
        )
        found |= {row.id: row for row in await conn.execute(statement)}
    return found


def _is_about(one: Told, row: Row[Any]) -> bool:
    """Whether an agent speaks of its own assignment, as it was given. Of a refused one it may not know all."""
    said = one.event
    if row.agent_id != one.agent.id or row.generation != said.generation:
        return False
    return row.target == said.target and (isinstance(said, Refusal) or row.digest == said.digest)


def _drop(one: Told) -> None:
    _log.warning(
        "told of an assignment that the manager did not give it; dropped",
        agent=one.agent.name,
        assignment=one.event.assignment[:64],
        target=one.event.target[:200],
        generation=one.event.generation,
    )


def _is_gone(one: Told, row: Row[Any]) -> bool:
    """Whether the agent had told that the target is not there, when it said this."""
    return row.gone_at is not None if one.there is None else one.event.target not in one.there


def _was_taken_away(one: Told, row: Row[Any] | None) -> bool:
    """Whether it was refused only because its owner took the target away: that is nothing to be alarmed of."""
    if row is None or not _is_about(one, row):
        return False
    return one.event.reason.endswith(NO_TARGET) and _is_gone(one, row)


def _report(one: Told, row: Row[Any], now: datetime) -> dict[str, Any]:
    said = one.event
    refused = isinstance(said, Refusal)
    return {
        "rollout_id": row.rollout_id,
        "target_id": row.target_id,
        "generation": row.generation,
        "outcome": str(_how(one, row, now)),
        "reason": f"refused: {said.reason}" if refused else said.reason,
        "blame": False if isinstance(said, Refusal) else said.blame,
        "at": now,
    }


def _how(one: Told, row: Row[Any], now: datetime) -> Outcome:
    """What is refused once its time is over, or its target gone, is so for that, and for no fault of the release."""
    outcome = Outcome.REFUSED if isinstance(one.event, Refusal) else one.event.outcome
    if outcome is not Outcome.REFUSED:
        return outcome
    if now >= row.expires_at:
        return Outcome.EXPIRED
    return Outcome.GONE if _is_gone(one, row) else outcome


def _outcome(one: Told, row: Row[Any], now: datetime) -> dict[str, Any]:
    """How the assignment stands: one that expired, or whose target is gone, was not begun, as one withdrawn."""
    how = _how(one, row, now)
    outcome = Outcome.WITHDRAWN if how in MADE_OF_REFUSALS else how
    duration_s = None if isinstance(one.event, Refusal) else one.event.duration_s
    output = "" if isinstance(one.event, Refusal) else one.event.output
    return {"which": row.id, "how": str(outcome), "told": now, "took": duration_s, "wrote": output}


def _refusals(told: Sequence[Told]) -> list[Said]:
    """Each refusal once a batch, however often an agent says it."""
    said: dict[tuple[str, str, str, str], Mapping[str, Any]] = {}
    for one in told:
        if isinstance(one.event, Refusal):
            it = one.event
            key = (one.agent.name, it.assignment, it.target, it.reason)
            said[key] = {
                "agent": one.agent.name,
                "assignment": it.assignment,
                "target": it.target,
                "generation": it.generation,
                "reason": it.reason,
            }
    return [("agent.refused", f"agent {name}", data) for (name, *_), data in said.items()]


# where nothing was heard for too long it counts as failed, until its agent says how it has ended
_SAYS_HOW = and_(*(bindparam("how") != str(one) for one in (Outcome.BEGUN, Outcome.BUSY, Outcome.WITHDRAWN)))
_TOLD = (
    update(assignments)
    .where(assignments.c.id == bindparam("which"))
    .where(or_(assignments.c.outcome.is_distinct_from(str(Outcome.FAILED)), _SAYS_HOW))
    .values(
        outcome=bindparam("how"), told_at=bindparam("told"), duration_s=bindparam("took"), output=bindparam("wrote")
    )
)
