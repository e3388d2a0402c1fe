"""What operators do in the calendar: add and delete windows and freezes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.domain.windows import parse_window
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import Edition
from tidegate.manager.api.models import Id
from tidegate.manager.api.named import refuse_taken
from tidegate.manager.api.problems import Problem
from tidegate.manager.api.routes.freezes import FREEZES, FreezeIn
from tidegate.manager.api.routes.windows import WINDOWS, WindowIn
from tidegate.manager.api.rows import read_row
from tidegate.manager.api.rules import Rules
from tidegate.manager.api.scopes import check_scope
from tidegate.manager.console import zone
from tidegate.manager.console.calendar_form import Filled, filled, read_freeze, read_window
from tidegate.manager.console.day import local
from tidegate.manager.console.form import attempt, edition_of, fields, said
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.console.scope_words import scope_words
from tidegate.manager.console.touched import Touched, touched
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts.gates import Scope
from tidegate.manager.store.schema import channels

router = console_router()
_OPERATE = [needs(Permission.OPERATE)]
_SEE = HTTPStatus.SEE_OTHER


@dataclass(frozen=True, slots=True)
class Kind:
    """Windows or freezes: how they are read from a form, and told. `asks`: before one is made, somebody is asked."""

    name: str
    rules: Rules[Any, Any]
    read: Callable[[Filled, str, datetime], WindowIn | FreezeIn]
    asks: bool


KINDS = (Kind("window", WINDOWS, read_window, asks=True), Kind("freeze", FREEZES, read_freeze, asks=False))


def _add(path: str, does: Callable[..., Any], method: str = "GET") -> None:
    router.add_api_route(path, does, methods=[method], dependencies=_OPERATE, name=f"{method} {path}")


def _making(kind: Kind, path: str) -> None:
    """The form for a new one, and what it does."""

    async def new(request: Request) -> Response:
        return await _form(request, kind, Filled({}, ()))

    async def make(request: Request, change: ChangeHere) -> Response:
        form = await filled(request)
        made = await attempt(change.conn, _made(request, change, kind, form))
        if isinstance(made, Problem):
            return await _form(request, kind, form, wrong=said(made), status=made.status)
        return made

    _add(f"{path}/new", new)
    _add(path, make, "POST")


def _deleting(kind: Kind, path: str) -> None:
    """The page that asks first, and what it does."""

    async def see(id: Id) -> Response:  # noqa: A002 - it is what it is
        return RedirectResponse(f"/calendar#{kind.name}-{id}", _SEE)

    async def ask(request: Request, id: Id, parts: PartsHere) -> Response:  # noqa: A002 - it is what it is
        now = parts.clock()
        async with reading(request) as conn:
            row = await read_row(conn, kind.rules.table, id, kind.name)
            scope = Scope.of(row.scope)
            what = await touched(conn, scope, now, but=id if kind.name == "window" else 0)
            words = scope_words(scope, await _names(conn))
        told = _without(kind, row.name, what, over=kind.name == "freeze" and row.ends_at <= now)
        facts = {"about": _about(request, kind, row, now), "what": what, "scope": words, "said": told}
        return page(request, "rule_delete.html", kind=kind.name, it=row, **facts)

    async def delete(request: Request, id: Id, change: ChangeHere) -> Response:  # noqa: A002 - it is what it is
        await kind.rules.delete(change, id, Edition(edition_of(await fields(request))))
        return RedirectResponse("/calendar", _SEE)

    _add(f"{path}/{{id}}", see)
    _add(f"{path}/{{id}}/delete", ask)
    _add(f"{path}/{{id}}/delete", delete, "POST")


for each in KINDS:
    _making(each, f"/calendar/{each.name}s")
    _deleting(each, f"/calendar/{each.name}s")


async def _made(request: Request, change: Change, kind: Kind, form: Filled) -> Response:
    """It is made, or asked about first. Raises `Problem`."""
    wanted = kind.read(form, zone.shown(request, "").name, change.now)
    if kind.asks and not form.sure:
        return await _ask_to_make(request, change, kind, form, wanted)
    await kind.rules.create(change, wanted, Response())
    return RedirectResponse("/calendar", _SEE)


async def _form(
    request: Request, kind: Kind, form: Filled, *, wrong: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    """The form, as it was filled in."""
    parts = request.app.state.parts
    async with parts.db.read() as conn:
        names = await _names(conn)
    return page(
        request,
        f"{kind.name}_new.html",
        status,
        form=form,
        wrong=wrong,
        channels=names,
        zone=zone.shown(request, "").name,
        zones=sorted(zone.names()),
    )


async def _ask_to_make(
    request: Request, change: Change, kind: Kind, form: Filled, wanted: WindowIn | FreezeIn
) -> Response:
    """The same form once more, unseen, with what it will come to."""
    await refuse_taken(change.conn, kind.rules.table, wanted.name, kind.name)
    await check_scope(change.conn, wanted.scope)
    scope = Scope.of(wanted.scope.document())
    what = await touched(change.conn, scope, change.now)
    words = scope_words(scope, await _names(change.conn))
    kept = [(name, value) for name, value in form.fields.items() if name not in {"channel", "sure"}]
    kept += [("channel", one) for one in form.channels]
    facts = {"scope": words, "what": what, "said": _beside(wanted.name, what), "fields": kept}
    return page(request, "window_ask.html", wanted=wanted, **facts)


def _beside(name: str, what: Touched) -> str:
    """What a window more comes to. The first one only holds back; in each further one more may begin."""
    if not what.beside:
        return "It is the first window for them: from now on their updates begin only while it is open."
    return f"Beside {_listed(what.beside)}, updates that wait may begin in the window {name}, too."


def _without(kind: Kind, name: str, what: Touched, *, over: bool) -> str:
    """What taking one away comes to."""
    if over:
        return "It is over, so it holds nothing back."
    told = f"Without the {kind.name} {name}, updates that it holds back may begin at once."
    if kind.name == "freeze":
        return told
    if what.beside:
        return f"{told} What has other windows ({_listed(what.beside)}) begins in those only."
    return f"{told} No other window is for them, so they may begin at any time that is not frozen."


def _listed(names: Sequence[str]) -> str:
    shown = 5
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _about(request: Request, kind: Kind, row: Any, now: datetime) -> Mapping[str, str]:
    """When it is, in the viewer's time zone."""
    seen = zone.shown(request, "")
    if kind.name == "window":
        return {"Opens": str(parse_window(row.window))}
    span = f"{local(row.starts_at, seen.zone, now)} – {local(row.ends_at, seen.zone, now)} ({seen.name})"  # noqa: RUF001 - a span
    return {"From, to": span} | ({"Reason": row.reason} if row.reason else {})


async def _names(conn: AsyncConnection) -> dict[int, str]:
    rows = await conn.execute(select(channels.c.id, channels.c.name).order_by(channels.c.name))
    return {one.id: one.name for one in rows}
