"""How pages say times, digests and states."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_LATELY_S = 10
_SHORT = 12


def ago(moment: datetime | None, now: datetime) -> Markup:
    """A time as distance from now, absolute on hover; a script keeps the distance true. Nothing: a dash."""
    if moment is None:
        return Markup('<span class="none">–</span>')  # noqa: RUF001 - a dash
    absolute = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    form = Markup('<time datetime="{}" title="{}">{}</time>')
    return form.format(moment.isoformat(), absolute, distance(moment - now))


def distance(away: timedelta) -> str:
    """Such as `3 min ago`, `in 2 h` or `now`."""
    seconds = away.total_seconds()
    if abs(seconds) < _LATELY_S:
        return "now"
    said = span(abs(seconds))
    return f"in {said}" if seconds > 0 else f"{said} ago"


def span(seconds: float) -> str:
    """A duration in its largest unit, and in the next one where that says something: `45 s`, `3 min`, `2 h 5 min`."""
    whole = int(seconds)
    for at, (unit, size) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            smaller = _UNITS[at + 1] if at + 1 < len(_UNITS) else None
            more = f" {rest // smaller[1]} {smaller[0]}" if smaller and count < 10 and rest >= smaller[1] else ""  # noqa: PLR2004 - of a long time the rest says nothing
            return f"{count} {unit}{more}"
    return f"{whole} s"


def took(seconds: float) -> str:
    """How long an update took: `4.5 s`, `40 s`, `1 min 5 s`, `2 h 3 min`."""
    few = 10
    if seconds < few:
        return f"{round(seconds, 1):g} s"
    whole = round(seconds)
    for size, unit, smaller, name in ((3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"


def short(digest: str) -> str:
    """The first hex digits of a digest."""
    return digest.removeprefix("sha256:")[:_SHORT]


def release(version: str, digest: str) -> str:
    """What people call a release: its version if it has one."""
    return version or short(digest) or "not known"


def spoken(state: Any) -> str:
    """A state as people say it: `awaiting approval`."""
    return str(state).replace("_", " ").replace("-", " ")


def many(count: int, one: str, several: str = "") -> str:
    """Such as `1 target` or `3 targets`."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def told_apart(targets: Iterable[str]) -> dict[str, str]:
    """By targets (`PROJECT@AGENT/SERVICE`), as little of each name as tells them apart."""
    parts = {name: _parts(name) for name in targets}
    projects = {project for project, _, _ in parts.values()}
    services = {service for _, _, service in parts.values()}
    found = {}
    for name, (project, agent, service) in parts.items():
        before = f"{project}@" if len(projects) > 1 else ""
        found[name] = f"{before}{agent}{f'/{service}' if len(services) > 1 else ''}" or name
    return found


def _parts(target: str) -> tuple[str, str, str]:
    cluster, _, service = target.rpartition("/")
    project, _, agent = cluster.rpartition("@")
    return project, agent, service


FILTERS: Mapping[str, Callable[..., Any]] = {
    "ago": ago,
    "span": span,
    "took": took,
    "short": short,
    "spoken": spoken,
    "many": many,
}
