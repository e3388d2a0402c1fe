"""The calendar: windows and freezes of the next weeks, and when each channel may be updated next."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Request
from starlette.responses import Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.problems import not_found
from tidegate.manager.console import agenda, zone
from tidegate.manager.console.chosen import channel_number
from tidegate.manager.console.day import date_text, local
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.roles import Permission

router = console_router()
MOST_WEEKS = 8
_WEEKS = 2
_MOST_CHOICES = 500


@router.get("/calendar", dependencies=[needs(Permission.READ)])
async def show(
    request: Request,
    parts: PartsHere,
    weeks: Annotated[int, Query(ge=1, le=MOST_WEEKS)] = _WEEKS,
    channel: Annotated[str, Query(max_length=20)] = "",
    tz: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Some weeks from today on, in a time zone; `channel` leaves what is not about it out."""
    now, seen, only = parts.clock(), zone.shown(request, tz), channel_number(channel)
    async with reading(request) as conn:
        known = await agenda.look(conn, now, only)
    asked = [one for one in known.channels if only in (None, one.id)]
    if only is not None and not asked:
        raise not_found(f"channel {only}")
    some = asked[: agenda.MOST_CHANNELS]
    found = await asyncio.to_thread(agenda.work_out, known, some, seen.zone, now, weeks * 7)
    return page(
        request,
        "calendar.html",
        found=found,
        rules=known.rules,
        asked=some,
        more=len(asked) - len(some),
        choices=known.channels[:_MOST_CHOICES],
        chosen=asked[0] if only is not None else None,
        weeks=weeks,
        most_weeks=MOST_WEEKS,
        zone=seen,
        zones=sorted(zone.names()),
        link=_linker(weeks, only, seen),
        moment=lambda moment: local(moment, seen.zone, now),
        date=date_text,
    )


def _linker(weeks: int, channel: int | None, seen: zone.Shown) -> Callable[..., str]:
    def link(**other: Any) -> str:
        """The page as it is asked for now, but for this."""
        asked = {
            "weeks": weeks if weeks != _WEEKS else None,
            "channel": channel,
            "tz": seen.name if seen.asked else None,
        }
        given = {name: value for name, value in (asked | other).items() if value is not None}
        return f"/calendar?{urlencode(given)}" if given else "/calendar"

    return link
