"""Windows: when updates may begin."""

from typing import Annotated

from fastapi import Response
from pydantic import AfterValidator, Field, StringConstraints

from tidegate.cron import ever_occurs
from tidegate.domain.windows import WindowError, parse_window
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import Page, PagingHere
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rules import OnlyHere, RuleIn, RuleOut, Rules
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import windows

router = make_router("windows")
NEVER = "the window {!r} never opens: none of its months has such a day"
_READ = [needs(Permission.READ)]
_OPERATE = [needs(Permission.OPERATE)]


def _window(text: str) -> str:
    try:
        window = parse_window(text)
    except (WindowError, OverflowError) as error:
        raise ValueError(str(error)) from error
    if not ever_occurs(window.cron, window.zone):
        raise ValueError(NEVER.format(text))
    return str(window)


class WindowIn(RuleIn):
    """A window as it is wanted."""

    window: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_window)] = Field(
        description="`CRON DURATION [ZONE]`, such as `0 2 * * 1-5 4h Europe/Berlin`."
    )


class WindowOut(RuleOut):
    """A window: updates of what it is for begin only while it, or another one for the same, is open."""

    window: str = Field(description="`CRON DURATION ZONE`.")


WINDOWS = Rules("window", windows, WindowIn, WindowOut)


@router.get("/windows", dependencies=_READ)
async def list_windows(parts: PartsHere, paging: PagingHere, only: OnlyHere) -> Page[WindowOut]:
    """List the windows. Without any, updates may begin at any time that is not frozen."""
    return await WINDOWS.every(parts, paging, only)


@router.post("/windows", status_code=201, dependencies=_OPERATE)
async def create_window(given: WindowIn, change: ChangeHere, response: Response) -> WindowOut:
    """Make a window; from now on updates of what it is for begin only while it is open."""
    return await WINDOWS.create(change, given, response)


@router.get("/windows/{id}", dependencies=_READ)
async def get_window(id: Id, parts: PartsHere, response: Response) -> WindowOut:  # noqa: A002 - it is what it is
    """Show one window."""
    return await WINDOWS.one(parts, id, response)


@router.put("/windows/{id}", dependencies=_OPERATE)
async def replace_window(
    id: Id,  # noqa: A002 - it is what it is
    given: WindowIn,
    edition: EditionHere,
    change: ChangeHere,
    response: Response,
) -> WindowOut:
    """Change a window."""
    return await WINDOWS.replace(change, id, edition, given, response)


@router.delete("/windows/{id}", status_code=204, dependencies=_OPERATE)
async def delete_window(id: Id, edition: EditionHere, change: ChangeHere) -> None:  # noqa: A002 - it is what it is
    """Take a window away."""
    await WINDOWS.delete(change, id, edition)
