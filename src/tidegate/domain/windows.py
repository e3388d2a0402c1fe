"""Update windows and freezes: when an update may begin.

A window opens at each occurrence of a cron expression in its time zone and stays open for a stretch of
*elapsed* time, so a four-hour window is four hours long on the days when clocks change. A freeze closes
every window. Without a window, updates may begin at any time that is not frozen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from tidegate.domain.cronfields import complaint
from tidegate.domain.durations import format_duration, parse_duration

Occurrences = Callable[[str, str, datetime], Iterator[datetime]]
"""`occurrences(cron, zone, start)`: the instants strictly after `start`, ascending; may end."""

_WINDOW_FORM = "a window is `CRON DURATION [ZONE]`, e.g. `0 2 * * 1-5 4h Europe/Berlin`"
_FREEZE_FORM = "a freeze is `FROM/TO [ZONE] [REASON]`, e.g. `2026-12-20/2027-01-03 year end`"
_CRON_FIELDS = 5
_FOLLOWING = 100
_LONGEST = timedelta(days=366)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


class WindowError(ValueError):
    """A window or a freeze that cannot be understood; the message quotes it and says what it takes."""


@dataclass(frozen=True, slots=True)
class Window:
    """Open from each occurrence of `cron` (five fields, in `zone`) for `duration` of elapsed time."""

    cron: str
    duration: timedelta
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.cron} {format_duration(self.duration.total_seconds())} {self.zone}"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Closed from `start` up to, not including, `end`; both carry a time zone. `name`: what people call it by."""

    start: datetime
    end: datetime
    reason: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether an update may begin now, why (or why not), and when it may next.

    `next_open` is None while the gate is open, and where it never opens again. `closes_at` is until when it is open at
    least; None while it is closed, and where it is known not to close. `frozen`: the freeze that closes it.
    """

    open: bool
    reason: str
    next_open: datetime | None = None
    closes_at: datetime | None = None
    frozen: Freeze | None = field(default=None, compare=False)


def parse_window(text: str, *, default_zone: str = "UTC") -> Window:
    """`CRON DURATION [ZONE]`. Raises `WindowError`."""
    words = text.split()
    cron, rest = " ".join(words[:_CRON_FIELDS]), words[_CRON_FIELDS:]
    if not 1 <= len(rest) <= 2:  # noqa: PLR2004 - a duration, and a zone or none
        raise WindowError(f"The window {text!r} cannot be read: {_WINDOW_FORM}.")
    wrong = complaint(cron)
    if wrong:
        raise WindowError(f"The window {text!r} cannot be read: {wrong}.")
    zone = rest[1] if len(rest) > 1 else default_zone
    _zone(zone, f"The window {text!r}")
    return Window(cron, _duration(rest[0], text), zone)


def parse_windows(text: str, *, default_zone: str = "UTC") -> tuple[Window, ...]:
    """Windows separated by `;`; empty text is no window. Raises `WindowError`."""
    return tuple(parse_window(part.strip(), default_zone=default_zone) for part in _parts(text))


def parse_freeze(text: str, *, default_zone: str = "UTC") -> Freeze:
    """`FROM/TO [ZONE] [REASON]`: dates (TO included to its end) or times. Raises `WindowError`."""
    span, _, rest = text.strip().partition(" ")
    word, _, after = rest.strip().partition(" ")
    named = "/" in word or word in available_timezones()
    zone = _zone(word if named else default_zone, f"The freeze {text!r}")
    first, slash, last = span.partition("/")
    if not slash:
        raise WindowError(f"The freeze {text!r} cannot be read: {_FREEZE_FORM}.")
    start, end = _moment(first, zone, text), _moment(last, zone, text, end=True)
    if _utc(end) <= _utc(start):
        raise WindowError(
            f"The freeze {text!r} ends before it begins: {_skipped(start) or 'put the earlier date first'}."
        )
    return Freeze(start, end, (after if named else rest).strip())


def parse_freezes(text: str, *, default_zone: str = "UTC") -> tuple[Freeze, ...]:
    """Freezes separated by `;`; empty text is none. Raises `WindowError`."""
    return tuple(parse_freeze(part.strip(), default_zone=default_zone) for part in _parts(text))


def gate(now: datetime, windows: Sequence[Window], freezes: Sequence[Freeze], occurrences: Occurrences) -> Gate:
    """Whether an update may begin at `now` (which carries a time zone)."""
    now = _utc(now)
    opens = _next_open(now, windows, freezes, occurrences)
    if opens == now:
        closes = _closes(now, windows, freezes, occurrences)
        return Gate(open=True, reason=_why_open(now, windows, occurrences), closes_at=closes)
    frozen = _freeze_at(now, freezes)
    why = _why_closed(frozen)
    if opens is None:
        return Gate(open=False, reason=f"{why}; no window opens after that", frozen=frozen)
    zone = ZoneInfo(windows[0].zone) if windows else UTC
    if frozen is None or opens != _utc(frozen.end):
        why += f"; opens {_show(opens, zone)}"
    return Gate(open=False, reason=why, next_open=opens, frozen=frozen)


def _next_open(
    at: datetime, windows: Sequence[Window], freezes: Sequence[Freeze], occurrences: Occurrences
) -> datetime | None:
    # each round passes the end of at least one freeze, so there are at most as many rounds as freezes
    while True:
        openings = [_opening(at, window, occurrences) for window in windows]
        known = [max(at, opening) for opening in openings if opening is not None]
        if windows and not known:
            return None
        at = min(known, default=at)
        frozen = _freeze_at(at, freezes)
        if frozen is None:
            return at
        at = _utc(frozen.end)


def _closes(
    at: datetime, windows: Sequence[Window], freezes: Sequence[Freeze], occurrences: Occurrences
) -> datetime | None:
    """Until when it is open from `at` on, at least: windows that follow on each other are one, so far as is looked."""
    frozen = min((_utc(one.start) for one in freezes if _utc(one.start) > at), default=None)
    if not windows:
        return frozen
    for _ in range(_FOLLOWING):
        covering = [end for one in windows if (end := _end(at, one, occurrences)) is not None]
        if not covering or (frozen is not None and at >= frozen):
            break
        at = max(covering)
    return at if frozen is None else min(at, frozen)


def _end(at: datetime, window: Window, occurrences: Occurrences) -> datetime | None:
    """When the window closes that covers `at`; None where none does."""
    opened = _opening(at, window, occurrences)
    return opened + window.duration if opened is not None and opened <= at else None


def _opening(at: datetime, window: Window, occurrences: Occurrences) -> datetime | None:
    """When the window that covers `at` opened, else when the next one opens."""
    # occurrences are strictly later than their start, so the first after (at - duration) covers `at`
    # exactly when it is not later than `at`
    first = next(occurrences(window.cron, window.zone, at - window.duration), None)
    return None if first is None else _utc(first)


def _freeze_at(at: datetime, freezes: Iterable[Freeze]) -> Freeze | None:
    covering = [freeze for freeze in freezes if _utc(freeze.start) <= at < _utc(freeze.end)]
    return max(covering, key=lambda freeze: _utc(freeze.end), default=None)


def _why_open(now: datetime, windows: Sequence[Window], occurrences: Occurrences) -> str:
    for window in windows:
        opened = _opening(now, window, occurrences)
        if opened is not None and opened <= now:
            closes = _show(opened + window.duration, ZoneInfo(window.zone))
            return f"inside the window {str(window)!r} until {closes}"
    return "no window is set"


def _why_closed(frozen: Freeze | None) -> str:
    if frozen is None:
        return "outside every update window"
    until = f"frozen until {_show(frozen.end, frozen.end.tzinfo or UTC)}"
    if frozen.name:
        return f'{until} by "{frozen.name}"' + (f": {frozen.reason}" if frozen.reason else "")
    return f"{until} ({frozen.reason})" if frozen.reason else until


def _parts(text: str) -> list[str]:
    return [part for part in text.split(";") if part.strip()]


def _duration(word: str, text: str) -> timedelta:
    try:
        duration = timedelta(seconds=parse_duration(word))
    except ValueError as error:
        raise WindowError(f"The window {text!r} cannot be read: its duration {error}.") from error
    if not timedelta(0) < duration <= _LONGEST:
        raise WindowError(f"The window {text!r} cannot be used: {word!r} is not between 1ms and 366 days.")
    return duration


def _zone(name: str, what: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise WindowError(
            f"{what} names the time zone {name!r}, which is not known: use a name such as Europe/Berlin or UTC."
        ) from error


def _moment(word: str, zone: ZoneInfo, text: str, *, end: bool = False) -> datetime:
    timed = "T" in word.upper()
    try:
        moment = datetime.fromisoformat(word) if timed else datetime.combine(date.fromisoformat(word), time())
    except ValueError as error:
        raise WindowError(
            f"The freeze {text!r} cannot be read: {word!r} is not a date such as 2026-12-20 "
            "or a time such as 2026-12-20T18:00."
        ) from error
    # beyond these, other time zones and the time after a freeze could not be reckoned with
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise WindowError(
            f"The freeze {text!r} cannot be used: the year of {word!r} is not between {_FIRST_YEAR} and {_LAST_YEAR}."
        )
    if end and not timed:
        moment += timedelta(days=1)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _skipped(moment: datetime) -> str:
    """What to write in place of a time that clocks pass over; empty where they do not."""
    there = _utc(moment).astimezone(moment.tzinfo)
    if there.replace(tzinfo=None) == moment.replace(tzinfo=None):
        return ""
    return f"clocks are put forward over {moment:%Y-%m-%d %H:%M}, which is {there:%H:%M} there"


def _utc(moment: datetime) -> datetime:
    # two times of the same zone compare by the wall clock, which is wrong in the repeated hour
    return moment.astimezone(UTC)


def _show(moment: datetime, zone: tzinfo) -> str:
    local = moment.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M} {getattr(zone, 'key', None) or local.tzname()}"
