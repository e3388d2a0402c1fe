"""`tidegate releases`: what was seen on channels, and what is different in it."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_release
from tidegate.cli.fleet.model import familiar, read_change, read_release
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, OneChannel, OneDigest, ReleaseName, Timeout, group
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_facts, print_json, print_rows, say, short_time

releases = group("The images that were seen on channels.")


@releases.command("list")
def releases_list(
    *, channel: OneChannel = None, digest: OneDigest = None, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Show the releases, the newest first."""

    async def work(manager: Manager) -> None:
        of = (await find.channel(manager, channel)).id if channel else None
        only = await find.digest(manager, digest, of) if digest else None
        items = await manager.every("releases", channel=of, digest=only)
        empty = "There is no such release." if digest or channel else "No release was seen yet."
        print_json(items) if as_json else _print(items, empty)

    finish(work, timeout_s)


@releases.command("show")
def releases_show(
    name: ReleaseName, *, channel: OneChannel = None, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Show one release."""

    async def work(manager: Manager) -> None:
        document = (await manager.get("releases", await _id(manager, name, channel))).document
        if as_json:
            print_json(document)
            return
        one = read_release(document)
        print_facts(
            (
                ("channel", familiar(one.channel)),
                ("version", one.version),
                ("digest", one.digest),
                ("revision", one.revision),
                ("made at", short_time(one.image_created)),
                ("seen at", short_time(one.seen_at)),
                ("fixed tag", one.fixed_tag),
                ("note", one.note),
            )
        )

    finish(work, timeout_s)


@releases.command("changes")
def releases_changes(
    name: ReleaseName,
    *,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="RELEASE", autocompletion=complete_release, help="Without it: what runs now."),
    ] = None,
    channel: OneChannel = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show what is different in a release."""

    async def work(manager: Manager) -> None:
        of = (await find.channel(manager, channel)).id if channel else None
        one = await find.release(manager, name, of)
        before = (await find.release(manager, since, one.channel_id)).digest if since else None
        document = (await manager.get("releases", one.id, "changes", **{"from": before})).document
        print_json(document) if as_json else print_changes(document)

    finish(work, timeout_s)


def print_changes(document: Any) -> None:
    """A table of what differs between two images."""
    rows = [read_change(one) for one in document.get("changes") or ()]
    note = str(document.get("note") or "")
    print_rows(
        ("", "what", "before", "after", "note"),
        (("!" if one.dangerous else "", one.field, one.before, one.after, one.note) for one in rows),
        empty="What is different is not known:" if note else "Nothing in their settings is different.",
    )
    if note:
        say(note)


def _print(items: Iterable[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("release", "digest", "seen at", "channel", "note"),
        (
            (
                one.version,
                one.digest.rpartition(":")[2][:12],
                short_time(one.seen_at),
                familiar(one.channel),
                one.note,
            )
            for one in map(read_release, items)
        ),
        empty=empty,
    )


async def _id(manager: Manager, name: str, channel: str | None) -> int:
    of = (await find.channel(manager, channel)).id if channel else None
    return (await find.release(manager, name, of)).id
