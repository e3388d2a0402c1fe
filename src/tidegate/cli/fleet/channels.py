"""`tidegate channels`: what targets follow, and what of it is known."""

from typing import Annotated, Any

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import ask
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_channel
from tidegate.cli.fleet.model import read_channel
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, ChannelName, Timeout, Yes, group
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_facts, print_json, print_rows, say, short_time

channels = group("The repositories and tags that targets follow.")


@channels.command("list")
def channels_list(
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="CHANNEL", autocompletion=complete_channel, help="Only this one."),
    ] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the channels."""

    async def work(manager: Manager) -> None:
        only = (await find.channel(manager, name)).name if name else None
        items = await manager.every("channels", name=only)
        print_json(items) if as_json else _print(items)

    finish(work, timeout_s)


@channels.command("show")
def channels_show(name: ChannelName, *, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show one channel."""

    async def work(manager: Manager) -> None:
        one = await find.channel(manager, name)
        document = (await manager.get("channels", one.id)).document
        if as_json:
            print_json(document)
            return
        one = read_channel(document)
        print_facts(
            (
                ("channel", one.familiar),
                ("id", one.id),
                ("policy", one.mode),
                ("newest", one.newest),
                ("targets", one.targets),
                ("asked at", short_time(one.polled_at)),
                ("next", one.choice),
                ("trouble", one.trouble),
            )
        )

    finish(work, timeout_s)


@channels.command("poll")
def channels_poll(name: ChannelName, *, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Have the manager ask the registry now."""

    async def work(manager: Manager) -> None:
        one = await find.channel(manager, name)
        document = (await manager.write("POST", "channels", one.id, "poll")).document
        print_json(document) if as_json else say(f"The registry is asked about {one.familiar}.")

    finish(work, timeout_s)


@channels.command("delete")
def channels_delete(
    name: ChannelName, *, yes: Yes = False, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Take away a channel that no target follows, with all that is known of its releases and rollouts."""

    async def work(manager: Manager) -> None:
        one = await find.channel(manager, name)
        ask(f"{one.familiar} goes, with its policy, its releases and its rollouts.", yes=yes)
        before = await manager.get("channels", one.id)
        await manager.write("DELETE", "channels", one.id, etag=before.etag)
        print_json(before.document) if as_json else say(f"{one.familiar} is gone.")

    finish(work, timeout_s)


def _print(items: list[dict[str, Any]]) -> None:
    print_rows(
        ("id", "channel", "policy", "newest", "targets", "asked at", "note"),
        (
            (
                one.id,
                one.familiar,
                one.mode,
                one.newest,
                one.targets,
                short_time(one.polled_at),
                one.trouble or one.choice,
            )
            for one in map(read_channel, items)
        ),
        empty="No target follows a channel yet.",
    )
