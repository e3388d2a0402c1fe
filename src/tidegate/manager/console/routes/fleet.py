"""The fleet, at a glance."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from fastapi import Query, Request
from starlette.responses import Response

from tidegate.domain.standing import Standing
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.console import attention, fleet
from tidegate.manager.console.links import address
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.roles import Permission

router = console_router()
MOST = 2000
"""Tiles on one page."""


@router.get("/", dependencies=[needs(Permission.READ)])
async def show(
    request: Request,
    parts: PartsHere,
    q: Annotated[str, Query(max_length=200)] = "",
    standing: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Every cluster, the worst first; `q` and `standing` narrow it down."""
    since = heard_since(parts)
    async with reading(request) as conn:
        found = await fleet.look(conn, is_online(since))
        waits = await attention.look(conn, since)
    matching = found.matching(q)
    chosen = Standing(standing) if standing in set(Standing) else None
    shown = matching.worst_first(chosen)
    return page(
        request,
        "fleet.html",
        attention=waits,
        clusters=shown[:MOST],
        more=max(0, len(shown) - MOST),
        total=len(found.clusters),
        counts=matching.counts,
        spreads=found.spreads,
        q=q,
        chosen=chosen,
        here=_link(q, chosen),
        link=_linker(q),
    )


def _linker(q: str) -> Callable[[Standing | None], str]:
    return partial(_link, q)


def _link(q: str, standing: Standing | None) -> str:
    """The page, narrowed down."""
    return address("/", {"q": q, "standing": standing})
