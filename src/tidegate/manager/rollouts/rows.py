"""A rollout as rows, and back. In the domain a target goes by its name."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, bindparam, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.approval import Approval
from tidegate.domain.channel_policy import ChannelPolicy, read_channel_policy, write_channel_policy
from tidegate.domain.rollout import Kind, Progress, Rollout, State, TargetProgress
from tidegate.manager.store.counters import change_world
from tidegate.manager.store.schema import approvals, rollout_targets, rollouts

_SAME = tuple(one.name for one in fields(TargetProgress) if one.name not in {"id", "progress"})
"""Fields of a target's progress whose columns have their name and hold their value."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A rollout as it was read: its `edition` and when it was due then, and its targets' ids by their names."""

    rollout: Rollout
    edition: int
    wake_at: datetime | None
    ids: Mapping[str, int]
    channel_id: int
    whole: bool


async def load(conn: AsyncConnection, id_: int, *, hold: bool = False) -> Loaded | None:
    """A rollout with all its targets; None if there is none. With `hold` nobody changes it meanwhile."""
    statement = select(rollouts).where(rollouts.c.id == id_)
    row = (await conn.execute(statement.with_for_update() if hold else statement)).mappings().one_or_none()
    if row is None:
        return None
    some = select(rollout_targets).where(rollout_targets.c.rollout_id == id_).order_by(rollout_targets.c.position)
    found = (await conn.execute(some)).mappings().all()
    said = select(approvals).where(approvals.c.rollout_id == id_).order_by(approvals.c.at, approvals.c.by)
    yes = tuple(Approval(one.by, one.at) for one in await conn.execute(said))
    return Loaded(
        rollout=_rollout(row, {one["target"]: _progress(one) for one in found}, yes),
        edition=row["edition"],
        wake_at=row["wake_at"],
        ids={one["target"]: one["target_id"] for one in found},
        channel_id=row["channel_id"],
        whole=row["whole"],
    )


def _rollout(row: RowMapping, targets: dict[str, TargetProgress], yes: tuple[Approval, ...]) -> Rollout:
    return Rollout(
        id=str(row["id"]),
        channel=str(row["channel_id"]),
        digest=row["digest"],
        requested_by=row["requested_by"],
        created_at=row["created_at"],
        policy=read_channel_policy(row["policy"]).rollout,
        targets=targets,
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        wave=row["wave"],
        passed_at=row["passed_at"],
        approvals=yes,
        not_before=row["not_before"],
        reason=row["reason"],
        back_since=row["back_since"],
        begun=row["begun_at"] is not None,
        asks=row["asks"],
        asked_at=row["asked_at"],
    )


def _progress(row: RowMapping) -> TargetProgress:
    return TargetProgress(id=row["target"], progress=Progress(row["progress"]), **{name: row[name] for name in _SAME})


async def add(
    conn: AsyncConnection, it: Rollout, policy: ChannelPolicy, ids: Mapping[str, int], *, whole: bool, now: datetime
) -> Rollout:
    """Write a rollout that was planned; the same, with the id that it was given."""
    values = _header(it) | {
        "channel_id": int(it.channel),
        "digest": it.digest,
        "kind": str(it.kind),
        "requested_by": it.requested_by,
        "created_at": it.created_at,
        "not_before": it.not_before,
        "whole": whole,
        "policy": write_channel_policy(replace(policy, rollout=it.policy)),
        "waves": it.waves,
        "ended_at": now if it.ended else None,
        "wake_at": None if it.ended else now,
    }
    id_ = (await conn.execute(insert(rollouts).values(values).returning(rollouts.c.id))).scalar_one()
    rows = [
        _target(one) | {"rollout_id": id_, "target_id": ids[name], "target": name, "position": position}
        for position, (name, one) in enumerate(it.targets.items())
    ]
    if rows:
        await conn.execute(insert(rollout_targets), rows)
    return replace(it, id=str(id_))


async def save(
    conn: AsyncConnection, before: Loaded, after: Rollout, *, wake_at: datetime | None, now: datetime
) -> bool:
    """Write what has changed; False, and nothing is written, where somebody else was faster.

    It is due at `wake_at`, unless it was woken since it was read: then it stays so. One that turns round changes the
    world: what ran before it is not what others of its channel go back to any more. Who has it do so holds that.
    """
    old, id_ = before.rollout, int(after.id)
    this = rollouts.c.id == id_, rollouts.c.edition == before.edition
    woken = rollouts.c.wake_at.is_distinct_from(before.wake_at)
    due = {"wake_at": case((woken, rollouts.c.wake_at), else_=bindparam(None, wake_at, rollouts.c.wake_at.type))}
    if after == old:
        return (await conn.execute(update(rollouts).where(*this).values(due))).rowcount > 0
    values: dict[str, Any] = _header(after) | due | {"edition": before.edition + 1}
    if after.begun and not old.begun:
        values["begun_at"] = now
    if after.ended and not old.ended:
        values["ended_at"] = now
    if (await conn.execute(update(rollouts).where(*this).values(values))).rowcount == 0:
        return False
    if turns_round(old, after):
        await change_world(conn)
    await _save_targets(conn, id_, before, after)
    await _save_approvals(conn, id_, old, after)
    return True


def turns_round(before: Rollout, after: Rollout) -> bool:
    """Whether it begins to go back."""
    return after.back_since != before.back_since


async def _save_targets(conn: AsyncConnection, id_: int, before: Loaded, after: Rollout) -> None:
    changed = [
        _target(one) | {"of": id_, "which": before.ids[name]}
        for name, one in after.targets.items()
        if before.rollout.targets.get(name) is not one and before.rollout.targets.get(name) != one
    ]
    if changed:
        key = (rollout_targets.c.rollout_id == bindparam("of"), rollout_targets.c.target_id == bindparam("which"))
        await conn.execute(update(rollout_targets).where(*key), changed)


async def _save_approvals(conn: AsyncConnection, id_: int, old: Rollout, after: Rollout) -> None:
    if after.approvals == old.approvals:
        return
    await conn.execute(delete(approvals).where(approvals.c.rollout_id == id_))
    rows = [{"rollout_id": id_, "by": one.by, "at": one.at} for one in after.approvals]
    if rows:
        await conn.execute(insert(approvals), rows)


def _header(it: Rollout) -> dict[str, Any]:
    return {
        "state": str(it.state),
        "reason": it.reason,
        "wave": it.wave,
        "passed_at": it.passed_at,
        "back_since": it.back_since,
        "asks": it.asks,
        "asked_at": it.asked_at,
        "counts": counts(it),
    }


def _target(one: TargetProgress) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _SAME} | {"progress": str(one.progress)}


def counts(it: Rollout) -> dict[str, int]:
    """How many targets are where; every place is named."""
    found = Counter(one.progress for one in it.targets.values())
    return {str(one): found[one] for one in Progress}
