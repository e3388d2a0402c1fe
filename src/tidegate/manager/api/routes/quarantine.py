"""Quarantine: digests that nobody is offered."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, insert, select, update

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import Body, Digest, Id, Reason, Ref, Strict, Why
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.problems import conflict, invalid, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.store.schema import channels, quarantine

router = make_router("quarantine")


class QuarantineIn(Body):
    """A digest that is to be offered to nobody any more."""

    digest: Digest = Field(description="The digest.")
    channel: Strict | None = Field(default=None, description="The number of the channel that it was seen on.")
    reason: Reason = Field(default="", description="Why.")


class QuarantineOut(BaseModel):
    """A digest that is offered to nobody, on no channel, until a person releases it."""

    id: int = Field(description="Its number.")
    digest: str = Field(description="The digest.")
    channel: Ref | None = Field(description="The channel that it was seen on, where that is known.")
    rollout: int | None = Field(description="The rollout that failed with it; null: a person put it here.")
    reason: str = Field(description="Why.")
    by: str = Field(description="Who put it here; `tidegate`: the manager itself.")
    at: datetime = Field(description="When.")
    released_at: datetime | None = Field(description="When it was released; null: it is in quarantine.")
    released_by: str = Field(description="Who released it.")
    release_reason: str = Field(description="Why it was released.")


def entries() -> Select[Any]:
    """Rows of quarantine, with their channels' names."""
    return select(quarantine, channels.c.name.label("channel_name")).outerjoin(
        channels, channels.c.id == quarantine.c.channel_id
    )


def _out(row: Row[Any]) -> QuarantineOut:
    same = ("id", "digest", "reason", "by", "at", "released_at", "released_by", "release_reason")
    channel = None if row.channel_name is None else Ref(id=row.channel_id, name=row.channel_name)
    return QuarantineOut(**{name: getattr(row, name) for name in same}, channel=channel, rollout=row.rollout_id)


@router.get("/quarantine", dependencies=[needs(Permission.READ)])
async def list_quarantine(
    parts: PartsHere,
    paging: PagingHere,
    *,
    released: Annotated[bool, Query(description="Those that were released, in place of those that are in it.")] = False,
) -> Page[QuarantineOut]:
    """List what is in quarantine."""
    column = quarantine.c.released_at
    statement = entries().where(column.is_not(None) if released else column.is_(None))
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, quarantine.c.id), _out)


@router.post("/quarantine", status_code=201, dependencies=[needs(Permission.QUARANTINE)])
async def put_in_quarantine(given: QuarantineIn, change: ChangeHere, response: Response) -> QuarantineOut:
    """Put a digest into quarantine; rollouts of it that are under way stop."""
    id_ = await put_in(change, given)
    response.headers["Location"] = f"/api/v1/quarantine/{id_}"
    return _out((await change.conn.execute(entries().where(quarantine.c.id == id_))).one())


async def put_in(change: Change, given: QuarantineIn) -> int:
    """Put a digest into quarantine; the entry's number. Raises `Problem`."""
    conn = change.conn
    await rules_changed(conn, change.now)
    await _check(change, given)
    about = {"digest": given.digest, "channel_id": given.channel, "reason": given.reason}
    values = {**about, "by": change.who.user, "at": change.now}
    id_ = int((await conn.execute(insert(quarantine).values(values).returning(quarantine.c.id))).scalar_one())
    await change.note("quarantine.add", f"quarantine {id_}", after={"digest": given.digest, "reason": given.reason})
    return id_


async def _check(change: Change, given: QuarantineIn) -> None:
    there = select(quarantine.c.id).where(quarantine.c.digest == given.digest, quarantine.c.released_at.is_(None))
    before = (await change.conn.execute(there)).scalar_one_or_none()
    if before is not None:
        raise conflict("in-quarantine", f"{given.digest} is in quarantine already, as {before}.")
    if given.channel is not None:
        known = select(channels.c.id).where(channels.c.id == given.channel)
        if (await change.conn.execute(known)).scalar_one_or_none() is None:
            raise invalid("body.channel", f"there is no channel {given.channel}")


@router.get("/quarantine/{id}", dependencies=[needs(Permission.READ)])
async def get_quarantine(id: Id, parts: PartsHere) -> QuarantineOut:  # noqa: A002 - it is what it is
    """Show one entry, also one that was released."""
    async with parts.db.read() as conn:
        row = (await conn.execute(entries().where(quarantine.c.id == id))).one_or_none()
    if row is None:
        raise not_found(f"quarantine {id}")
    return _out(row)


@router.post("/quarantine/{id}/release", dependencies=[needs(Permission.RELEASE_QUARANTINE)])
async def release_from_quarantine(
    id: Id,  # noqa: A002 - it is what it is
    change: ChangeHere,
    given: Why | None = None,
) -> QuarantineOut:
    """Release a digest: it may be offered again."""
    await let_out(change, id, given.reason if given is not None else "")
    return _out((await change.conn.execute(entries().where(quarantine.c.id == id))).one())


async def let_out(change: Change, id_: int, why: str) -> None:
    """Have a digest be in quarantine no more. Raises `Problem`."""
    conn = change.conn
    await rules_changed(conn, change.now)
    row = (await conn.execute(select(quarantine).where(quarantine.c.id == id_).with_for_update())).one_or_none()
    if row is None:
        raise not_found(f"quarantine {id_}")
    if row.released_at is not None:
        raise conflict("released", f"{row.digest} was released by {row.released_by} already.")
    values = {"released_at": change.now, "released_by": change.who.user, "release_reason": why}
    await conn.execute(update(quarantine).where(quarantine.c.id == id_).values(values))
    about = {"digest": row.digest, "reason": row.reason}
    await change.note("quarantine.release", f"quarantine {id_}", before=about, after=about | {"released": why or True})
