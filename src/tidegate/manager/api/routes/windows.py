"""Windows: when updates may begin."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints
from sqlalchemy import Row, insert, select

from tidegate.domain.windows import WindowError, parse_window
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionHere, set_etag
from tidegate.manager.api.models import Body, Id, Name
from tidegate.manager.api.named import refuse_taken
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rows import held_row, read_row, remove_row, write_row
from tidegate.manager.api.scopes import Scope, check_scope
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.store.schema import windows

router = make_router("windows")
_READ = [needs(Permission.READ)]
_OPERATE = [needs(Permission.OPERATE)]


def _window(text: str) -> str:
    try:
        return str(parse_window(text))
    except (WindowError, OverflowError) as error:
        raise ValueError(str(error)) from error


class WindowIn(Body):
    """A window as it is wanted."""

    name: Name = Field(description="Its name; no two have the same.")
    window: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_window)] = Field(
        description="`CRON DURATION [ZONE]`, such as `0 2 * * 1-5 4h Europe/Berlin`."
    )
    scope: Scope = Field(default=Scope(), description="What it is for; empty: everything.")


class WindowOut(BaseModel):
    """A window: updates of what it is for begin only while it, or another one for the same, is open."""

    id: int = Field(description="Its number.")
    name: str = Field(description="Its name.")
    window: str = Field(description="`CRON DURATION ZONE`.")
    scope: Scope = Field(description="What it is for; empty: everything.")
    created_by: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    version: int = Field(description="Counts its changes; the number in its ETag.")


def _out(row: Row[Any]) -> WindowOut:
    return WindowOut(
        id=row.id,
        name=row.name,
        window=row.window,
        scope=Scope(**row.scope),
        created_by=row.created_by,
        created_at=row.created_at,
        version=row.edition,
    )


def _values(given: WindowIn) -> dict[str, Any]:
    return {"name": given.name, "window": given.window, "scope": given.scope.document()}


def _kept(row: Row[Any]) -> dict[str, Any]:
    return {"name": row.name, "window": row.window, "scope": row.scope}


@router.get("/windows", dependencies=_READ)
async def list_windows(parts: PartsHere, paging: PagingHere) -> Page[WindowOut]:
    """List the windows. Without any, updates may begin at any time that is not frozen."""
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, select(windows), windows.c.id), _out)


@router.post("/windows", status_code=201, dependencies=_OPERATE)
async def create_window(given: WindowIn, change: ChangeHere, response: Response) -> WindowOut:
    """Make a window; from now on updates of what it is for begin only while it is open."""
    await _check(change, given)
    values = _values(given) | {"created_by": change.who.user, "created_at": change.now}
    row = (await change.conn.execute(insert(windows).values(values).returning(windows))).one()
    await change.note("window.create", f"window {row.id}", after=_kept(row))
    response.headers["Location"] = f"/api/v1/windows/{row.id}"
    set_etag(response, row.edition)
    return _out(row)


@router.get("/windows/{id}", dependencies=_READ)
async def get_window(id: Id, parts: PartsHere, response: Response) -> WindowOut:  # noqa: A002 - it is what it is
    """Show one window."""
    async with parts.db.read() as conn:
        row = await read_row(conn, windows, id, "window")
    set_etag(response, row.edition)
    return _out(row)


@router.put("/windows/{id}", dependencies=_OPERATE)
async def replace_window(
    id: Id,  # noqa: A002 - it is what it is
    given: WindowIn,
    edition: EditionHere,
    change: ChangeHere,
    response: Response,
) -> WindowOut:
    """Change a window."""
    before = await held_row(change.conn, windows, id, "window", edition)
    await _check(change, given, but=id)
    row = await write_row(change.conn, windows, before, **_values(given))
    await change.note("window.update", f"window {id}", before=_kept(before), after=_kept(row))
    set_etag(response, row.edition)
    return _out(row)


@router.delete("/windows/{id}", status_code=204, dependencies=_OPERATE)
async def delete_window(id: Id, edition: EditionHere, change: ChangeHere) -> None:  # noqa: A002 - it is what it is
    """Take a window away."""
    row = await held_row(change.conn, windows, id, "window", edition)
    await rules_changed(change.conn, change.now)
    await remove_row(change.conn, windows, row)
    await change.note("window.delete", f"window {id}", before=_kept(row))


async def _check(change: Change, given: WindowIn, but: int = 0) -> None:
    await refuse_taken(change.conn, windows, given.name, "window", but=but)
    await check_scope(change.conn, given.scope)
    await rules_changed(change.conn, change.now)
