"""`tidegate top` drawn: a look at the fleet as lines for a terminal of any size. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from tidegate.cli.fleet.model import Rollout, Wave, familiar
from tidegate.cli.fleet.top_bar import bar
from tidegate.cli.fleet.top_model import Facts, Look, StandingCluster, Waiting
from tidegate.cli.fleet.watch_view import counts_text, state_line, wave_state
from tidegate.cli.tables import safe, short_time
from tidegate.domain.standing import Standing

_COLOURS: Final[Mapping[str, str]] = {
    Standing.OFFLINE: "magenta",
    Standing.FAILED: "bold red",
    Standing.UPDATING: "cyan",
    Standing.BEHIND: "yellow",
    Standing.HELD: "bright_blue",
    Standing.CURRENT: "green",
}
_STATES: Final = {"running": "cyan", "rolling_back": "red", "paused": "yellow"}
_STANDING: Final = max(len(one) for one in Standing)
_LEAST_CLUSTERS: Final = 5
"""Lines that clusters have before anything else has more than one, with what stands above them."""
_AIRY: Final = 18
"""So high a terminal has room for empty lines."""
_WIDEST_BAR: Final = 30
_WITH_VERSIONS: Final = 64
_WITH_WHY: Final = 40
_GAP: Final = 2
_LEAST_WORDS: Final = 10
_NO_CLUSTER: Final = "No agent has told of a cluster yet; `tidegate agents enrol` makes a token with which one joins."
_KEYS: Final = ("q quit", "↑ ↓ PgUp PgDn scroll", "/ filter", "r refresh")
_PLAIN_KEYS: Final = ("q quit", "arrows PgUp PgDn scroll", "/ filter", "r refresh")


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lines, none wider and no more than there is room for; `rows` of them are for clusters."""

    lines: Sequence[Text]
    rows: int


def draw(look: Look, width: int, height: int, *, plain: bool = False) -> Drawing:
    """What fits on a screen; `plain`: of a terminal with few letters."""
    facts = look.facts
    head = [_title(look, width), _numbers(facts, width)][: max(1, height - 2)]
    feet = min(1, height - len(head))
    room = height - len(head) - feet
    gap = [Text()] if height >= _AIRY else []
    spare = max(0, room - _LEAST_CLUSTERS - len(gap))
    waiting = _under(gap, _waiting(facts, width, (spare if not facts.rollouts else (spare + 1) // 2) - len(gap)))
    rollouts = _under(gap, _rollouts(facts, width, spare - len(waiting) - len(gap), plain=plain))
    above = [*head, *waiting, *rollouts, *gap, _clusters_title(look, width)][: height - feet]
    rows = max(0, height - len(above) - feet)
    below = _clusters(look, width, range(look.offset, look.offset + rows))
    filler = [Text() for _ in range(height - len(above) - len(below) - feet)]
    foot = [_foot(look, width, rows, plain=plain)][:feet]
    return Drawing([_cut(line, width) for line in (*above, *below, *filler, *foot)], rows)


def whole(look: Look, width: int) -> list[Text]:
    """All of it below each other, for a file or a pipe."""
    facts, gap = look.facts, [Text()]
    sections = [
        _waiting(facts, width, len(facts.waiting) + 2),
        _rollouts(facts, width, sum(1 + len(one.detail) for one in facts.rollouts) + 2, plain=False),
        [_clusters_title(look, width), *_clusters(look, width, range(len(facts.clusters)))],
    ]
    left = facts.matching - len(facts.clusters)
    more = [Text(f"and {left} more")] if left > 0 else []
    lines = [_title(look, width), _numbers(facts, width), *(line for one in sections for line in _under(gap, one))]
    return [_cut(line, width) for line in (*lines, *more)]


# the head and the foot


def _title(look: Look, width: int) -> Text:
    """Which manager, and whether it answers: that is said even where there is no room for the other."""
    state = Text("connected", "green")
    if look.lost_since:
        state = Text(f"reconnecting since {look.lost_since}", "bold red")
    name = _cut(
        Text.assemble(("Tidegate", "bold"), "  ", safe(look.manager)), max(0, width - cell_len(state.plain) - 2)
    )
    return _cut(Text.assemble(name, " " * max(2, width - cell_len(name.plain) - cell_len(state.plain)), state), width)


def _numbers(facts: Facts, width: int) -> Text:
    agents = f"{facts.online} {_form('agent', facts.online)} online"
    parts = [
        Text(agents),
        Text(f"{facts.offline} offline", "magenta" if facts.offline else "dim"),
        Text(f"{facts.targets} {_form('target', facts.targets)}"),
        Text(f"{facts.alerts} {_form('alert', facts.alerts)} open", "yellow" if facts.alerts else "dim"),
        Text(f"{facts.under_way} {_form('rollout', facts.under_way)} under way"),
    ]
    return _fitting(parts, width)


def _foot(look: Look, width: int, rows: int, *, plain: bool) -> Text:
    if look.typing:
        return _bar_line(Text(f"/{safe(look.words)}_"), "Enter keeps it, Esc drops it", width)
    if look.note:
        return _bar_line(Text(safe(look.note)), "", width)
    keys = _fitting([Text(one) for one in (_PLAIN_KEYS if plain else _KEYS)], width)
    last = min(look.offset + rows, look.facts.matching)
    return _bar_line(keys, f"{look.offset + 1} to {last} of {look.facts.matching}" if last else "", width)


def _bar_line(left: Text, right: str, width: int) -> Text:
    room = width - cell_len(left.plain) - _GAP
    more = right if cell_len(right) <= room else ""
    line = Text.assemble(left, " " * max(0, width - cell_len(left.plain) - cell_len(more)), more)
    line.stylize("reverse")
    return line


# what needs somebody


def _waiting(facts: Facts, width: int, room: int) -> list[Text]:
    if not facts.waiting_count or room < 1:
        return []
    title = Text(f"Needs somebody ({facts.waiting_count})", "bold yellow")
    if room == 1:
        return [title]
    shown, left = list(facts.waiting), facts.waiting_count - len(facts.waiting)
    if len(shown) + (left > 0) > room - 1:
        shown = shown[: room - 2]
        left = facts.waiting_count - len(shown)
    more = [Text(f"  and {left} more", "dim")] if left > 0 else []
    return [title, *(_wait(one, width) for one in shown), *more]


def _wait(one: Waiting, width: int) -> Text:
    since = f"since {safe(short_time(one.since))}" if one.since and width >= _WITH_VERSIONS else ""
    text = _cut(Text(f"  {safe(one.text)}"), width - (cell_len(since) + _GAP if since else 0))
    if since:
        text.append(" " * max(_GAP, width - cell_len(text.plain) - cell_len(since)))
        text.append(since, style="dim")
    return text


# rollouts


def _rollouts(facts: Facts, width: int, room: int, *, plain: bool) -> list[Text]:
    if not facts.rollouts or room < 1:
        return []
    title = Text(f"Rollouts ({facts.under_way} under way)", "bold")
    shown = facts.rollouts[: room - 1]
    left = facts.under_way - len(shown)
    if left > 0 and len(shown) + 1 > room - 1:
        shown = shown[: max(0, room - 2)]
        left = facts.under_way - len(shown)
    waves = _shared([len(one.detail) for one in shown], room - 1 - len(shown) - (left > 0))
    lines = [line for one, some in zip(shown, waves, strict=True) for line in _rollout(one, some, width, plain=plain)]
    more = [Text(f"  and {left} more: `tidegate rollout list`", "dim")] if left > 0 else []
    return [title, *lines, *more][:room]


def _shared(wanted: list[int], room: int) -> list[int]:
    """Of so many lines so many for each, one after the other."""
    given = [0] * len(wanted)
    while room > 0 and given != wanted:
        at = min((at for at in range(len(wanted)) if given[at] < wanted[at]), key=given.__getitem__)
        given[at] += 1
        room -= 1
    return given


def _rollout(one: Rollout, waves: int, width: int, *, plain: bool) -> list[Text]:
    title = Text.assemble(
        (f"  {one.id}  ", "bold"),
        safe(f"{familiar(one.channel)} to {one.what}  "),
        (safe(state_line(one)), _STATES.get(one.state, "")),
    )
    return [title, *(_wave(one, wave, width, plain=plain) for wave in _around(one, waves))]


def _around(one: Rollout, most: int) -> Sequence[Wave]:
    """So many waves, with the open one among them."""
    first = max(0, min(one.wave - 1 - (most - 1) // 2, len(one.detail) - most))
    return one.detail[first : first + most]


def _wave(one: Rollout, wave: Wave, width: int, *, plain: bool) -> Text:
    name, done = f"     wave {wave.number:<3}", _done(wave)
    digits = max(len(_done(each)) for each in one.detail)
    size = max(0, min(_WIDEST_BAR, width - len(name) - digits - _GAP))
    line = Text.assemble(name, bar(wave.counts, size, plain=plain), " " * _GAP, done)
    words = f"{' ' * (digits - len(done))}  {wave_state(one, wave):<8}  {counts_text(wave.counts)}"
    return line.append(words, "dim") if width - cell_len(line.plain) > _LEAST_WORDS else line


def _done(wave: Wave) -> str:
    return f"{wave.counts.get('healthy', 0)}/{wave.total}"


# clusters


def _clusters_title(look: Look, width: int) -> Text:
    facts = look.facts
    said = f"Clusters ({facts.total})"
    if look.words:
        said = f"Clusters with {look.words!r} ({facts.matching} of {facts.total})"
    counts = [Text(f"{facts.counts[one]} {one}", _COLOURS[one]) for one in Standing if facts.counts.get(one)]
    return _fitting([Text(safe(said), "bold"), *counts], width)


def _clusters(look: Look, width: int, places: range) -> list[Text]:
    facts = look.facts
    if not facts.matching and len(places):
        return [Text("  No cluster matches." if facts.total else f"  {_NO_CLUSTER}", "dim")]
    found = [facts.cluster(at) for at in places if at < facts.matching]
    names = _column([one.name for one in found if one], width * 2 // 5)
    versions = _column([_versions(one) for one in found if one], width // 5) if width >= _WITH_VERSIONS else 0
    return [_cluster(one, names, versions, width) for one in found]


def _cluster(one: StandingCluster | None, names: int, versions: int, width: int) -> Text:
    if one is None:
        return Text("  ...", "dim")
    line = Text.assemble("  ", (f"{one.standing:<{_STANDING}}", _COLOURS.get(one.standing, "")), "  ")
    if width < _WITH_WHY:
        return line.append(safe(one.name))
    line.append_text(_padded(one.name, names)).append("  ")
    if versions:
        line.append_text(_padded(_versions(one), versions)).append("  ")
    return line.append(safe(one.why), style="dim")


def _versions(one: StandingCluster) -> str:
    return ", ".join(one.versions)


# words on lines


def _column(texts: Sequence[str], most: int) -> int:
    """How wide a column of these is."""
    return min(most, max((cell_len(safe(one)) for one in texts), default=0))


def _padded(text: str, width: int) -> Text:
    found = _cut(Text(safe(text)), width)
    found.append(" " * (width - cell_len(found.plain)))
    return found


def _fitting(parts: Sequence[Text], width: int) -> Text:
    """The first of these, as many as there is room for."""
    line = parts[0].copy()
    for one in parts[1:]:
        if cell_len(line.plain) + _GAP + cell_len(one.plain) > width:
            break
        line = Text.assemble(line, " " * _GAP, one)
    return line


def _cut(line: Text, width: int) -> Text:
    """No wider than this."""
    if cell_len(line.plain) > width:
        line.truncate(max(0, width), overflow="ellipsis" if width > 1 else "crop")
    return line


def _under(gap: list[Text], section: list[Text]) -> list[Text]:
    return [*gap, *section] if section else []


def _form(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
