"""Releases and rollouts for people's readers."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Query, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.manager.api.access import needs
from tidegate.manager.api.by_password import reader_router
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.problems import may_answer, not_found
from tidegate.manager.api.unchanged import unless_unchanged
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import channels
from tidegate.manager.telling.news import read_news
from tidegate.manager.telling.news_formats import ATOM_TYPE, JSON_SCHEMA, JSON_TYPE, Feed, atom, json_feed

router = reader_router("feeds")
_MOST_DIGITS = 18
_READ = [needs(Permission.READ)]
_ABOUT = "The newest 50 of: releases that were seen; rollouts that were asked for, began, stopped, went back or ended."
ChannelGiven = Annotated[
    str, Query(max_length=400, description="Only of this channel: its number, or `REPOSITORY:TAG`.")
]


def _says(media_type: str) -> dict[int | str, dict[str, Any]]:
    etag = {"description": "For `If-None-Match`.", "schema": {"type": "string"}}
    content = {media_type: {"schema": JSON_SCHEMA if media_type == JSON_TYPE else {"type": "string"}}}
    return {
        200: {"description": _ABOUT, "content": content, "headers": {"ETag": etag}},
        304: {"description": "Nothing has changed since the one that `If-None-Match` or `If-Modified-Since` names."},
        **may_answer(404),
    }


@router.head("/feed.atom", response_class=Response, dependencies=_READ, include_in_schema=False)
@router.get("/feed.atom", response_class=Response, dependencies=_READ, responses=_says(ATOM_TYPE))
async def read_atom(request: Request, parts: PartsHere, channel: ChannelGiven = "") -> Response:
    """Read releases and rollouts as Atom. A token may be the password of HTTP Basic here, with any user name."""
    return await _answer(request, parts, channel, atom, ATOM_TYPE)


@router.head("/feed.json", response_class=Response, dependencies=_READ, include_in_schema=False)
@router.get("/feed.json", response_class=Response, dependencies=_READ, responses=_says(JSON_TYPE))
async def read_json_feed(request: Request, parts: PartsHere, channel: ChannelGiven = "") -> Response:
    """Read releases and rollouts as JSON Feed. A token may be the password of HTTP Basic, as with `/feed.atom`."""
    return await _answer(request, parts, channel, json_feed, JSON_TYPE)


async def _answer(
    request: Request, parts: Parts, channel: str, written: Callable[[Feed], bytes], media_type: str
) -> Response:
    async with parts.db.read() as conn:
        of = await _channel(conn, channel) if channel else None
        items = await read_news(conn, of.id if of else None)
    home = (parts.settings.public_url or str(request.base_url)).rstrip("/")
    address = f"{home}{request.url.path}" + (f"?channel={quote(channel, safe='')}" if channel else "")
    feed = Feed(f"Tidegate: {of.name}" if of else "Tidegate", address, home, items)
    return unless_unchanged(request, written(feed), media_type, changed_at=feed.updated, now=parts.clock())


async def _channel(conn: AsyncConnection, given: str) -> Any:
    """Its row. Raises `Problem`."""
    is_number = given.isascii() and given.isdecimal() and len(given) <= _MOST_DIGITS
    meant = channels.c.id == int(given) if is_number else channels.c.name.in_({given, _full(given)})
    row = (await conn.execute(select(channels.c.id, channels.c.name).where(meant))).first()
    if row is None:
        raise not_found(f"channel {given!r}")
    return row


def _full(given: str) -> str:
    """A channel's name, which people may write short."""
    try:
        found = parse_reference(given)
    except InvalidReferenceError:
        return given
    return f"{found.name}:{found.tag}" if found.tag else given
