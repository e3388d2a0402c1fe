"""Windows and freezes as days with bands: what is drawn of them, for a time zone and from a moment on."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from tidegate.domain.windows import Freeze, Occurrences, Window
from tidegate.manager.console.day import Extent, change, clock, extents, hours

_OF_ONE = 5_000
_OF_ALL = 40_000
"""Openings that are looked at of one window and of all: some open every minute, and a page is made of them."""
_APART = 6
"""So many bands of one window on one day are drawn one by one."""
_LANES = 8
_HOUR = timedelta(hours=1)
_GRID_H = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """One window or freeze. `scope`: what it is for, in words; `wide`: everything; `looks`: its colour."""

    key: str
    rule: Window | Freeze
    name: str
    scope: str = "everything"
    wide: bool = True
    looks: str = ""

    @property
    def is_freeze(self) -> bool:
        """Whether it holds back."""
        return isinstance(self.rule, Freeze)

    @property
    def said(self) -> str:
        """What is written on its band."""
        reason = self.rule.reason if isinstance(self.rule, Freeze) else ""
        return f"{self.name}: {reason}" if reason else self.name


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, not including, `end`; both in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Band:
    """A span within a day; `left`, `width` and `room` (for its name) are shares of the day in percent.

    `times` is more than 1 where so many spans are drawn as one.
    """

    entry: Entry
    span: Span
    when: str
    left: float
    width: float
    room: float = 0
    lane: int = 0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Day:
    """A day with what is on. `more` bands have no room; `at` is where in it now is, if it is today."""

    extent: Extent
    bands: Sequence[Band]
    grid: Sequence[tuple[int, float]]
    change: str
    at: float | None
    more: int

    @property
    def lanes(self) -> int:
        """How many bands are above each other."""
        return max((one.lane + 1 for one in self.bands), default=0)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Some days. `unknown`: of windows that open too often to be followed to the end, by key, from when on."""

    days: Sequence[Day]
    unknown: Mapping[str, datetime]


def calendar(entries: Iterable[Entry], zone: ZoneInfo, now: datetime, count: int, occurrences: Occurrences) -> Calendar:
    """So many days, today the first."""
    each = list(extents(zone, now, count))
    start, end = each[0].start, each[-1].end
    spans: list[tuple[Entry, list[Span]]] = []
    unknown, left = dict[str, datetime](), _OF_ALL
    for entry in sorted(entries, key=lambda one: not one.is_freeze):
        if isinstance(entry.rule, Freeze):
            spans.append((entry, _that_meet([_of_freeze(entry.rule)], start, end)))
            continue
        some, looked, until = open_spans(entry.rule, start, end, occurrences, most=min(_OF_ONE, left))
        left = max(0, left - looked)
        spans.append((entry, some))
        if until is not None:
            unknown[entry.key] = until
    return Calendar([_day(one, spans, zone, now) for one in each], unknown)


def open_spans(
    window: Window, start: datetime, end: datetime, occurrences: Occurrences, *, most: int = _OF_ONE
) -> tuple[list[Span], int, datetime | None]:
    """When it is open of the time between two moments, and how many openings were looked at.

    Openings that meet are one span. The last is None, or from when on it is not known, because `most` were looked at.
    """
    found: list[Span] = []
    looked = 0
    for opened in occurrences(window.cron, window.zone, _look_from(window, start, occurrences)):
        if opened >= end:
            break
        if looked == most:
            return _that_meet(found, start, end), looked, max(opened, start)
        looked += 1
        if found and opened <= found[-1].end:
            found[-1] = Span(found[-1].start, opened + window.duration)
        else:
            found.append(Span(opened, opened + window.duration))
    return _that_meet(found, start, end), looked, None


def _look_from(window: Window, start: datetime, occurrences: Occurrences) -> datetime:
    """From where on the latest opening before `start` is found, if it is still open then, with few before it."""
    back = min(window.duration, _HOUR)
    while back < window.duration:
        first = next(occurrences(window.cron, window.zone, start - back), None)
        if first is not None and first <= start:
            return start - back
        back *= 2
    return start - window.duration


def _of_freeze(freeze: Freeze) -> Span:
    return Span(freeze.start.astimezone(UTC), freeze.end.astimezone(UTC))


def _that_meet(spans: Sequence[Span], start: datetime, end: datetime) -> list[Span]:
    """Of spans in their order, of which no two meet, those that have a part of this time."""
    first = bisect_right(spans, start, key=lambda one: one.end)
    return list(takewhile(lambda one: one.start < end, islice(spans, first, None)))


def _day(extent: Extent, spans: Iterable[tuple[Entry, Sequence[Span]]], zone: ZoneInfo, now: datetime) -> Day:
    bands = [band for entry, some in spans for band in _bands(entry, some, extent, zone)]
    placed = _placed(bands)
    shown = [one for one in placed if one.lane < _LANES]
    at = extent.share(now) if extent.start <= now < extent.end else None
    return Day(extent, shown, hours(extent, zone, _GRID_H), change(extent, zone), at, len(placed) - len(shown))


def _bands(entry: Entry, spans: Sequence[Span], extent: Extent, zone: ZoneInfo) -> Iterator[Band]:
    some = _that_meet(spans, extent.start, extent.end)
    if len(some) > _APART:
        yield _band(entry, Span(some[0].start, some[-1].end), extent, zone, times=len(some))
        return
    for one in some:
        yield _band(entry, one, extent, zone)


def _band(entry: Entry, span: Span, extent: Extent, zone: ZoneInfo, *, times: int = 1) -> Band:
    when = _when(span, extent, zone) if times == 1 else f"{times} times, {_when(span, extent, zone)}"
    part = Span(max(span.start, extent.start), min(span.end, extent.end))
    left = extent.share(part.start)
    return Band(entry, part, when, left, extent.share(part.end) - left, times=times)


def _when(span: Span, extent: Extent, zone: ZoneInfo) -> str:
    """When it is on that day: both times, or `from 22:00` where it goes on."""
    if span.start <= extent.start and span.end >= extent.end:
        return "all day"
    if span.start < extent.start:
        return f"until {clock(span.end, zone)}"
    if span.end > extent.end:
        return f"from {clock(span.start, zone)}"
    ends = "24:00" if span.end == extent.end else clock(span.end, zone)
    return f"{clock(span.start, zone)}–{ends}"  # noqa: RUF001 - a span


def _placed(bands: Iterable[Band]) -> list[Band]:
    """Each in the first lane that is free: freezes above, then windows; names have room up to the next band."""
    lanes: list[list[Band]] = []
    order = sorted(bands, key=lambda one: (not one.entry.is_freeze, one.span.start, one.span.end, one.entry.key))
    for band in order:
        number = next((at for at, lane in enumerate(lanes) if _fits(lane, band)), len(lanes))
        if number == len(lanes):
            lanes.append([])
        lanes[number].append(replace(band, lane=number))
    return [one for lane in lanes for one in _with_room(sorted(lane, key=lambda one: one.left))]


def _fits(lane: Sequence[Band], band: Band) -> bool:
    meets = any(one.span.start < band.span.end and band.span.start < one.span.end for one in lane)
    return not meets and lane[0].entry.is_freeze == band.entry.is_freeze


def _with_room(lane: Sequence[Band]) -> Iterator[Band]:
    for at, one in enumerate(lane):
        following = lane[at + 1].left if at + 1 < len(lane) else 100
        yield replace(one, room=following - one.left)
