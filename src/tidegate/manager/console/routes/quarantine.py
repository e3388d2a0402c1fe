"""Quarantine: digests that nobody is offered, putting one there, and letting one out."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.domain.rollout import ENDED
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import Id, Why
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.problems import Problem, invalid, not_found
from tidegate.manager.api.routes.quarantine import QuarantineIn, entries, let_out, put_in
from tidegate.manager.console.form import attempt, fields, filled_in, said
from tidegate.manager.console.links import address, here
from tidegate.manager.console.opening import openings
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import channels, quarantine, releases, rollouts, targets

router = console_router()
_PUT, _LET = [needs(Permission.QUARANTINE)], [needs(Permission.RELEASE_QUARANTINE)]
_MOST_DIGITS = 18


class Shown(StrEnum):
    """Which are listed."""

    HELD = "held"
    RELEASED = "released"


@router.get("/quarantine", dependencies=[needs(Permission.READ)])
async def show_list(request: Request, paging: PagingHere, state: Annotated[str, Query(max_length=20)] = "") -> Response:
    """What is in it, or was; the newest first."""
    chosen, out = Shown(state) if state in set(Shown) else Shown.HELD, quarantine.c.released_at.is_not(None)
    statement = entries().where(out if chosen is Shown.RELEASED else ~out)
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, statement, quarantine.c.id, newest_first=True)
        counted = dict((await conn.execute(select(out, func.count()).group_by(out))).all())
        digests = {row.digest for row in rows}
        versions, run = await _versions(conn, digests), await _run(conn, digests)
    counts = {Shown.HELD: counted.get(False, 0), Shown.RELEASED: counted.get(True, 0)}
    more = address("/quarantine", {"state": chosen, "after": after}) if after else ""
    about: dict[str, Any] = {"rows": rows, "versions": versions, "run": run, "counts": counts, "chosen": chosen}
    return page(request, "quarantine.html", here=here(request), more=more, **about)


@router.get("/quarantine/add", dependencies=_PUT)
async def ask_add(request: Request, digest: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The form."""
    async with reading(request) as conn:
        return await _form(request, conn, {"digest": digest})


@router.post("/quarantine/add", dependencies=_PUT)
async def do_add(request: Request, change: ChangeHere) -> Response:
    """Put a digest there."""
    given = await fields(request)
    made = await attempt(change.conn, _put(change, given))
    if isinstance(made, Problem):
        return await _form(request, change.conn, given, wrong=said(made), status=made.status)
    return RedirectResponse("/quarantine", HTTPStatus.SEE_OTHER)


@router.get("/quarantine/{id}/release", dependencies=_LET)
async def ask_release(request: Request, id: Id, parts: PartsHere) -> Response:  # noqa: A002 - it is what it is
    """What may begin because of it."""
    async with parts.db.write() as conn:
        it = (await conn.execute(entries().where(quarantine.c.id == id))).one_or_none()
        if it is None:
            raise not_found(f"quarantine {id}")
        found = await openings(conn, id, it.digest) if it.released_at is None else []
        version = (await _versions(conn, {it.digest})).get(it.digest, "")
    return page(request, "quarantine_release.html", it=it, version=version, openings=found)


@router.post("/quarantine/{id}/release", dependencies=_LET)
async def do_release(request: Request, id: Id, change: ChangeHere) -> Response:  # noqa: A002 - it is what it is
    """Let it out."""
    why = filled_in(Why, {"reason": (await fields(request)).get("reason", "").strip()})
    await let_out(change, id, why.reason)
    return RedirectResponse("/quarantine", HTTPStatus.SEE_OTHER)


async def _put(change: Change, given: Mapping[str, str]) -> int:
    channel = given.get("channel", "")
    if channel and not (channel.isascii() and channel.isdecimal() and len(channel) <= _MOST_DIGITS):
        raise invalid("body.channel", "it takes the number of a channel")
    wanted = {"digest": given.get("digest", "").strip(), "reason": given.get("reason", "").strip()}
    return await put_in(change, filled_in(QuarantineIn, wanted | {"channel": int(channel) if channel else None}))


async def _versions(conn: AsyncConnection, digests: set[str]) -> dict[str, str]:
    has_one = releases.c.digest.in_(digests), releases.c.version != ""
    return dict((await conn.execute(select(releases.c.digest, releases.c.version).where(*has_one))).all())


async def _run(conn: AsyncConnection, digests: set[str]) -> dict[str, int]:
    """By digests, how many targets run them all the same."""
    there = targets.c.digest.in_(digests), targets.c.gone_at.is_(None)
    counting = select(targets.c.digest, func.count()).where(*there).group_by(targets.c.digest)
    return dict((await conn.execute(counting)).all())


async def _form(
    request: Request,
    conn: AsyncConnection,
    given: Mapping[str, str],
    *,
    wrong: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    typed = {"digest": "", "channel": "", "reason": ""} | dict(given)
    every = (await conn.execute(select(channels.c.id, channels.c.name).order_by(channels.c.name))).all()
    stops: list[Any] = []
    if typed["digest"]:
        under_way = rollouts.c.digest == typed["digest"], rollouts.c.state.not_in(ENDED)
        stops = list((await conn.execute(select(rollouts.c.id).where(*under_way).order_by(rollouts.c.id))).scalars())
    about = {"given": typed, "channels": every, "stops": stops, "wrong": wrong}
    return page(request, "quarantine_add.html", status, **about)
