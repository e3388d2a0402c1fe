"""`tidegate channels`: what targets follow, and what of it is known."""

from typing import Any

from tidegate.cli.fleet import find
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.model import read_channel
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, ChannelName, Timeout, group
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import print_facts, print_json, print_rows, say, short_time

channels = group("The repositories and tags that targets follow.")


@channels.command("list")
def channels_list(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show the channels."""
    show_all("channels", show=_print, as_json=as_json, timeout_s=timeout_s)


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
