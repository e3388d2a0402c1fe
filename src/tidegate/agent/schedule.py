"""When the agent looks for new releases: at an interval, or by cron expressions as Watchtower takes them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from tidegate.cron import occurrences
from tidegate.domain.durations import format_duration, parse_duration

TAKES = (
    "six cron fields, seconds first (such as `0 30 4 * * *`), or @every DURATION, @hourly, @daily, @weekly,"
    " @monthly, @yearly, all with TZ=ZONE before them if needed"
)

_FIELDS = 6
_DESCRIPTORS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}


class Schedule(Protocol):
    """Says when the next check is due."""

    def next_after(self, now: datetime) -> datetime:
        """The first moment after `now` (with a time zone), in UTC."""


@dataclass(frozen=True, slots=True)
class Every:
    """A check every so many seconds."""

    seconds: float

    def next_after(self, now: datetime) -> datetime:
        """`now` and the interval."""
        return now.astimezone(UTC) + timedelta(seconds=self.seconds)

    def __str__(self) -> str:
        return f"every {format_duration(self.seconds)}"


@dataclass(frozen=True, slots=True)
class Cron:
    """A check at the moments of a cron expression with a seconds field, in one time zone."""

    expression: str
    zone: str

    def next_after(self, now: datetime) -> datetime:
        """The next moment that the expression means, by its zone's clock."""
        return next(occurrences(self.expression, self.zone, now))

    def __str__(self) -> str:
        return f"at {self.expression} ({self.zone})"


def parse_zone(name: str) -> tzinfo:
    """A zone of the tz database; empty is UTC. Raises ValueError."""
    name = name.removeprefix(":")
    if name in {"", "UTC"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Rome") from None


def parse_schedule(text: str, zone: tzinfo) -> Schedule:
    """Watchtower's `--schedule`. Raises ValueError, also for one that never comes due."""
    text = text.strip()
    for prefix in ("CRON_TZ=", "TZ="):
        if text.startswith(prefix):
            name, _, text = text.removeprefix(prefix).partition(" ")
            zone, text = parse_zone(name), text.strip()
    if text.startswith("@every "):
        return Every(_interval(text.removeprefix("@every ")))
    expression = _DESCRIPTORS.get(text, text).replace("?", "*")
    if len(expression.split()) != _FIELDS:
        raise ValueError(f"{text!r} has not six fields")
    return _cron(expression, zone)


def _interval(text: str) -> float:
    seconds = parse_duration(text)
    if seconds < 1:
        raise ValueError(f"{text!r} is less than a second")
    return seconds


def _cron(expression: str, zone: tzinfo) -> Cron:
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        raise ValueError(f"{expression!r} is not a cron expression that ever comes due") from None
    return Cron(expression, str(zone))
