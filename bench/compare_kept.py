"""What outlasts an update: addresses, data, and that Compose has nothing to do afterwards."""

from __future__ import annotations

from typing import Any

from bench.compare_cluster import Cluster, Outcome, cluster
from bench.compare_world import Outside, Updater
from tests.support.docker import docker

_SERVES_S = 30
_ADDRESS, _MAC = "10.77.0.10", "02:42:0a:4d:00:99"
_KEPT = "/kept/file"


def addresses(around: Outside, updater: Updater) -> Outcome:
    """A static address and, where Compose sets one (not on engines before 25), a MAC address."""
    web = {"networks": {"fixed": {"ipv4_address": _ADDRESS}}, "mac_address": _MAC}
    more = {"networks": {"fixed": {"ipam": {"config": [{"subnet": "10.77.0.0/24"}]}}}}
    with cluster(around, updater, web=web, more=more) as one:
        before = _addresses(one)
        if before["MAC"] != _MAC:
            del before["MAC"]
        _update(one)
        after = _addresses(one)
    said = [f"{what} {'kept' if after[what] == before[what] else 'lost'}" for what in before]
    return Outcome(", ".join(said), {"before": before, "after": after})


def _addresses(one: Cluster) -> dict[str, str]:
    (endpoint,) = one.web()[0]["NetworkSettings"]["Networks"].values()
    return {"address": endpoint["IPAddress"], "MAC": endpoint["MacAddress"]}


def anonymous_volume(around: Outside, updater: Updater) -> Outcome:
    """A file in a volume that the image asks for and nobody has named."""
    folder = _KEPT.rpartition("/")[0]
    with cluster(around, updater, volumes=[folder]) as one:
        docker("exec", one.name, "sh", "-c", f"echo precious > {_KEPT}")
        before = one.web()[0]["Mounts"][0]["Name"]
        _update(one, volumes=[folder])
        found = docker("exec", one.name, "cat", _KEPT, check=False)
        after = one.web()[0]["Mounts"][0]["Name"]
    kept = found == "precious"
    return Outcome("kept" if kept else "lost: a new, empty volume", {"kept": kept, "same_volume": before == after})


def compose_afterwards(around: Outside, updater: Updater) -> Outcome:
    """`docker compose up -d` after an update."""
    with cluster(around, updater) as one:
        _update(one)
        before = one.web()[0]["Id"]
        changes = one.compose.changes()
        same = one.web()[0]["Id"] == before
    return Outcome("nothing to do" if same else "made anew once more", {"same_container": same, "changes": changes})


def _update(one: Cluster, **image: Any) -> None:
    one.push("2", **image)
    one.look()
    if one.comes_to_serve("2", limit_s=_SERVES_S) is None:
        raise RuntimeError(f"the update did not come: {one.state()}")
