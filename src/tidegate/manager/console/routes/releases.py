"""Releases: the list, one with what it changes and where it runs, and what people do with it."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.domain.reference import is_digest
from tidegate.domain.rollout import ENDED, Rollout
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.problems import invalid, not_found
from tidegate.manager.api.routes.quarantine import QuarantineIn, put_in
from tidegate.manager.api.routes.rollouts import decided
from tidegate.manager.console.form import LONGEST_REASON, fields, reason_of
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.release import Narrowed, listed_so, look, waves
from tidegate.manager.console.router import console_router
from tidegate.manager.console.undone import check_seal, done, seal, tried
from tidegate.manager.people.roles import Permission
from tidegate.manager.people.tokens import Who
from tidegate.manager.releases import views
from tidegate.manager.rollouts.create import Wish, create
from tidegate.manager.rollouts.views import rollout_rows
from tidegate.manager.store.schema import channels, releases, rollouts

router = console_router()
_READ = [needs(Permission.READ)]


@router.get("/releases", dependencies=_READ)
async def show_list(
    request: Request,
    paging: PagingHere,
    channel: Annotated[str, Query(pattern=r"^[0-9]{0,18}$")] = "",
    only: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """What was seen on channels, the newest first; of one channel, and only those that are so."""
    chosen = Narrowed(only) if only in set(Narrowed) else None
    of = int(channel) if channel else 0
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, listed_so(of, chosen), releases.c.id, newest_first=True)
        known = (await conn.execute(select(channels.c.id, channels.c.name).order_by(channels.c.name))).all()
    about: dict[str, Any] = {"channels": known, "channel": of, "chosen": chosen, "kinds": list(Narrowed), "next": after}
    return page(request, "releases.html", rows=rows, **about)


@router.get("/releases/{id}", dependencies=_READ)
async def show(
    request: Request,
    id: Id,  # noqa: A002 - it is what it is
    before: Annotated[str, Query(alias="from", max_length=100)] = "",
) -> Response:
    """One, against what most of its channel's targets run, or against another one."""
    if before and not is_digest(before):
        raise invalid("query.from", "it is no digest; it takes `sha256:` and 64 hex digits")
    async with reading(request) as conn:
        found = await look(conn, await _one(conn, id), before or None)
    return page(request, "release.html", it=found.row, found=found, before=before)


async def _one(conn: AsyncConnection, id_: int) -> Any:
    row = await views.one(conn, id_)
    if row is None:
        raise not_found(f"release {id_}")
    return row


# sending it out


@router.get("/releases/{id}/rollout", dependencies=[needs(Permission.OPERATE)])
async def ask_rollout(request: Request, id: Id, parts: PartsHere) -> Response:  # noqa: A002
    """Shows to whom it would go, in which waves, and who has to agree."""
    who: Who = request.state.who
    async with reading(request) as conn:
        row = await _one(conn, id)
        changes = await views.compare(conn, row.channel_id, row.digest)
    made, refused = await tried(parts, lambda conn: create(conn, _wish(row), who.actor, parts.clock()))
    would: dict[str, Any] = {"made": made, "refused": refused, "seal": seal(_shown(made)) if made is not None else ""}
    in_waves = waves(made) if made is not None else {}
    return page(request, "release_rollout.html", it=row, waves=in_waves, changes=changes, most=LONGEST_REASON, **would)


@router.post("/releases/{id}/rollout", dependencies=[needs(Permission.OPERATE)])
async def start_rollout(request: Request, id: Id, change: ChangeHere, parts: PartsHere) -> Response:  # noqa: A002
    """Has it go out as it was shown, if it is that still."""
    given = await fields(request)
    row, reason = await _one(change.conn, id), reason_of(given)
    made = await done(lambda: create(change.conn, _wish(row, reason), change.actor, change.now))
    check_seal(given.get("seal", ""), _shown(made), f"To whom release {id} would go, and how,")
    await decided(change, parts, int(made.id))
    return RedirectResponse(f"/rollouts/{made.id}", HTTPStatus.SEE_OTHER)


def _wish(row: Any, reason: str = "") -> Wish:
    return Wish(row.channel_id, row.digest, reason=reason)


def _shown(made: Rollout) -> list[object]:
    return [made.needed, *((one.id, one.wave) for one in made.targets.values())]


# keeping it from everybody


@router.get("/releases/{id}/quarantine", dependencies=[needs(Permission.QUARANTINE)])
async def ask_quarantine(request: Request, id: Id) -> Response:  # noqa: A002
    """Shows which rollouts stop with it, and where it stays."""
    async with reading(request) as conn:
        row = await _one(conn, id)
        stopping = await _under_way(conn, row.digest)
    return page(request, "release_quarantine.html", it=row, stopping=stopping, most=LONGEST_REASON)


@router.post("/releases/{id}/quarantine", dependencies=[needs(Permission.QUARANTINE)])
async def put_in_quarantine(request: Request, id: Id, change: ChangeHere) -> Response:  # noqa: A002
    """Has nobody offered it any more."""
    reason = reason_of(await fields(request))
    row = await _one(change.conn, id)
    await put_in(change, QuarantineIn(digest=row.digest, channel=row.channel_id, reason=reason))
    return RedirectResponse(f"/releases/{id}", HTTPStatus.SEE_OTHER)


async def _under_way(conn: AsyncConnection, digest: str) -> Sequence[Row[Any]]:
    open_ = rollouts.c.digest == digest, rollouts.c.state.not_in(ENDED)
    rows: Sequence[Row[Any]] = (await conn.execute(rollout_rows().where(*open_).order_by(rollouts.c.id))).all()
    return rows
