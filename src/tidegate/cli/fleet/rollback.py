"""`tidegate rollback`, `tidegate rollout rollback`: put back what ran before, where it is named or by one rollout."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import ask, reach
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_anything
from tidegate.cli.fleet.errors import FAILED, OK, UsageError
from tidegate.cli.fleet.model import Cluster, Document, read_cluster, read_rollout, read_rollouts, release_name
from tidegate.cli.fleet.names import missing
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Reason, RolloutId, Timeout, To, Yes
from tidegate.cli.fleet.rollout import told
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import complain, print_json, say


def rollback(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            autocompletion=complete_anything,
            help="PROJECT@AGENT, PROJECT@AGENT/SERVICE or REPOSITORY:TAG.",
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

    async def work(manager: Manager) -> int:
        place, reached, channel = await _place(manager, what)
        body = await _wish(manager, to, reason, channel)
        if not yes and len(reached) > 1:
            await _ask(manager, what, place, body)
        return await _go(manager, place, body, as_json=as_json)

    finish(work, timeout_s)


def rollout_rollback(
    rollout_id: RolloutId,
    *,
    to: To = None,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Put back every target that it updated, also once it has ended; or have its targets go to an earlier release."""

    async def work(manager: Manager) -> int:
        place = ("rollouts", rollout_id)
        channel = (await manager.get(*place)).document["channel"]["id"] if to else None
        body = await _wish(manager, to, reason, channel)
        if not yes:
            await _ask(manager, f"Rollout {rollout_id}", place, body)
        return await _go(manager, place, body, as_json=as_json)

    finish(work, timeout_s)


async def _wish(manager: Manager, to: str | None, reason: str | None, channel: int | None) -> dict[str, str]:
    digest = await find.digest(manager, to, channel) if to else None
    return {name: value for name, value in (("to", digest), ("reason", reason)) if value is not None}


async def _go(manager: Manager, place: Sequence[str | int], body: Mapping[str, str], *, as_json: bool) -> int:
    document = (await manager.write("POST", *place, "rollback", body=body)).document
    print_json(document) if as_json else say(_answer(document))
    for line in _behind(document):
        complain(line)
    return FAILED if _behind(document) else OK


async def _ask(manager: Manager, what: str, place: Sequence[str | int], body: Mapping[str, str]) -> None:
    """Ask with what would go where: to go back is no way forward, and nobody is to be surprised by where it ends."""
    would = (await manager.write("POST", *place, "rollback", body={**body, "dry_run": True})).document
    ways = _ways(would)
    moved = {name for names in ways.values() for name in names}
    goes = [f"{reach(names)} to {release_name('', to)}" for to, names in ways.items()]
    goes += [f"{number} is aborted" for number in _aborted(would)]
    for line in _behind(would):
        complain(line)
    if len(moved) > 1 or _aborted(would):
        ask(f"{what} goes back: {'; '.join(goes)}.", yes=False)


def _answer(document: Document) -> str:
    lines = [told(read_rollout(one)) for one in read_rollouts(document)]
    lines += [f"{number} was aborted." for number in _aborted(document)]
    if not document.get("going", True):  # a rollout that was turned round comes without
        lines.append("Nothing has to go back.")
    return "\n".join(lines)


def _ways(document: Document) -> dict[str, list[str]]:
    """By digests, the names of targets that go there."""
    return {str(one["to"]): [str(name) for name in one["targets"]] for one in document.get("going", [])}


def _aborted(document: Document) -> list[str]:
    return [f"Rollout {number}, which has begun nothing," for number in document.get("aborted", [])]


def _behind(document: Document) -> list[str]:
    return [f"{one['target']} does not go back: {one['reason']}." for one in document.get("left", [])]


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
    cluster = await _cluster(manager, what)
    return ("clusters", cluster.name), _names(await manager.every("targets", cluster=cluster.name)), None


async def _cluster(manager: Manager, what: str) -> Cluster:
    """By name. Raises `FleetError`, with the targets that may have been meant where nothing is near among clusters."""
    clusters = [read_cluster(one) for one in await manager.every("clusters")]
    if "@" in what or any(what in {one.project, one.name} for one in clusters):
        return await find.cluster(manager, what)
    names = [str(one["name"]) for one in await manager.every("targets")]
    raise missing("cluster", what, [*(one.name for one in clusters), *(one.project for one in clusters), *names])


def is_channel(what: str) -> bool:
    """Whether it has a tag, which neither a cluster nor a target has."""
    return ":" in what.rpartition("/")[2]


def _names(items: Sequence[Document]) -> set[str]:
    return {str(one.get("name")) for one in items}
