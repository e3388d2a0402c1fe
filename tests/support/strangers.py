"""An engine that a person uses too: what on it is the tests' and the benchmarks', and how their agents leave the rest.

The tests' things are known by their name or their Compose project; an agent's private network by its address range.
"""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass

from tests.support.docker import docker, listed, remove

OURS = ("tidegate-test-", "tidegate-bench-")
BENCH_LABEL = "tidegate-bench"
PRIVATE_FOR = "tidegate.private-for"
PRIVATE = f"label={PRIVATE_FOR}"
SUBNETS = ipaddress.ip_network("10.214.0.0/16")  # not the range that a person's own agent has without a setting
_LABELS = ("com.docker.compose.project", BENCH_LABEL, PRIVATE_FOR)


@dataclass(frozen=True)
class Thing:
    """A container, network or volume on the engine; `owner` is for whom a private network was made."""

    id: str
    name: str
    project: str = ""
    bench: str = ""
    owner: str = ""

    @property
    def ours(self) -> bool:
        """Whether a test or a benchmark made it, or had it made."""
        return any(name.startswith(OURS) for name in (self.name, self.project, self.owner)) or bool(self.bench)


def shared() -> bool:
    """Whether the ground's engine was there before, and so may hold what is a person's."""
    return "GROUND_REGISTRY" in os.environ and "GROUND_PRIVATE" not in os.environ


def settings() -> dict[str, str]:
    """What makes an agent without any filter leave a person's containers alone; empty on a private engine."""
    if not shared():
        return {}
    names = sorted(thing.name for thing in things("container") if not thing.ours)
    return {"WATCHTOWER_DISABLE_CONTAINERS": ",".join(names), "TIDEGATE_PRIVATE_SUBNETS": str(SUBNETS)}


def shielded(more: dict[str, str]) -> dict[str, str]:
    """Return `more`, a test's own settings, joined with `settings()`."""
    shield, names = settings(), "WATCHTOWER_DISABLE_CONTAINERS"
    if shield.get(names) and more.get(names):
        more = {**more, names: f"{shield[names]},{more[names]}"}
    return {**shield, **more}


def things(kind: str) -> list[Thing]:
    """Everything of a kind on the engine: `container`, `network` or `volume`."""
    name = "{{.Names}}" if kind == "container" else "{{.Name}}"
    id_ = "{{.Name}}" if kind == "volume" else "{{.ID}}"
    form = "\t".join([id_, name, *(f'{{{{.Label "{label}"}}}}' for label in _LABELS)])
    words = [*(["-a"] if kind == "container" else []), *([] if kind == "volume" else ["--no-trunc"])]
    return [Thing(*line.split("\t")) for line in docker(kind, "ls", *words, "--format", form).split("\n") if line]


def ours(kind: str) -> set[str]:
    """IDs (volumes: names) of what the tests made, private networks of their agents included."""
    found = {thing.id for thing in things(kind) if thing.ours}
    return found | _private_networks() if kind == "network" else found


def private_networks() -> set[str]:
    """IDs of the private networks that agents of the tests have; of all agents on an engine of the ground's own."""
    return listed("network", PRIVATE) & ours("network") if shared() else listed("network", PRIVATE)


def remove_private_networks() -> None:
    """Remove what an agent that is gone by now would have removed when it saw its containers go."""
    if shared():
        remove("network", private_networks())
    else:
        docker("network", "prune", "--force", "--filter", PRIVATE)


def _private_networks() -> set[str]:
    """Of the tests' agents, on an engine that is shared."""
    ids = docker("network", "ls", "--quiet", "--no-trunc", "--filter", PRIVATE).split()
    documents = json.loads(docker("network", "inspect", *ids)) if ids else []
    return {one["Id"] for one in documents if any(_is_ours(range_["Subnet"]) for range_ in one["IPAM"]["Config"])}


def _is_ours(subnet: str) -> bool:
    return ipaddress.ip_network(subnet).overlaps(SUBNETS)
