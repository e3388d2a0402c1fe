"""Alerts: what somebody should look at, and who does."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import BigInteger, ColumnElement, case, func, literal, select
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.routes.alerts import acknowledge
from tidegate.manager.console.form import fields
from tidegate.manager.console.links import about, address, here, named
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import alerts
from tidegate.manager.telling.alert import Severity

router = console_router()
_APART = 2**40
"""More than there will be alerts: it keeps those of one rank together in the order of a list."""


class Shown(StrEnum):
    """Which are listed."""

    ALL = "all"
    OPEN = "open"
    CLOSED = "closed"


@router.get("/alerts", dependencies=[needs(Permission.READ)])
async def show_list(request: Request, paging: PagingHere, state: Annotated[str, Query(max_length=20)] = "") -> Response:
    """The open ones first, the worst of them before the others; then what is over, the newest first."""
    chosen, is_open = _chosen(state), alerts.c.closed_at.is_(None)
    statement = select(alerts)
    if chosen is not Shown.ALL:
        statement = statement.where(is_open if chosen is Shown.OPEN else ~is_open)
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, statement, _order(), newest_first=True)
        counted = dict((await conn.execute(select(is_open, func.count()).group_by(is_open))).all())
    open_, closed = counted.get(True, 0), counted.get(False, 0)
    counts = {Shown.ALL: open_ + closed, Shown.OPEN: open_, Shown.CLOSED: closed}
    more = address("/alerts", {"state": chosen, "after": after}) if after else ""
    shown: dict[str, Any] = {"rows": rows, "counts": counts, "chosen": chosen, "here": here(request), "more": more}
    return page(request, "alerts.html", about=about, named=named, **shown)


@router.post("/alerts/{id}/acknowledge", dependencies=[needs(Permission.OPERATE)])
async def do_acknowledge(request: Request, id: Id, change: ChangeHere) -> Response:  # noqa: A002
    """Say that you look at it."""
    back = _chosen((await fields(request)).get("state", ""))
    await acknowledge(change, id)
    return RedirectResponse(address("/alerts", {"state": back}), HTTPStatus.SEE_OTHER)


def _chosen(state: str) -> Shown:
    return Shown(state) if state in set(Shown) else Shown.ALL


def _order() -> ColumnElement[Any]:
    """A number that is larger the sooner an alert is to be seen."""
    ranks = {str(one): at for at, one in enumerate(Severity, 1)}
    apart = {severity: literal(rank * _APART, BigInteger) for severity, rank in ranks.items()}
    rank = case(apart, value=alerts.c.severity, else_=literal(_APART, BigInteger))
    return alerts.c.id + case((alerts.c.closed_at.is_(None), rank), else_=literal(0, BigInteger))
