"""What may begin because a digest is in quarantine no more, found out before it is released."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel import Choice
from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.rollout_policy import Mode
from tidegate.manager.rollouts.create import select_members
from tidegate.manager.rollouts.planner import choice_for
from tidegate.manager.store.schema import channels, quarantine, releases, targets


@dataclass(frozen=True, slots=True)
class Opening:
    """One channel that has the digest: what it would do with it, why, and the targets that this reaches."""

    channel: str
    goes: bool
    mode: Mode
    why: str
    targets: Sequence[str]


async def openings(conn: AsyncConnection, id_: int, digest: str) -> list[Opening]:
    """Of every channel that has it. Quarantine is as it was afterwards."""
    has_it = select(channels).join(releases, releases.c.channel_id == channels.c.id)
    statement = has_it.where(releases.c.digest == digest).order_by(channels.c.name)
    rows = (await conn.execute(statement)).all()
    async with conn.begin_nested() as point:
        out = update(quarantine).where(quarantine.c.id == id_).values(released_at=quarantine.c.at)
        await conn.execute(out)
        found = [await _opening(conn, row, digest) for row in rows]
        await point.rollback()
    return sorted(found, key=lambda one: (not one.goes, one.mode is not Mode.AUTOMATIC))


async def _opening(conn: AsyncConnection, channel: Any, digest: str) -> Opening:
    choice, some = await choice_for(conn, channel.id, channel.policy)
    goes = choice.release is not None and choice.release.digest == digest
    reached = await _reached(conn, channel.id, digest, some) if goes else []
    return Opening(channel.name, goes, read_channel_policy(channel.policy).mode, _why(choice, goes=goes), reached)


async def _reached(conn: AsyncConnection, channel: int, digest: str, some: set[int] | None) -> list[str]:
    rows = await conn.execute(select_members(channel).where(~targets.c.held, targets.c.digest != digest))
    return [row.name for row in rows if some is None or row.id in some]


def _why(choice: Choice, *, goes: bool) -> str:
    if goes or choice.release is None:
        return choice.reason
    return "its tag names another release, so this one goes out by hand only"
