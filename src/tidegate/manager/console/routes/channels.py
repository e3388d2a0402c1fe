"""Channels: what each does with new releases, what it chose, and how its registry answers."""

from http import HTTPStatus

from fastapi import Request
from sqlalchemy import select
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.routes.channels import poll_now, shown
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import channels

router = console_router()


@router.get("/channels", dependencies=[needs(Permission.READ)])
async def show(request: Request, paging: PagingHere) -> Response:
    """All of them."""
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, select(channels), channels.c.name)
        found = await shown(conn, rows)
    return page(request, "channels.html", rows=found, next=after)


@router.post("/channels/{id}/poll", dependencies=[needs(Permission.OPERATE)])
async def poll(id: Id, change: ChangeHere) -> Response:  # noqa: A002 - it is what it is
    """Has its registry asked now."""
    await poll_now(change, id)
    return RedirectResponse("/channels", HTTPStatus.SEE_OTHER)
