"""Freezes: when no update begins."""

from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Row, insert, select

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionHere, set_etag
from tidegate.manager.api.models import Body, Id, Moment, Name, Reason
from tidegate.manager.api.named import refuse_taken
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rows import held_row, read_row, remove_row, write_row
from tidegate.manager.api.scopes import Scope, check_scope
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.store.schema import freezes

router = make_router("freezes")
_READ = [needs(Permission.READ)]
_OPERATE = [needs(Permission.OPERATE)]


class FreezeIn(Body):
    """A freeze as it is wanted."""

    name: Name = Field(description="Its name; no two have the same.")
    starts_at: Moment = Field(description="Its first moment.")
    ends_at: Moment = Field(description="The first moment after it.")
    reason: Reason = Field(default="", description="Why; shown to whoever has to wait.")
    scope: Scope = Field(default=Scope(), description="What it is for; empty: everything.")

    @model_validator(mode="after")
    def _ends_later(self) -> "FreezeIn":
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at is not later than starts_at")
        return self


class FreezeOut(BaseModel):
    """A freeze: no update of what it is for begins between its start and its end."""

    id: int = Field(description="Its number.")
    name: str = Field(description="Its name.")
    starts_at: datetime = Field(description="Its first moment.")
    ends_at: datetime = Field(description="The first moment after it.")
    reason: str = Field(description="Why.")
    scope: Scope = Field(description="What it is for; empty: everything.")
    created_by: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    version: int = Field(description="Counts its changes; the number in its ETag.")


def _out(row: Row[Any]) -> FreezeOut:
    return FreezeOut(
        id=row.id,
        name=row.name,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        scope=Scope(**row.scope),
        created_by=row.created_by,
        created_at=row.created_at,
        version=row.edition,
    )


def _values(given: FreezeIn) -> dict[str, Any]:
    times = {"starts_at": given.starts_at, "ends_at": given.ends_at}
    return {"name": given.name, **times, "reason": given.reason, "scope": given.scope.document()}


def _kept(row: Row[Any]) -> dict[str, Any]:
    times = {"starts_at": row.starts_at.isoformat(), "ends_at": row.ends_at.isoformat()}
    return {"name": row.name, **times, "reason": row.reason, "scope": row.scope}


@router.get("/freezes", dependencies=_READ)
async def list_freezes(parts: PartsHere, paging: PagingHere) -> Page[FreezeOut]:
    """List the freezes, also those that are over."""
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, select(freezes), freezes.c.id), _out)


@router.post("/freezes", status_code=201, dependencies=_OPERATE)
async def create_freeze(given: FreezeIn, change: ChangeHere, response: Response) -> FreezeOut:
    """Make a freeze. An update that has begun is finished or rolled back, never cut."""
    await _check(change, given)
    values = _values(given) | {"created_by": change.who.user, "created_at": change.now}
    row = (await change.conn.execute(insert(freezes).values(values).returning(freezes))).one()
    await change.note("freeze.create", f"freeze {row.id}", after=_kept(row))
    response.headers["Location"] = f"/api/v1/freezes/{row.id}"
    set_etag(response, row.edition)
    return _out(row)


@router.get("/freezes/{id}", dependencies=_READ)
async def get_freeze(id: Id, parts: PartsHere, response: Response) -> FreezeOut:  # noqa: A002 - it is what it is
    """Show one freeze."""
    async with parts.db.read() as conn:
        row = await read_row(conn, freezes, id, "freeze")
    set_etag(response, row.edition)
    return _out(row)


@router.put("/freezes/{id}", dependencies=_OPERATE)
async def replace_freeze(
    id: Id,  # noqa: A002 - it is what it is
    given: FreezeIn,
    edition: EditionHere,
    change: ChangeHere,
    response: Response,
) -> FreezeOut:
    """Change a freeze."""
    before = await held_row(change.conn, freezes, id, "freeze", edition)
    await _check(change, given, but=id)
    row = await write_row(change.conn, freezes, before, **_values(given))
    await change.note("freeze.update", f"freeze {id}", before=_kept(before), after=_kept(row))
    set_etag(response, row.edition)
    return _out(row)


@router.delete("/freezes/{id}", status_code=204, dependencies=_OPERATE)
async def delete_freeze(id: Id, edition: EditionHere, change: ChangeHere) -> None:  # noqa: A002 - it is what it is
    """Take a freeze away; what it held back may begin."""
    row = await held_row(change.conn, freezes, id, "freeze", edition)
    await rules_changed(change.conn, change.now)
    await remove_row(change.conn, freezes, row)
    await change.note("freeze.delete", f"freeze {id}", before=_kept(row))


async def _check(change: Change, given: FreezeIn, but: int = 0) -> None:
    await refuse_taken(change.conn, freezes, given.name, "freeze", but=but)
    await check_scope(change.conn, given.scope)
    await rules_changed(change.conn, change.now)
