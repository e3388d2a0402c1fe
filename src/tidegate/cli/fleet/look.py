"""`tidegate status`, `clusters` and `targets`: what runs where."""

from typing import Annotated, Any

import typer

from tidegate.cli.fleet import find
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.model import Target, familiar, read_cluster, read_target, release_name
from tidegate.cli.fleet.options import (
    TIMEOUT_S,
    AsJson,
    ClusterName,
    OneChannel,
    OneCluster,
    TargetName,
    Timeout,
    group,
    pairs,
)
from tidegate.cli.fleet.session import finish, show_all
from tidegate.cli.fleet.show import labels_text, print_facts, print_json, print_rows, say, short_time

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
    agent: Annotated[str | None, typer.Option("--agent", help="Only this agent's.")] = None,
    label: Annotated[str | None, typer.Option("--label", metavar="NAME=VALUE", help="Only with this label.")] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the clusters."""
    show_all("clusters", show=_print_clusters, as_json=as_json, timeout_s=timeout_s, agent=agent, label=label)


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
        print_facts((("cluster", one.name), ("agent", f"{one.agent}, {there}"), ("labels", labels_text(one.labels))))
        print_targets([read_target(item) for item in items])

    finish(work, timeout_s)


@clusters.command("label")
def clusters_label(
    name: ClusterName,
    labels: Annotated[list[str], typer.Argument(metavar="NAME=VALUE", help="NAME- takes a label away.")],
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
    state: Annotated[str | None, typer.Option("--state", help="Only in this state: running, stopped or mixed.")] = None,
    digest: Annotated[str | None, typer.Option("--digest", help="Only where this runs.")] = None,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Show the targets and what runs on them."""

    async def work(manager: Manager) -> None:
        of = (await find.cluster(manager, cluster)).name if cluster else None
        follows = (await find.channel(manager, channel)).id if channel else None
        items = await manager.every("targets", cluster=of, channel=follows, state=state, digest=digest)
        print_json(items) if as_json else print_targets([read_target(item) for item in items])

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


def print_targets(items: list[Target]) -> None:
    """A table of targets."""
    print_rows(
        ("target", "state", "health", "running", "channel", "note"),
        (
            (
                one.name,
                one.state,
                one.health,
                release_name(one.version, one.digest),
                familiar(one.channel),
                ": ".join(part for part in ("held" if one.held else "", one.reason) if part),
            )
            for one in items
        ),
        empty="There is no such target.",
    )


def _print_clusters(items: list[dict[str, Any]]) -> None:
    print_rows(
        ("cluster", "agent", "there", "targets", "labels"),
        (
            (one.name, one.agent, "yes" if one.online else "offline", one.targets, labels_text(one.labels))
            for one in map(read_cluster, items)
        ),
        empty="There is no such cluster.",
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
