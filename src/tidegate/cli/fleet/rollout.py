"""`tidegate rollout start|list|show|watch`: releases on their way."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.ask import confirm
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import FleetError, UsageError
from tidegate.cli.fleet.model import (
    Channel,
    Release,
    Rollout,
    familiar,
    read_rollout,
    read_rollout_target,
    read_target,
)
from tidegate.cli.fleet.options import (
    TIMEOUT_S,
    AsJson,
    ChannelName,
    Clusters,
    OneChannel,
    Reason,
    ReleaseName,
    RolloutId,
    Targets,
    Timeout,
    Yes,
    group,
    values,
)
from tidegate.cli.fleet.releases import print_changes
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_facts, print_json, print_rows, say, short_time
from tidegate.cli.fleet.watch import watch_rollout
from tidegate.cli.fleet.watch_view import counts_text
from tidegate.domain.rollout import Kind, Progress, State

_NO_ROLLOUT: Final = "Nothing was sent out yet; `tidegate rollout start CHANNEL RELEASE` sends a release."

rollout = group("Releases on their way to the targets that follow their channel.")


@rollout.command("start")
def rollout_start(
    channel: ChannelName,
    release: ReleaseName,
    *,
    clusters: Clusters = None,
    targets: Targets = None,
    not_before: Annotated[
        str | None,
        typer.Option(
            "--not-before", metavar="TIME", help="Such as 2026-12-01T22:00+01:00; in UTC if it names no zone."
        ),
    ] = None,
    reason: Reason = None,
    watch: Annotated[bool, typer.Option("--watch", metavar="", help="Stay and watch it.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Send a release to the targets of its channel, or to some of them."""

    async def work(manager: Manager) -> int | None:
        on = await find.channel(manager, channel)
        what = await find.release(manager, release, on.id)
        to_targets = [(await find.target(manager, one)).name for one in targets or ()]
        to_clusters = [(await find.cluster(manager, one)).name for one in clusters or ()]
        reached = await _reached(manager, on, what, to_targets, to_clusters)
        confirm(f"{on.familiar} goes to {what.version or what.digest[:19]}", reached, yes=yes)
        body = {
            "channel": on.id,
            "digest": what.digest,
            "targets": to_targets or None,
            "clusters": to_clusters or None,
            "not_before": _time(not_before) if not_before else None,
            "reason": reason,
        }
        body = {name: value for name, value in body.items() if value is not None}
        document = (await manager.write("POST", "rollouts", body=body)).document
        if watch:
            return await watch_rollout(manager, read_rollout(document).id, as_json=as_json)
        print_json(document) if as_json else say(told(read_rollout(document)))
        return None

    finish(work, timeout_s)


@rollout.command("list")
def rollout_list(
    *,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", metavar="STATE", help="Only in this state, such as running; repeatable."),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option("--kind", metavar="KIND", help="Only those that go forward (update), or back (rollback)."),
    ] = None,
    channel: OneChannel = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many of the last to show.")] = 50,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the rollouts, the newest first."""

    async def work(manager: Manager) -> None:
        of = (await find.channel(manager, channel)).id if channel else None
        answer = await manager.get("rollouts", state=values(state), kind=kind, channel=of, limit=limit)
        items = answer.document["items"]
        empty = "There is no such rollout." if state or kind or channel else _NO_ROLLOUT
        print_json(items) if as_json else _print(items, empty)

    finish(work, timeout_s)


@rollout.command("show")
def rollout_show(
    rollout_id: RolloutId,
    *,
    wave: Annotated[
        int | None, typer.Option("--wave", min=1, max=100_000, help="Of its targets only those of this wave.")
    ] = None,
    progress: Annotated[
        list[Progress] | None,
        typer.Option(
            "--progress",
            metavar="PROGRESS",
            help="Of its targets only those that are here, such as failed; repeatable.",
        ),
    ] = None,
    changes: Annotated[
        bool, typer.Option("--changes", metavar="", help="And what is different in the release.")
    ] = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show one rollout and its targets."""

    async def work(manager: Manager) -> None:
        document = (await manager.get("rollouts", rollout_id)).document
        items = await manager.every("rollouts", rollout_id, "targets", wave=wave, progress=values(progress))
        differs = (await manager.get("rollouts", rollout_id, "changes")).document if changes else None
        if as_json:
            print_json(document | {"targets": items} | ({"changes": differs} if changes else {}))
            return
        _print_one(read_rollout(document))
        _print_targets(items, "It has no such targets." if wave or progress else "It has no targets.")
        if differs is not None:
            print_changes(differs)

    finish(work, timeout_s)


@rollout.command("watch")
def rollout_watch(rollout_id: RolloutId, *, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Follow a rollout to its end. Exit code 5: it failed or was rolled back. Ctrl-C leaves it going on."""

    async def work(manager: Manager) -> int:
        return await watch_rollout(manager, rollout_id, as_json=as_json)

    finish(work, timeout_s)


def told(one: Rollout) -> str:
    """A rollout that was begun or changed, in two lines."""
    of = f"{one.total} target{'' if one.total == 1 else 's'} in {one.waves} wave{'' if one.waves == 1 else 's'}"
    first = f"Rollout {one.id}: {familiar(one.channel)} to {one.what}, {of}; {state_text(one)}."
    return first if one.ended else f"{first}\n`tidegate rollout watch {one.id}` follows it."


def state_text(one: Rollout) -> str:
    """Where a rollout is, and why."""
    words = one.state.replace("_", " ")
    if one.state == "awaiting_approval":
        words += f" ({len(one.approvals)} of {one.approvals_needed})"
    if one.reason.startswith(words):
        return one.reason
    return f"{words}: {one.reason}" if one.reason else words


async def _reached(
    manager: Manager, channel: Channel, release: Release, targets: list[str], clusters: list[str]
) -> set[str]:
    """The names of the targets that a rollout would move."""
    items = [read_target(one) for one in await manager.every("targets", channel=channel.id)]
    named = [one for one in items if not (targets or clusters) or one.name in targets or one.cluster in clusters]
    for name in targets:
        if name not in {one.name for one in items}:
            raise FleetError(f"{name} does not follow {channel.familiar}.")
        if name in {one.name for one in items if one.held}:
            raise FleetError(f"{name} is monitored only, as it is set where it runs: leave it out.")
    return {one.name for one in named if one.digest != release.digest and not one.held}


def _time(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--not-before: {text!r} is no time such as 2026-12-01T22:00+01:00.") from error
    return utc_text(at if at.tzinfo else at.replace(tzinfo=UTC))


def utc_text(at: datetime) -> str:
    """A time as the manager takes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _print(items: list[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("rollout", "state", "release", "wave", "healthy", "channel", "asked at", "by", "why"),
        (
            (
                one.id,
                one.state,
                one.what,
                f"{one.wave}/{one.waves}",
                f"{one.counts.get('healthy', 0)}/{one.total}",
                familiar(one.channel),
                short_time(one.created_at),
                one.requested_by,
                one.reason,
            )
            for one in map(read_rollout, items)
        ),
        empty=empty,
    )


def _print_one(one: Rollout) -> None:
    print_facts(facts(one))


def facts(one: Rollout) -> tuple[tuple[str, object], ...]:
    """What there is to say of one; what is empty is not shown."""
    return (
        ("rollout", f"{one.id}, {one.kind}" if one.kind != "update" else one.id),
        ("channel", familiar(one.channel)),
        ("release", one.what),
        ("digest", one.digest),
        ("state", state_text(one)),
        ("waits", one.waits_for),
        ("wave", f"{one.wave} of {one.waves}"),
        ("targets", counts_text(one.counts)),
        ("asked by", one.requested_by),
        ("approved by", ", ".join(one.approvals)),
        ("created at", short_time(one.created_at)),
        ("not before", short_time(one.not_before)),
        ("ended at", short_time(one.ended_at)),
    )


def _print_targets(items: list[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("wave", "target", "progress", "since", "why"),
        (
            (one.wave, one.target, one.progress, short_time(one.since), one.reason)
            for one in map(read_rollout_target, items)
        ),
        empty=empty,
    )
