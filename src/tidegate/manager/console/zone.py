"""The time zone in which somebody is shown times: asked for, else their browser's, else UTC."""

from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Request

COOKIE = "tidegate-zone"
"""A script sets it to the browser's zone."""
UTC = "UTC"
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """The zone, whether it was asked for with the page, and a name that was asked for and is none."""

    zone: ZoneInfo
    asked: bool
    unknown: str = ""

    @property
    def name(self) -> str:
        """Its name, as the tz database has it."""
        return self.zone.key


@cache
def names() -> frozenset[str]:
    """Every zone that there is."""
    return frozenset(available_timezones())


def shown(request: Request, tz: str) -> Shown:
    """The zone for a page; `tz` is what was asked for with it."""
    kept = unquote(request.cookies.get(COOKIE, ""))[:_LONGEST]
    if tz in names():
        return Shown(ZoneInfo(tz), asked=tz != kept)
    return Shown(ZoneInfo(kept if kept in names() else UTC), asked=False, unknown=tz)
