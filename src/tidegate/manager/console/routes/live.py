"""What tells an open page that something has changed."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated

from fastapi import Query, Request
from sqlalchemy import select
from starlette.responses import Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.event_stream import EventStream
from tidegate.manager.api.problems import TOO_MANY, Problem
from tidegate.manager.console.router import console_router
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.people.sessions import Session
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import sessions
from tidegate.manager.telling.parts import hub as make_hub
from tidegate.manager.telling.streams import TooManyStreamsError

router = console_router()
_KIND = re.compile(r"^event: (?!reset\n).*\n", re.MULTILINE)
"""Browsers hand events of a kind to those only who ask for that kind; the kind is in the data, too."""
_LOOK_S = 15.0


@router.get("/live", dependencies=[needs(Permission.READ)])
async def live(request: Request, parts: PartsHere, after: Annotated[int, Query(ge=0, le=10**15)]) -> Response:
    """The feed from an entry on, until the session ends."""
    hub = parts.one(make_hub)
    session: Session = request.state.session
    there = await hub.extent()
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(hub.opened(session.who.token_id, ()))
        except TooManyStreamsError as error:
            raise Problem(TOO_MANY, "too-many-streams", f"{error}.", headers={"Retry-After": "10"}) from error
        texts = _while_signed_in(parts, session, hub.follow(stream, after, there))
        return EventStream(texts, stack.pop_all())


@router.get("/live/whose", dependencies=[needs(Permission.READ)])
async def whose() -> Response:
    """Whether somebody is signed in."""
    return Response(status_code=204)


async def _while_signed_in(parts: Parts, session: Session, texts: AsyncIterator[str]) -> AsyncIterator[str]:
    looked_s = asyncio.get_running_loop().time()
    async for text in texts:
        now_s = asyncio.get_running_loop().time()
        if now_s - looked_s >= _LOOK_S:
            looked_s = now_s
            if not await _counts(parts, session):
                return
        yield _KIND.sub("", text)


async def _counts(parts: Parts, session: Session) -> bool:
    """Whether it has not ended; one that cannot be looked up now is looked up next time."""
    if parts.clock() >= session.expires_at:
        return False
    try:
        async with parts.db.read() as conn:
            return (await conn.execute(select(sessions.c.id).where(sessions.c.id == session.id))).first() is not None
    except StoreUnavailableError:
        return True
