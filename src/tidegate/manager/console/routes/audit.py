"""The audit log: who did what, and whether it is as it was written."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from sqlalchemy import ColumnElement, select
from starlette.responses import Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.problems import invalid
from tidegate.manager.console.differences import differences
from tidegate.manager.console.links import about, address, named
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.audit_check import AuditChecks
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import audit

router = console_router()
_READ = [needs(Permission.READ)]
_DAY = timedelta(days=1)
Whole = Annotated[str, Query(max_length=300)]
Day = Annotated[str, Query(max_length=20)]


def _given(
    actor: Whole = "",
    action: Whole = "",
    subject: Whole = "",
    since: Annotated[str, Query(max_length=20, alias="from")] = "",
    to: Day = "",
) -> dict[str, str]:
    given = {"actor": actor, "action": action, "subject": subject, "from": since, "to": to}
    return {name: value.strip() for name, value in given.items()}


Given = Annotated[dict[str, str], Depends(_given)]


@router.get("/audit", dependencies=_READ)
async def show_list(request: Request, parts: PartsHere, paging: PagingHere, given: Given) -> Response:
    """The newest entry first. `action` takes a family, too: `rollout` is all of `rollout.*`; days are of UTC."""
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, select(audit).where(*_wanted(given)), audit.c.number, newest_first=True)
    entries = [(row, differences(row.before, row.after)) for row in rows]
    more = address("/audit", given | {"after": after}) if after else ""
    shown: dict[str, Any] = {
        "entries": entries,
        "given": given,
        "more": more,
        "about": about,
        "named": named,
        "address": address,
    }
    return page(request, "audit.html", checked=parts.one(AuditChecks).latest, **shown)


@router.get("/audit/check", dependencies=_READ)
async def check(request: Request, parts: PartsHere) -> Response:
    """Go through the whole log, which takes as long as it takes; who asks meanwhile waits for the same answer."""
    found = await parts.one(AuditChecks).check()
    async with reading(request):
        return page(request, "audit_check.html", found=found)


def _wanted(given: dict[str, str]) -> list[ColumnElement[Any]]:
    found: list[ColumnElement[Any]] = []
    if given["actor"]:
        found.append(audit.c.actor == given["actor"])
    if given["subject"]:
        found.append(audit.c.subject == given["subject"])
    if given["action"]:
        family = audit.c.action.startswith(f"{given['action'].removesuffix('.')}.", autoescape=True)
        found.append((audit.c.action == given["action"]) | family)
    if given["from"]:
        found.append(audit.c.at >= _day("from", given["from"]))
    if given["to"]:
        found.append(audit.c.at < _day("to", given["to"]) + _DAY)
    return found


def _day(name: str, text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise invalid(f"query.{name}", "it takes a day such as 2026-12-20") from None
