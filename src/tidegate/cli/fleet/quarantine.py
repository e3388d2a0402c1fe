"""`tidegate quarantine`: releases that nobody is offered until a person lets them out."""

from functools import partial
from typing import Annotated, Any

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import confirm
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_channel, complete_quarantined
from tidegate.cli.fleet.model import familiar, read_quarantined
from tidegate.cli.fleet.names import find_quarantined
from tidegate.cli.fleet.opening import ask_for_release
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Reason, ReleaseName, Timeout, Yes, group
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import print_json, print_rows, say, short_time

_UNDER_WAY = ("running", "paused")
WhereItIsNamed = Annotated[
    str | None,
    typer.Option(
        "--channel",
        metavar="CHANNEL",
        autocompletion=complete_channel,
        help="Where the release is looked up; its digest is held on every channel.",
    ),
]
quarantine = group("Releases that are offered to nobody.")


@quarantine.command("list")
def quarantine_list(
    *,
    released: Annotated[
        bool, typer.Option("--released", metavar="", help="Those that were let out, in place of those that are in it.")
    ] = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show what is in quarantine."""
    show = partial(_print, empty="Nothing was let out of quarantine.") if released else _print
    wanted = "true" if released else None
    show_all("quarantine", show=show, as_json=as_json, timeout_s=timeout_s, released=wanted)


@quarantine.command("add")
def quarantine_add(
    name: ReleaseName,
    *,
    channel: WhereItIsNamed = None,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Offer a release to nobody any more; where it is on its way, what it was brought to goes back."""

    async def work(manager: Manager) -> None:
        of = (await find.channel(manager, channel)).id if channel else None
        one = await find.release(manager, name, of)
        reached = await _reached(manager, one.digest)
        confirm(f"{one.full} is offered to nobody any more, and goes back where it is on its way", reached, yes=yes)
        body = {"digest": one.digest, "reason": reason or ""}
        document = (await manager.write("POST", "quarantine", body=body)).document
        print_json(document) if as_json else say(f"In quarantine: {one.full}")

    finish(work, timeout_s)


@quarantine.command("release")
def quarantine_release(
    which: Annotated[
        str,
        typer.Argument(
            metavar="ID|DIGEST",
            autocompletion=complete_quarantined,
            help="Its id, its digest or the digest's beginning.",
        ),
    ],
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Let a release be offered again; asks where it may go out by itself."""

    async def work(manager: Manager) -> None:
        items = [read_quarantined(one) for one in await manager.every("quarantine")]
        one = find_quarantined(which, items)
        if not yes:
            await ask_for_release(manager, one.digest)
        body = {} if reason is None else {"reason": reason}
        document = (await manager.write("POST", "quarantine", one.id, "release", body=body)).document
        print_json(document) if as_json else say(f"Out of quarantine: {one.digest}")

    finish(work, timeout_s)


async def _reached(manager: Manager, digest: str) -> set[str]:
    """The targets of what is under way with a release."""
    under_way = [one for one in await manager.every("rollouts", state=_UNDER_WAY) if one["digest"] == digest]
    each = [await manager.every("rollouts", one["id"], "targets") for one in under_way]
    return {str(target["target"]) for targets in each for target in targets}


def _print(items: list[dict[str, Any]], *, empty: str = "Nothing is in quarantine.") -> None:
    print_rows(
        ("id", "digest", "channel", "since", "by", "reason"),
        (
            (
                one.id,
                one.digest.rpartition(":")[2][:12],
                familiar(one.channel) if one.channel else "",
                short_time(one.since),
                one.by,
                one.reason,
            )
            for one in map(read_quarantined, items)
        ),
        empty=empty,
    )
