"""Freezes: when no update begins."""

from datetime import datetime
from typing import Annotated

from fastapi import Query, Response
from pydantic import Field, model_validator

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionHere
from tidegate.manager.api.models import Id, Line, Moment
from tidegate.manager.api.paging import Page, PagingHere
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rules import OnlyHere, RuleIn, RuleOut, Rules
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import freezes

router = make_router("freezes")
_READ = [needs(Permission.READ)]
_OPERATE = [needs(Permission.OPERATE)]


class FreezeIn(RuleIn):
    """A freeze as it is wanted."""

    starts_at: Moment = Field(description="Its first moment.")
    ends_at: Moment = Field(description="The first moment after it.")
    reason: Line = Field(default="", description="Why, in a line; shown with its name to whoever has to wait.")

    @model_validator(mode="after")
    def _ends_later(self) -> "FreezeIn":
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at is not later than starts_at")
        return self


class FreezeOut(RuleOut):
    """A freeze: no update of what it is for begins between its start and its end."""

    starts_at: datetime = Field(description="Its first moment.")
    ends_at: datetime = Field(description="The first moment after it.")
    reason: str = Field(description="Why; empty where nobody has said.")


FREEZES = Rules("freeze", freezes, FreezeIn, FreezeOut)


@router.get("/freezes", dependencies=_READ)
async def list_freezes(
    parts: PartsHere,
    paging: PagingHere,
    only: OnlyHere,
    *,
    over: Annotated[bool | None, Query(description="Only those that are over, or only the others.")] = None,
) -> Page[FreezeOut]:
    """List the freezes, also those that are over."""
    ended = freezes.c.ends_at <= parts.clock()
    return await FREEZES.every(parts, paging, only, *([] if over is None else [ended if over else ~ended]))


@router.post("/freezes", status_code=201, dependencies=_OPERATE)
async def create_freeze(given: FreezeIn, change: ChangeHere, response: Response) -> FreezeOut:
    """Make a freeze. An update that has begun is finished or rolled back, never cut."""
    return await FREEZES.create(change, given, response)


@router.get("/freezes/{id}", dependencies=_READ)
async def get_freeze(id: Id, parts: PartsHere, response: Response) -> FreezeOut:  # noqa: A002 - it is what it is
    """Show one freeze."""
    return await FREEZES.one(parts, id, response)


@router.put("/freezes/{id}", dependencies=_OPERATE)
async def replace_freeze(
    id: Id,  # noqa: A002 - it is what it is
    given: FreezeIn,
    edition: EditionHere,
    change: ChangeHere,
    response: Response,
) -> FreezeOut:
    """Change a freeze."""
    return await FREEZES.replace(change, id, edition, given, response)


@router.delete("/freezes/{id}", status_code=204, dependencies=_OPERATE)
async def delete_freeze(id: Id, edition: EditionHere, change: ChangeHere) -> None:  # noqa: A002 - it is what it is
    """Take a freeze away; what it held back may begin."""
    await FREEZES.delete(change, id, edition)
