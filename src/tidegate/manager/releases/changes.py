"""What changes for a service when one image takes another's place: what people read before they approve it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tidegate.domain.durations import format_duration
from tidegate.domain.recreate_diff import Change as Differs
from tidegate.domain.recreate_diff import image_diff
from tidegate.manager.releases.compare_link import compare_link
from tidegate.manager.releases.image_config import inspected
from tidegate.registry.model import parse_time

Config = Mapping[str, Any]
_ROOT = re.compile(r"(?:0+|root)?(?::.*)?")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024
_HOUR_S, _DAY_S, _DAYS = 3600, 86400, 3


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. An empty side: it is not there. `dangerous`: somebody should have meant it.

    `platform` is empty where it is the same on all; `link` shows more of it, and is an https address or empty.
    """

    field: str
    before: str
    after: str
    note: str = ""
    dangerous: bool = False
    link: str = ""
    platform: str = ""


def all_changes(before: Mapping[str, Config], after: Mapping[str, Config]) -> tuple[Change, ...]:
    """What differs on the platforms that both images are known for, the dangerous first."""
    shared = [name for name in before if name in after]
    found = {name: changes(before[name], after[name], name) for name in shared}
    everywhere = [one for one in found[shared[0]] if all(one in rows for rows in found.values())] if shared else []
    here = [replace(one, platform=name) for name in shared for one in found[name] if one not in everywhere]
    return tuple(sorted([*everywhere, *here], key=lambda one: not one.dangerous))


def changes(before: Config, after: Config, platform: str) -> tuple[Change, ...]:
    """What differs between two configs as `image_config` keeps them, on one platform."""
    differs = image_diff(inspected(before, platform), inspected(after, platform))
    return tuple(_explained(one, before, after) for one in differs)


def _explained(one: Differs, before: Config, after: Config) -> Change:
    plain = Change(one.field, one.old, one.new)
    match one.field:
        case "user":
            return _user(plain)
        case "health check":
            return _health_check(plain)
        case "ports":
            return _ports(plain, gone=_lost(before, after, "ExposedPorts"))
        case "volumes":
            new, gone = _lost(after, before, "Volumes"), _lost(before, after, "Volumes")
            return _volumes(plain, new=new, gone=gone)
        case "size":
            return _size(plain, before.get("size"), after.get("size"))
        case "created":
            return _created(plain)
        case "revision":
            return replace(plain, link=compare_link(_source(before, after), plain.before, plain.after))
    if one.field.startswith("env ") and one.old == one.new:
        return replace(plain, note="it has another value, which is not shown because of its name")
    return plain


def _user(plain: Change) -> Change:
    was, will = _ROOT.fullmatch(plain.before) is not None, _ROOT.fullmatch(plain.after) is not None
    if will and not was:
        return replace(plain, note="it runs as root from now on", dangerous=True)
    if was and not will:
        return replace(plain, note="it is not root any more: it may lack access to files that root made on its volumes")
    return plain


def _health_check(plain: Change) -> Change:
    had, has = (side.partition(",")[0] not in {"", "NONE"} for side in (plain.before, plain.after))
    if had and not has:
        note = "it has no health check any more: that it runs is all that can be seen, unless the Compose file has one"
        return replace(plain, note=note, dangerous=True)
    return plain


def _ports(plain: Change, *, gone: Iterable[str]) -> Change:
    if names := ", ".join(gone):
        note = f"{names} is not exposed any more: make sure that nothing connects there"
        return replace(plain, note=note, dangerous=True)
    return plain


def _volumes(plain: Change, *, new: Iterable[str], gone: Iterable[str]) -> Change:
    notes = [f"{name} is a new volume: it is an anonymous one unless the Compose file mounts something" for name in new]
    notes += [f"{name} is no volume any more: what is written there goes with the container" for name in gone]
    return replace(plain, note="; ".join(notes), dangerous=True)


def _size(plain: Change, before: int | None, after: int | None) -> Change:
    shown = replace(plain, before=readable_size(before), after=readable_size(after))
    if not before or after is None:
        return shown
    more = after - before
    return replace(shown, note=f"{'+' if more > 0 else '-'}{readable_size(abs(more))} ({more / before:+.0%})")


def _created(plain: Change) -> Change:
    before, after = parse_time(plain.before), parse_time(plain.after)
    if before is None or after is None:
        return plain
    return replace(plain, note=_apart(before, after))


def _apart(before: datetime, after: datetime) -> str:
    seconds = (after - before).total_seconds()
    return f"{_roughly(abs(seconds))} {'newer' if seconds > 0 else 'older'}"


def _roughly(seconds: float) -> str:
    if seconds >= _DAYS * _DAY_S:
        return f"{seconds / _DAY_S:.0f} days"
    return format_duration(seconds - seconds % 60 if seconds > _HOUR_S else round(seconds))


def _lost(one: Config, other: Config, key: str) -> list[str]:
    return sorted(set(one.get(key) or ()) - set(other.get(key) or ()))


def _source(before: Config, after: Config) -> str:
    """Where both come from; nothing where that is not the same place."""
    places = {str((one.get("Labels") or {}).get("org.opencontainers.image.source", "")) for one in (before, after)}
    return places.pop() if len(places) == 1 else ""


def readable_size(size: int | None) -> str:
    """Bytes as people read them."""
    if size is None:
        return ""
    value, unit = float(size), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} B"
