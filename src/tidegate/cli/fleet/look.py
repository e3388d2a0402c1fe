"""`tidegate status`, `clusters` and `targets`: what runs where."""

from typing import Annotated, Any, Final

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.complete import complete_label
from tidegate.cli.fleet.model import Document, Target, familiar, read_cluster, read_target, release_name
from tidegate.cli.fleet.options import (
    TIMEOUT_S,
    AsJson,
    ClusterName,
    OneAgent,
    OneChannel,
    OneCluster,
    OneDigest,
    TargetName,
    Timeout,
    WithLabels,
    group,
    pairs,
    yes_or_no,
)
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import (
    labels_text,
    print_facts,
    print_json,
    print_rows,
    say,
    short_time,
    updater_words,
)
from tidegate.protocol.events import Running

_AWAY: Final = "agent offline"
_NO_TARGET: Final = "No agent has told of a target yet; `tidegate agents enrol` makes a token with which one joins."
_NO_CLUSTER: Final = "No agent has told of a cluster yet; `tidegate agents enrol` makes a token with which one joins."

clusters = group("The Compose projects that agents look after.")
targets = group("The services that releases go to.")


def status(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show how the fleet is: agents, targets, rollouts, approvals that wait, alerts."""

    async def work(manager: Manager) -> None:
        document = (await manager.get("status")).document
        print_json(document) if as_json else print_facts(_flat(_without_zeros(document)))

    finish(work, timeout_s)


@clusters.command("list")
def clusters_list(
    *,
    agent: OneAgent = None,
    labels: WithLabels = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the clusters."""

    async def work(manager: Manager) -> None:
        wanted = tuple(f"{name}={value}" for name, value in pairs(labels).items())
        of = str((await find.agent(manager, agent))["name"]) if agent else None
        items = await manager.every("clusters", agent=of, label=wanted)
        empty = "There is no such cluster." if agent or labels else _NO_CLUSTER
        print_json(items) if as_json else _print_clusters(items, empty)

    finish(work, timeout_s)


@clusters.command("show")
def clusters_show(name: ClusterName, *, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show one cluster and its targets."""

    async def work(manager: Manager) -> None:
        one = await find.cluster(manager, name)
        items = await manager.every("targets", cluster=one.name)
        if as_json:
            print_json((await manager.get("clusters", one.name)).document | {"targets": items})
            return
        there = "there" if one.online else "offline"
        updater = updater_words(one.updater) if one.updater else None
        about = (("cluster", one.name), ("agent", f"{one.agent}, {there}"), ("updater", updater))
        print_facts((*about, ("labels", labels_text(one.labels))))
        await print_targets(manager, items)

    finish(work, timeout_s)


@clusters.command("label")
def clusters_label(
    name: ClusterName,
    labels: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE", autocompletion=complete_label, help="NAME- takes a label away.")
    ],
    *,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Set labels of a cluster; the others stay."""

    async def work(manager: Manager) -> None:
        one = await find.cluster(manager, name)
        before = await manager.get("clusters", one.name)
        gone = {word[:-1] for word in labels if word.endswith("-") and "=" not in word}
        added = pairs([word for word in labels if word[:-1] not in gone])
        wanted = {key: value for key, value in (dict(one.labels) | added).items() if key not in gone}
        answer = await manager.write("PATCH", "clusters", one.name, body={"labels": wanted}, etag=before.etag)
        if as_json:
            print_json(answer.document)
            return
        say(f"{one.name}: {labels_text(wanted) or 'no labels'}")

    finish(work, timeout_s)


@targets.command("list")
def targets_list(
    *,
    cluster: OneCluster = None,
    channel: OneChannel = None,
    state: Annotated[
        Running | None,
        typer.Option("--state", metavar="STATE", help="Only in this state: running, stopped or mixed."),
    ] = None,
    digest: OneDigest = None,
    agent: OneAgent = None,
    drifted: Annotated[
        bool | None,
        typer.Option(
            "--drifted/--not-drifted",
            metavar="",
            help="Only those that run something else than the manager had put there, or only the others.",
        ),
    ] = None,
    held: Annotated[
        bool | None,
        typer.Option(
            "--held/--not-held", metavar="", help="Only those that their agents leave alone, or only the others."
        ),
    ] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the targets and what runs on them."""
    filters = {"state": state, "drift": yes_or_no(drifted), "held": yes_or_no(held)}

    async def work(manager: Manager) -> None:
        of = (await find.cluster(manager, cluster)).name if cluster else None
        follows = (await find.channel(manager, channel)).id if channel else None
        runs = await find.digest(manager, digest, follows) if digest else None
        beside = str((await find.agent(manager, agent))["name"]) if agent else None
        items = await manager.every("targets", cluster=of, channel=follows, digest=runs, agent=beside, **filters)
        if as_json:
            print_json(items)
            return
        narrowed = any((cluster, channel, digest, agent, *filters.values()))
        await print_targets(manager, items, empty="There is no such target." if narrowed else _NO_TARGET)

    finish(work, timeout_s)


@targets.command("show")
def targets_show(name: TargetName, *, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Show one target."""

    async def work(manager: Manager) -> None:
        one = await find.target(manager, name)
        document = (await manager.get("targets", one.cluster, one.service)).document
        print_json(document) if as_json else _print_target(document)

    finish(work, timeout_s)


def _print_target(document: dict[str, Any]) -> None:
    runs = document.get("runs") or []
    print_facts(_flat({name: value for name, value in document.items() if name != "runs"}))
    if runs:
        print_rows(
            ("ran since", "rollout", "digest"),
            ((short_time(one.get("since")), one.get("rollout") or "by hand", one.get("digest")) for one in runs),
            empty="",
        )


async def print_targets(manager: Manager, items: list[dict[str, Any]], *, empty: str = "It has no targets.") -> None:
    """A table of targets. What is told of one whose agent is away is what that told last, so it is said."""
    found = [read_target(item) for item in items]
    away = {} if all(one.online for one in found) else await _away(manager)
    print_rows(
        ("target", "state", "health", "running", "channel", "note"),
        (
            (
                one.name,
                one.state,
                one.health,
                release_name(one.version, one.digest),
                familiar(one.channel),
                "; ".join(part for part in ("" if one.online else away.get(one.agent, _AWAY), _held(one)) if part),
            )
            for one in found
        ),
        empty=empty,
    )


def _held(one: Target) -> str:
    return ": ".join(part for part in ("held" if one.held else "", one.reason) if part)


async def _away(manager: Manager) -> dict[str, str]:
    """By names of agents, since when they are away, in words."""
    return {str(one["name"]): _since(one) for one in await manager.every("agents") if not one.get("online")}


def _since(agent: Document) -> str:
    if agent.get("revoked_at"):
        return "agent revoked"
    seen = agent.get("last_seen_at")
    return f"{_AWAY} since {short_time(seen)}" if seen else _AWAY


def _print_clusters(items: list[dict[str, Any]], empty: str) -> None:
    print_rows(
        ("cluster", "agent", "there", "targets", "labels"),
        (
            (one.name, one.agent, "yes" if one.online else "offline", one.targets, labels_text(one.labels))
            for one in map(read_cluster, items)
        ),
        empty=empty,
    )


def _without_zeros(document: dict[str, Any]) -> dict[str, Any]:
    rollouts = document.get("rollouts") or {}
    return document | {"rollouts": {state: count for state, count in rollouts.items() if count}}


def _flat(document: Any, before: str = "") -> list[tuple[str, Any]]:
    """A document's values by their paths, in words."""
    if isinstance(document, dict):
        return [fact for name, value in document.items() for fact in _flat(value, f"{before} {name}".strip())]
    name = before.replace("_", " ")
    if isinstance(document, list):
        return [(name, ", ".join(map(str, document)))]
    shown = {True: "yes", False: "no"}.get(document, document) if isinstance(document, bool) else document
    return [(name, shown)]
