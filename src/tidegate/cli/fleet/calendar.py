"""`tidegate window` and `tidegate freeze`: when updates may begin, and when they may not."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import available_timezones

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import ask
from tidegate.cli.fleet.client import Manager, Value
from tidegate.cli.fleet.complete import (
    complete_channel,
    complete_cluster,
    complete_freeze,
    complete_window,
    complete_zone,
)
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.model import Document, read_channel
from tidegate.cli.fleet.names import find_named, missing
from tidegate.cli.fleet.opening import ask_for_window
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Channels, Clusters, Labels, Timeout, Yes, group, yes_or_no
from tidegate.cli.fleet.rollout import utc_text
from tidegate.cli.fleet.scope import read_scope, scope_text
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time
from tidegate.domain.durations import parse_duration
from tidegate.domain.windows import WindowError, parse_freeze, parse_window

window = group("When updates may begin.")
freeze = group("When no update may begin.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name for it.")]
_WHICH = {"metavar": "NAME|ID", "help": "Its name or its id."}
WhichWindow = Annotated[str, typer.Argument(autocompletion=complete_window, **_WHICH)]
WhichFreeze = Annotated[str, typer.Argument(autocompletion=complete_freeze, **_WHICH)]
_NAMED: dict[str, Any] = {"metavar": "NAME", "help": "Only the one with this name."}
_LONG_AGO = "1970-01-02"
_KINDS = {"windows": "window", "freezes": "freeze"}
_NO_WINDOW = "No window is set: updates may begin at any time that is not frozen."
ForChannel = Annotated[
    str | None,
    typer.Option("--channel", metavar="CHANNEL", autocompletion=complete_channel, help="Only those that name it."),
]
ForCluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="CLUSTER", autocompletion=complete_cluster, help="Only those that name it."),
]


@window.command("list")
def window_list(
    *,
    name: Annotated[str | None, typer.Option("--name", autocompletion=complete_window, **_NAMED)] = None,
    channel: ForChannel = None,
    cluster: ForCluster = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the windows."""

    async def work(manager: Manager) -> None:
        items = await _some(manager, "windows", name=name, channel=channel, cluster=cluster)
        if as_json:
            print_json(items)
            return
        names = await _channel_names(manager, items)
        print_rows(
            ("id", "name", "window", "for"),
            ((one["id"], one["name"], one["window"], scope_text(one.get("scope") or {}, names)) for one in items),
            empty="There is no such window." if name or channel or cluster else _NO_WINDOW,
        )

    finish(work, timeout_s)


@window.command("add")
def window_add(
    name: Name,
    when: Annotated[
        str, typer.Argument(metavar="WINDOW", help="'CRON DURATION [ZONE]', such as '0 2 * * 1-5 4h Europe/Berlin'.")
    ],
    *,
    channels: Channels = None,
    clusters: Clusters = None,
    labels: Labels = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let updates begin then; for everything, or for what is named.

    What has a window begins in its windows only, in any of them: the first one holds back, and each further one lets
    more begin, which is asked for.
    """

    async def work(manager: Manager) -> None:
        try:
            opens = str(parse_window(when))
        except WindowError as error:
            raise UsageError(str(error)) from error
        scope = await read_scope(manager, channels, clusters, labels)
        if not yes:
            await ask_for_window(manager, name, scope)
        body = {"name": name, "window": opens, "scope": scope}
        document = (await manager.write("POST", "windows", body=body)).document
        print_json(document) if as_json else say(f"Window {document['id']}: {name}, {opens}")

    finish(work, timeout_s)


@window.command("remove")
def window_remove(
    which: WhichWindow, *, yes: Yes = False, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Take a window away."""
    _remove("windows", which, timeout_s, yes=yes, as_json=as_json)


@freeze.command("list")
def freeze_list(
    *,
    name: Annotated[str | None, typer.Option("--name", autocompletion=complete_freeze, **_NAMED)] = None,
    channel: ForChannel = None,
    cluster: ForCluster = None,
    over: Annotated[
        bool | None, typer.Option("--over/--not-over", metavar="", help="Only those that are over, or only the others.")
    ] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the freezes."""

    async def work(manager: Manager) -> None:
        items = await _some(manager, "freezes", name=name, channel=channel, cluster=cluster, over=yes_or_no(over))
        if as_json:
            print_json(items)
            return
        names = await _channel_names(manager, items)
        print_rows(
            ("id", "name", "from", "to", "for", "reason"),
            (
                (
                    one["id"],
                    one["name"],
                    short_time(one["starts_at"]),
                    short_time(one["ends_at"]),
                    scope_text(one.get("scope") or {}, names),
                    one.get("reason"),
                )
                for one in items
            ),
            empty="There is no such freeze."
            if name or channel or cluster or over is not None
            else "Nothing is frozen.",
        )

    finish(work, timeout_s)


@freeze.command("add")
def freeze_add(
    name: Name,
    *,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE|TIME", help="Without it: now.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE|TIME", help="A date is frozen to its end.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="In place of --to: 2h, 1d.")] = None,
    zone: Annotated[
        str, typer.Option("--zone", autocompletion=complete_zone, help="Of dates and times that name none.")
    ] = "UTC",
    reason: Annotated[str, typer.Option("--reason", help="Shown to whoever has to wait.")] = "",
    channels: Channels = None,
    clusters: Clusters = None,
    labels: Labels = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let no update begin for a time; of everything, or of what is named."""

    async def work(manager: Manager) -> None:
        first, last = span(start, end, lasts, zone, datetime.now(UTC))
        body = {
            "name": name,
            "starts_at": utc_text(first),
            "ends_at": utc_text(last),
            "reason": reason,
            "scope": await read_scope(manager, channels, clusters, labels),
        }
        document = (await manager.write("POST", "freezes", body=body)).document
        until = f"until {short_time(document['ends_at'])} UTC"
        over = "" if last > datetime.now(UTC) else "; that is over, so it holds nothing back"
        print_json(document) if as_json else say(f"Freeze {document['id']}: {name}, {until}{over}")

    finish(work, timeout_s)


@freeze.command("remove")
def freeze_remove(
    which: WhichFreeze, *, yes: Yes = False, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Take a freeze away."""
    _remove("freezes", which, timeout_s, yes=yes, as_json=as_json)


def span(start: str | None, end: str | None, lasts: str | None, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """A freeze's first moment, and the first after it. Raises `UsageError`."""
    if (end is None) == (lasts is None):
        raise UsageError("Say how long it lasts: either --to DATE|TIME or --for DURATION.")
    if zone not in available_timezones():
        raise UsageError(f"--zone {zone} is not known: use a name such as Europe/Berlin or UTC.")
    first = start or now.isoformat()
    try:
        if end is not None:
            if start is None and _is_past(end, zone, now):
                raise UsageError(f"--to {end} is over already; a freeze without --from begins now.")
            found = parse_freeze(f"{first}/{end}", default_zone=zone)
            return found.start, found.end
        begin = parse_freeze(f"{first}/9000-01-01", default_zone=zone).start
        lasting = timedelta(seconds=parse_duration(lasts or ""))
        if not lasting:
            raise UsageError(f"--for {lasts} is no time at all; it takes a duration such as 2h or 1d.")
        return begin, begin.astimezone(UTC) + lasting  # elapsed time, where clocks change too
    except (WindowError, ValueError) as error:
        raise UsageError(str(error)) from error


def _is_past(end: str, zone: str, now: datetime) -> bool:
    """Whether a freeze with this end is over; no word that cannot be read is."""
    with suppress(WindowError):
        return parse_freeze(f"{_LONG_AGO}/{end}", default_zone=zone).end <= now
    return False


def _remove(path: str, which: str, timeout_s: float, *, yes: bool, as_json: bool) -> None:
    kind = _KINDS[path]

    async def work(manager: Manager) -> None:
        items = await manager.every(path)
        one = find_named(kind, which, items, lambda it: str(it["id"]), lambda it: str(it["name"]))
        if not _is_over(one):
            ask(f"Without the {kind} {one['name']}, updates that it holds back may begin at once.", yes=yes)
        before = await manager.get(path, one["id"])
        await manager.write("DELETE", path, one["id"], etag=before.etag)
        print_json(before.document) if as_json else say(f"{kind.capitalize()} {one['name']} is gone.")

    finish(work, timeout_s)


def _is_over(one: Document) -> bool:
    """Whether it holds nothing back any more; a window always may."""
    return "ends_at" in one and datetime.fromisoformat(str(one["ends_at"])) <= datetime.now(UTC)


async def _some(
    manager: Manager, path: str, *, name: str | None, channel: str | None, cluster: str | None, **more: Value
) -> list[dict[str, Any]]:
    """Windows or freezes, those that options ask for. Raises `FleetError` for a name that nothing has."""
    of = (await find.channel(manager, channel)).id if channel else None
    at = (await find.cluster(manager, cluster)).name if cluster else None
    items = await manager.every(path, name=name, channel=of, cluster=at, **more)
    if name and not items:
        known = [str(one["name"]) for one in await manager.every(path)]
        if name not in known:
            raise missing(_KINDS[path], name, known)
    return items


async def _channel_names(manager: Manager, items: list[dict[str, Any]]) -> dict[int, str]:
    """The names of channels by id, where any scope has one."""
    if not any((one.get("scope") or {}).get("channels") for one in items):
        return {}
    channels: list[Document] = list(await manager.every("channels"))
    return {one.id: one.familiar for one in map(read_channel, channels)}
