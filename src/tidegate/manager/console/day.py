"""Days as a time zone has them: of 24 hours, of 23 or 25 where clocks change, or none at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Extent:
    """A date, its first moment and the first one after it; both in UTC."""

    date: date
    start: datetime
    end: datetime

    @property
    def lasts(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    def share(self, moment: datetime) -> float:
        """Where in the day a moment is: 0 at its start, 100 at its end."""
        return 100 * ((moment - self.start) / self.lasts)


def extents(zone: ZoneInfo, now: datetime, count: int) -> Iterator[Extent]:
    """So many days from the one on that it is now; a date that a zone has left out is none."""
    day = now.astimezone(zone).date()
    for _ in range(count):
        start, end = first_moment(day, zone), first_moment(day + _DAY, zone)
        if end > start:
            yield Extent(day, start, end)
        day += _DAY


def first_moment(day: date, zone: ZoneInfo) -> datetime:
    """When a date begins, in UTC: at midnight, or where clocks are put forward at midnight, then."""
    # of a time that is passed over, and of one that comes twice, Python takes what clocks said before: the same moment
    return datetime.combine(day, time(), zone).astimezone(UTC)


def hours(extent: Extent, zone: ZoneInfo, every: int) -> list[tuple[int, float]]:
    """Full hours of the clock within a day, and where in it they are."""
    there = {hour: datetime.combine(extent.date, time(hour), zone).astimezone(UTC) for hour in range(every, 24, every)}
    return [(hour, extent.share(moment)) for hour, moment in there.items()]


def change(extent: Extent, zone: ZoneInfo) -> str:
    """What clocks do on that day, in words; mostly nothing."""
    before, after = extent.start.astimezone(zone).utcoffset(), extent.end.astimezone(zone).utcoffset()
    if before is None or after is None or before == after:
        return ""
    length = f"{extent.lasts.total_seconds() / 3600:g} hours"
    return f"clocks are put {'forward' if after > before else 'back'}: a day of {length}"


def clock(moment: datetime, zone: ZoneInfo) -> str:
    """The time of day; in an hour that comes twice, with which of them it is."""
    there = moment.astimezone(zone)
    twice = there.replace(fold=0).utcoffset() != there.replace(fold=1).utcoffset()
    return f"{there:%H:%M %Z}" if twice else f"{there:%H:%M}"


def date_text(moment: date) -> str:
    """Such as `Tue 1 Dec`."""
    return f"{moment:%a} {moment.day} {moment:%b}"


def local(moment: datetime, zone: ZoneInfo, now: datetime) -> str:
    """A moment as it is said now: within a week `Tue 02:00`, else with its date, and its year where that is another."""
    there, here = moment.astimezone(zone), now.astimezone(zone)
    if there.date() == here.date():
        return clock(moment, zone)
    if timedelta() < there.date() - here.date() < timedelta(days=7):
        return f"{there:%a} {clock(moment, zone)}"
    year = f" {there.year}" if there.year != here.year else ""
    return f"{date_text(there)}{year} {clock(moment, zone)}"
