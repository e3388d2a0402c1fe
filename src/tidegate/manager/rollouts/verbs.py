"""What people do to rollouts, taken in, written down and decided at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import Rollout
from tidegate.domain.rollout_apply import Verb, act, approve
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.rollouts.rows import counts, load, save
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import current
from tidegate.manager.store.topics import ROLLOUTS
from tidegate.manager.telling.feed import tell

APPROVE = "approve"


class StaleError(Exception):
    """Somebody has changed the rollout since the edition that was meant."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asks of a rollout: `approve` or one of `Verb`; `edition`: only if it is still that one."""

    verb: str
    by: Actor
    reason: str = ""
    edition: int | None = None


async def carry_out(conn: AsyncConnection, id_: int, order: Order, now: datetime) -> Rollout | None:
    """Do what is asked, but for deciding what follows from it; None if there is no such rollout.

    Raises `VerbRefusedError` and `StaleError`.
    """
    # first, as everywhere: who changes it changes rollouts next
    await current(conn, "world", hold=True, to_change=order.verb == Verb.ROLL_BACK)
    loaded = await load(conn, id_, hold=True)
    if loaded is None:
        return None
    if order.edition is not None and order.edition != loaded.edition:
        raise StaleError
    after = _applied(loaded.rollout, order, now)
    if not await save(conn, loaded, after, wake_at=now, now=now):
        raise StaleError
    await _tell(conn, loaded.rollout, after, order, now)
    return after


def _applied(it: Rollout, order: Order, now: datetime) -> Rollout:
    if order.verb == APPROVE:
        return approve(it, order.by.name, now)
    return act(it, Verb(order.verb), order.by.name, now, order.reason)


async def _tell(conn: AsyncConnection, before: Rollout, after: Rollout, order: Order, now: datetime) -> None:
    subject, said = f"rollout {after.id}", {"reason": order.reason} if order.reason else {}
    old, new = (_about(one) for one in (before, after))
    await record(conn, order.by, f"rollout.{order.verb}", subject, now, before=old, after=new | said)
    is_at = {"state": new["state"], "wave": new["wave"]}
    await tell(conn, f"rollout.{order.verb}", subject, now, rollout=int(after.id), by=order.by.name, **is_at, **said)
    publish(conn, ROLLOUTS, after.id)


def _about(it: Rollout) -> dict[str, Any]:
    """What a person may change of it; of places of targets those where there are any."""
    where = {place: count for place, count in counts(it).items() if count}
    approvals = [one.by for one in it.approvals]
    needed = {"approvals_needed": it.needed} if it.needed else {}
    return {"state": str(it.state), "wave": it.wave + 1, "approvals": approvals, **needed, "counts": where}
