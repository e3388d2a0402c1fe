"""What the calendar's page is made of: windows and freezes, also those of channels' policies, and what each is for."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.cron import occurrences
from tidegate.domain.channel_policy import ChannelPolicy, read_channel_policy
from tidegate.domain.windows import Freeze, Gate, Window, gate, parse_freeze, parse_window
from tidegate.manager.console.calendar import Calendar, Entry, calendar
from tidegate.manager.console.chances import Chance, Places, chances, places
from tidegate.manager.console.scope_words import is_wide, scope_words
from tidegate.manager.rollouts import gates
from tidegate.manager.rollouts.gates import Scope
from tidegate.manager.store.schema import channels, freezes, windows

MOST_CHANNELS = 200
"""So many are told when they may be updated; one beyond is asked for by itself."""
_MOST_DRAWN = 300
_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel and its policy."""

    id: int
    name: str
    policy: ChannelPolicy


@dataclass(frozen=True, slots=True)
class Rule:
    """A window or a freeze as its list has it. `id` None: it is one of the policies of channels."""

    entry: Entry
    id: int | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Agenda:
    """All that is known of it at one moment; `rules` are those that may be about what was asked for."""

    channels: Sequence[Channel]
    rules: Sequence[Rule]
    gates: gates.Calendar
    places: Places


@dataclass(frozen=True, slots=True)
class Shown:
    """It, worked out for a time zone. `next` has, by a rule's key, a window's gate by itself."""

    calendar: Calendar
    next: Mapping[str, Gate]
    chances: Mapping[int, Sequence[Chance]]
    not_drawn: int


async def look(conn: AsyncConnection, now: datetime, only: int | None) -> Agenda:
    """What there is; `only`: of what may be about this channel."""
    rows = await conn.execute(select(channels.c.id, channels.c.name, channels.c.policy).order_by(channels.c.name))
    each = [Channel(one.id, one.name, read_channel_policy(one.policy)) for one in rows]
    known = await gates.calendar(conn, now)
    names = {one.id: one.name for one in each}
    rules = [one for one, scope in await _kept(conn, names, now) if _may_be_about(scope, only)]
    rules += _of_policies([one for one in each if only in (None, one.id)], now)
    return Agenda(each, _coloured(rules), known, await places(conn, known))


def work_out(agenda: Agenda, asked: Sequence[Channel], zone: ZoneInfo, now: datetime, days: int) -> Shown:
    """Days, and the next chances of some channels. It takes a while where rules are many: a thread's work."""
    drawn = [one.entry for one in agenda.rules[:_MOST_DRAWN]]
    following = {one.key: gate(now, [one.rule], [], occurrences) for one in drawn if isinstance(one.rule, Window)}
    found = {
        one.id: chances(agenda.places.gates(agenda.gates, one.id, one.policy, now), one.policy, zone, now)
        for one in asked
    }
    return Shown(calendar(drawn, zone, now, days, occurrences), following, found, len(agenda.rules) - len(drawn))


async def _kept(conn: AsyncConnection, names: Mapping[int, str], now: datetime) -> list[tuple[Rule, Scope]]:
    """Those that are kept beside policies; freezes that are over are left out."""
    none = await conn.execute(select(freezes).where(freezes.c.ends_at > now).order_by(freezes.c.starts_at))
    some = await conn.execute(select(windows).order_by(windows.c.name))
    found = [(row, Freeze(row.starts_at, row.ends_at, row.reason, row.name), "freeze") for row in none]
    both: list[tuple[Any, Window | Freeze, str]] = [
        *found,
        *((row, parse_window(row.window), "window") for row in some),
    ]
    return [(_rule(row, rule, kind, names), Scope.of(row.scope)) for row, rule, kind in both]


def _rule(row: Any, rule: Window | Freeze, kind: str, names: Mapping[int, str]) -> Rule:
    scope = Scope.of(row.scope)
    entry = Entry(f"{kind}-{row.id}", rule, row.name, scope_words(scope, names), is_wide(scope))
    return Rule(entry, row.id, row.created_by)


def _of_policies(some: Sequence[Channel], now: datetime) -> Iterator[Rule]:
    """Those that channels have of their own; the same of several is one."""
    having: dict[tuple[bool, str], list[Channel]] = defaultdict(list)
    for one in some:
        for text in one.policy.freezes:
            having[True, text].append(one)
        for text in one.policy.windows:
            having[False, text].append(one)
    for at, ((is_freeze, text), channels_) in enumerate(having.items()):
        rule = parse_freeze(text) if is_freeze else parse_window(text)
        if isinstance(rule, Freeze) and rule.end.astimezone(UTC) <= now:
            continue
        names = {one.id: one.name for one in channels_}
        scope = scope_words(Scope(frozenset(names)), names)
        name = (
            f"policy of {channels_[0].name.rpartition('/')[2]}" if len(channels_) == 1 else f"{len(channels_)} policies"
        )
        yield Rule(Entry(f"policy-{at}", rule, name, scope, wide=False))


def _may_be_about(scope: Scope, channel: int | None) -> bool:
    return channel is None or not scope.channels or channel in scope.channels


def _coloured(rules: Sequence[Rule]) -> list[Rule]:
    """Windows have colours in turn, so that bands are told apart."""
    found, at = list[Rule](), 0
    for one in rules:
        looks = "freeze" if one.entry.is_freeze else f"w{at % _COLOURS}"
        at += not one.entry.is_freeze
        found.append(replace(one, entry=replace(one.entry, looks=looks)))
    return found
