"""What waits for somebody's approval, and what was approved."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from tidegate.domain.rollout import State
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.paging import Page, PagingHere
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.routes.rollout_model import Rollout, shown
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts import views
from tidegate.manager.store.schema import approvals, rollouts

router: APIRouter = make_router("approvals")


class Approvals(StrEnum):
    """Which are meant."""

    WAITING = "waiting"
    GIVEN = "given"


class Approval(BaseModel):
    """A rollout that waits for approval, or that somebody has approved."""

    rollout: Rollout = Field(description="The rollout.")
    by: str | None = Field(description="Who has approved it last; null: nobody has.")
    at: datetime | None = Field(description="When.")


@router.get("/approvals", dependencies=[needs(Permission.READ)])
async def list_approvals(
    parts: PartsHere,
    paging: PagingHere,
    state: Annotated[Approvals, Query(description="Those that wait, or those that were given.")] = Approvals.WAITING,
) -> Page[Approval]:
    """List rollouts that wait for approval, or that were approved by anybody; the newest first."""
    statement = views.rollout_rows()
    if state is Approvals.WAITING:
        statement = statement.where(rollouts.c.state == State.AWAITING_APPROVAL)
    else:
        statement = statement.where(rollouts.c.id.in_(select(approvals.c.rollout_id)))
    async with parts.db.read() as conn:
        rows, after = await paging.rows(conn, statement, rollouts.c.id, newest_first=True)
        given = await views.approvals_of(conn, [row.id for row in rows])
    return Page(items=[_shown(row, given.get(row.id, [])) for row in rows], next=after)


def _shown(row: object, given: list[dict[str, object]]) -> Approval:
    last = given[-1] if given else {"by": None, "at": None}
    return Approval.model_validate({"rollout": shown(row, given), **last})
