"""`tidegate rollback`: put back what ran before, on a cluster, on a target, or on all that follow a channel."""

from collections.abc import Sequence
from typing import Annotated

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import confirm
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_anything
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.model import Document, read_rollout, read_rollouts
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Reason, Timeout, To, Yes
from tidegate.cli.fleet.rollout import told
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_json, say


def rollback(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", autocompletion=complete_anything, help="PROJECT@AGENT[/SERVICE], or REPOSITORY:TAG."
        ),
    ],
    *,
    to: To = None,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Put back the release before, or an earlier one, on a cluster, a target, or all targets of a channel."""

    async def work(manager: Manager) -> None:
        place, reached, channel = await _place(manager, what)
        digest = (await find.release(manager, to, channel)).digest if to else None
        confirm(f"{what} goes back to {to or 'the release before'}", reached, yes=yes)
        body = {name: value for name, value in (("to", digest), ("reason", reason)) if value is not None}
        document = (await manager.write("POST", *place, "rollback", body=body)).document
        if as_json:
            print_json(document)
            return
        begun = read_rollouts(document)
        say("\n".join(told(read_rollout(one)) for one in begun) or "Nothing has to go back.")

    finish(work, timeout_s)


async def _place(manager: Manager, what: str) -> tuple[tuple[str | int, ...], set[str], int | None]:
    """The path of what is meant, the names of its targets, and its channel if it has one only."""
    if what.isdecimal():
        raise UsageError(
            f"{what!r} may be a rollout or a channel: write `tidegate rollout rollback {what}`, or the channel's name."
        )
    if is_channel(what):
        channel = await find.channel(manager, what)
        return ("channels", channel.id), _names(await manager.every("targets", channel=channel.id)), channel.id
    if "/" in what:
        target = await find.target(manager, what)
        return ("targets", target.cluster, target.service), {target.name}, target.channel_id
    cluster = await find.cluster(manager, what)
    return ("clusters", cluster.name), _names(await manager.every("targets", cluster=cluster.name)), None


def is_channel(what: str) -> bool:
    """Whether it has a tag, which neither a cluster nor a target has."""
    return ":" in what.rpartition("/")[2]


def _names(items: Sequence[Document]) -> set[str]:
    return {str(one.get("name")) for one in items}
