"""`tidegate window` and `tidegate freeze`: when updates may begin, and when they may not."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from tidegate.cli.fleet.ask import ask
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.model import Document, read_channel
from tidegate.cli.fleet.names import find_named
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Channels, Clusters, Labels, Timeout, Yes, group
from tidegate.cli.fleet.rollout import utc_text
from tidegate.cli.fleet.scope import read_scope, scope_text
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time
from tidegate.domain.durations import parse_duration
from tidegate.domain.windows import WindowError, parse_freeze, parse_window

window = group("When updates may begin.")
freeze = group("When no update may begin.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name for it.")]
Which = Annotated[str, typer.Argument(metavar="NAME|ID", help="Its name or its id.")]


@window.command("list")
def window_list(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show the windows."""

    async def work(manager: Manager) -> None:
        items = await manager.every("windows")
        if as_json:
            print_json(items)
            return
        names = await _channel_names(manager, items)
        print_rows(
            ("id", "name", "window", "for"),
            ((one["id"], one["name"], one["window"], scope_text(one.get("scope") or {}, names)) for one in items),
            empty="No window is set: updates may begin at any time that is not frozen.",
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
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let updates begin only then; for everything, or for what is named."""

    async def work(manager: Manager) -> None:
        try:
            opens = str(parse_window(when))
        except WindowError as error:
            raise UsageError(str(error)) from error
        scope = await read_scope(manager, channels, clusters, labels)
        body = {"name": name, "window": opens, "scope": scope}
        document = (await manager.write("POST", "windows", body=body)).document
        print_json(document) if as_json else say(f"Window {document['id']}: {name}, {opens}")

    finish(work, timeout_s)


@window.command("remove")
def window_remove(which: Which, *, yes: Yes = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Take a window away."""
    _remove("windows", "window", which, timeout_s, yes=yes)


@freeze.command("list")
def freeze_list(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show the freezes."""

    async def work(manager: Manager) -> None:
        items = await manager.every("freezes")
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
            empty="Nothing is frozen.",
        )

    finish(work, timeout_s)


@freeze.command("add")
def freeze_add(
    name: Name,
    *,
    start: Annotated[str | None, typer.Option("--from", metavar="DATE|TIME", help="Without it: now.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="DATE|TIME", help="A date is frozen to its end.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="In place of --to: 2h, 1d.")] = None,
    zone: Annotated[str, typer.Option("--zone", help="Of dates and times that name none.")] = "UTC",
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
def freeze_remove(which: Which, *, yes: Yes = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Take a freeze away."""
    _remove("freezes", "freeze", which, timeout_s, yes=yes)


def span(start: str | None, end: str | None, lasts: str | None, zone: str, now: datetime) -> tuple[datetime, datetime]:
    """A freeze's first moment, and the first after it. Raises `UsageError`."""
    if (end is None) == (lasts is None):
        raise UsageError("Say how long it lasts: either --to DATE|TIME or --for DURATION.")
    first = start or now.isoformat()
    try:
        if end is not None:
            found = parse_freeze(f"{first}/{end}", default_zone=zone)
            return found.start, found.end
        begin = parse_freeze(f"{first}/9000-01-01", default_zone=zone).start
        lasting = timedelta(seconds=parse_duration(lasts or ""))
        if not lasting:
            raise UsageError(f"--for {lasts} is no time at all; it takes a duration such as 2h or 1d.")
        return begin, begin.astimezone(UTC) + lasting  # elapsed time, where clocks change too
    except (WindowError, ValueError) as error:
        raise UsageError(str(error)) from error


def _remove(path: str, kind: str, which: str, timeout_s: float, *, yes: bool) -> None:
    async def work(manager: Manager) -> None:
        items = await manager.every(path)
        one = find_named(kind, which, items, lambda it: str(it["id"]), lambda it: str(it["name"]))
        if not _is_over(one):
            ask(f"Without the {kind} {one['name']}, updates that it holds back may begin at once.", yes=yes)
        before = await manager.get(path, one["id"])
        await manager.write("DELETE", path, one["id"], etag=before.etag)
        say(f"{kind.capitalize()} {one['name']} is gone.")

    finish(work, timeout_s)


def _is_over(one: Document) -> bool:
    """Whether it holds nothing back any more; a window always may."""
    return "ends_at" in one and datetime.fromisoformat(str(one["ends_at"])) <= datetime.now(UTC)


async def _channel_names(manager: Manager, items: list[dict[str, Any]]) -> dict[int, str]:
    """The names of channels by id, where any scope has one."""
    if not any((one.get("scope") or {}).get("channels") for one in items):
        return {}
    channels: list[Document] = list(await manager.every("channels"))
    return {one.id: one.familiar for one in map(read_channel, channels)}
