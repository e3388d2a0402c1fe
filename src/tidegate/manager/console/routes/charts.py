"""Trends: how updates went and what ran, over time; as charts where there is a script, and as tables."""

from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.problems import not_found
from tidegate.manager.console.chosen import channel_number
from tidegate.manager.console.page import packed, page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.console.trends import MOST_CHANNELS, MOST_DAYS, Looks, Spread, Trends
from tidegate.manager.console.words import took
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import channels

router = console_router()
_PERIODS = (7, 30, 90, MOST_DAYS)
_MOST_CHOICES = 500
_READ = [needs(Permission.READ)]
Days = Annotated[int, Query(ge=1, le=MOST_DAYS)]
Channel = Annotated[str, Query(max_length=20)]


@router.get("/charts", dependencies=_READ)
async def show(request: Request, parts: PartsHere, days: Days = 30, channel: Channel = "") -> Response:
    """So many days up to today, of all channels or of one."""
    only = channel_number(channel)
    async with reading(request) as conn:
        rows = await conn.execute(select(channels.c.id, channels.c.name).order_by(channels.c.name))
        names = {one.id: one.name for one in rows}
    if only is not None and only not in names:
        raise not_found(f"channel {only}")
    found = await parts.one(Looks).look(days, only)
    return page(
        request,
        "charts.html",
        it=found,
        rows=_by_days(found),
        took=took,
        changes=[(one, _changed(found, one)) for one in found.spreads],
        days=days,
        periods=sorted({*_PERIODS, days}),
        chosen=only,
        choices=dict(list(names.items())[:_MOST_CHOICES]),
        most_channels=MOST_CHANNELS if only is None and len(names) > MOST_CHANNELS else None,
        source=f"/charts/data?days={days}" + (f"&channel={only}" if only is not None else ""),
    )


@router.get("/charts/data", dependencies=_READ)
async def data(request: Request, parts: PartsHere, days: Days = 30, channel: Channel = "") -> Response:
    """The same, for charts."""
    found = await parts.one(Looks).look(days, channel_number(channel))
    return packed(
        request, JSONResponse(found.document(), headers={"Cache-Control": "no-store", "Vary": "Accept-Encoding"})
    )


def _by_days(it: Trends) -> list[dict[str, Any]]:
    """Days on which something ended, the latest first."""
    kinds = {
        "healthy": it.outcomes.healthy,
        "failed": it.outcomes.failed,
        "inconclusive": it.outcomes.inconclusive,
        "put_back": it.outcomes.put_back,
    }
    times = {"median": it.durations.median, "p95": it.durations.p95, "longest": it.durations.longest}
    found = []
    for at, day in reversed(list(enumerate(it.days))):
        counts = {name: some[at] for name, some in kinds.items()}
        if any(counts.values()):
            found.append({"day": day, **counts, **{name: some[at] for name, some in times.items()}})
    return found


def _changed(it: Trends, spread: Spread) -> list[tuple[str, list[int]]]:
    """Days on which what runs was another than the day before, the latest first."""
    each = [(day, [one.counts[at] for one in spread.versions]) for at, day in enumerate(it.days)]
    kept = [one for at, one in enumerate(each) if at == 0 or one[1] != each[at - 1][1]]
    return kept[::-1]
