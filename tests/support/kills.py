"""Kills an agent at a point of an update, and tells whether what a second agent left is at rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import strangers
from tests.support.agent import environment
from tests.support.compose import PROJECT, Compose
from tests.support.docker import docker, inspect, listed
from tests.support.images import Pushed
from tests.support.waiting import served_version, wait_for

from tidegate.agent.private import PRIVATE_FOR
from tidegate.agent.state import State
from tidegate.agent.tags import LENT_REPOSITORY
from tidegate.domain.transaction import Strategy

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {"front": {"aliases": ["shop"]}, "back": {}}
SERVICES: dict[str, dict[str, Any]] = {
    "start-first": {"networks": NETWORKS},
    "swap": {"ports": ["8000"], "networks": NETWORKS},
    "swap-fast": {"ports": ["8000"], "networks": NETWORKS, "labels": {"tidegate.cut": "fast"}},
    "stop-first": {"ports": ["8000"], "networks": NETWORKS, "labels": {"tidegate.strategy": "stop-first"}},
}
"""A service for each strategy, on two networks. Where the cut is fast, two run while neither, or one, serves."""


def strategy_of(name: str) -> Strategy:
    """The strategy that one of `SERVICES` gets."""
    return Strategy(name.removesuffix("-fast"))


def agent_killed_at(point: str, state: Path, **more: str) -> None:
    """Run an agent as a program until it ends itself at `point` (see killed_agent). AssertionError if it does not."""
    done = start_doomed_agent(point, state, **more)
    try:
        output, _ = done.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        done.kill()
        raise
    assert done.returncode == -signal.SIGKILL, f"the agent was not killed at {point}: {output}"


def start_doomed_agent(point: str, state: Path, **more: str) -> subprocess.Popen[str]:
    """Start an agent that is to end at `point`."""
    env = {"PATH": os.environ["PATH"], **environment(state, **more)}
    command = [sys.executable, "-m", "tests.support.killed_agent", point]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@dataclass(frozen=True)
class Before:
    """A project as it ran before the update: service -> the engine's documents of its containers."""

    containers: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, compose: Compose, *services: str) -> Before:
        """What runs now."""
        return cls({service: compose.containers(service) for service in services})


def assert_at_rest(
    compose: Compose,
    state: Path,
    before: Before,
    *images: Pushed,
    blamed: Sequence[str] = (),
    acted_on: bool = False,
) -> None:
    """One container a place, named, restarting and networked as before, of one of `images`; nothing left over.

    `blamed` are the digests that are to be in quarantine. `acted_on`: somebody else was at it, and may be told to be.
    """
    for service, earlier in before.containers.items():
        now = compose.containers(service)
        assert _places(now) == _places(earlier), f"{_places(now)} instead of {_places(earlier)}"
        assert all(one["State"]["Running"] for one in now), [one["State"] for one in now]
        assert {one["Image"] for one in now} <= {image.image_id for image in images}
        assert len({one["Image"] for one in now}) == 1
        assert _answers(compose, service, now)
        ran = {one["Name"]: one["Image"] for one in earlier}
        for one in now:
            _assert_recorded(State.at(state), one, ran[one["Name"]], images, acted_on=acted_on)
    changes = [line for line in compose.changes() if not any(f" {name} " in line for name in _riders(before))]
    assert not changes, changes
    assert_nothing_left(compose, state, blamed)


def _riders(before: Before) -> set[str]:
    """What shares another one's network: Compose makes it anew after that one, whose id is part of its settings."""
    every = [one for earlier in before.containers.values() for one in earlier]
    return {one["Name"].lstrip("/") for one in every if _rides(one)}


def _rides(container: Mapping[str, Any]) -> bool:
    return str(container["HostConfig"]["NetworkMode"]).startswith("container:")


def _assert_recorded(
    kept: State, container: Mapping[str, Any], ran: str, images: Sequence[Pushed], *, acted_on: bool
) -> None:
    """The history says last how a container came to the image that it runs, and the tag that it follows agrees.

    What shares another one's network is not told of by itself.
    """
    running, tag, name = container["Image"], container["Config"]["Image"], container["Name"].lstrip("/")
    assert docker("image", "inspect", "--format", "{{.Id}}", tag) == running
    if _rides(container):
        return
    told = [line for line in kept.history.tail(100) if line["container"] == name]
    assert told, f"nothing is told of {name}"
    if acted_on and told[-1]["outcome"] == "gave-way":
        return  # it is theirs
    runs = {image.digest for image in images if image.image_id == running}  # one release under several names
    _assert_agrees(told[-1], runs, moved=running != ran)
    if told[-1]["outcome"] == "committed":
        _assert_way_back(kept, told[-1], container)


def _assert_agrees(told: Mapping[str, Any], runs: Collection[str], *, moved: bool) -> None:
    """A container runs what it ran before, unless what is told of it last is that it was committed to another."""
    what = f"{told['outcome']} to {told['to']} is told, {runs} runs"
    if told["outcome"] == "committed":
        assert told["to"] in runs, what
    else:
        assert not moved, what
        assert told["to"] not in runs, what


def _assert_way_back(kept: State, told: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    """What ran before the last update is known, to be made again."""
    number = container["Config"]["Labels"]["com.docker.compose.container-number"]
    back = [one for one in kept.previous.of(told["cluster"], told["service"]) if one.number == number]
    assert [one.digest for one in back[:1]] == [told["from"]], f"{told['container']} cannot go back to {told['from']}"


def assert_nothing_left(compose: Compose, state: Path, blamed: Sequence[str] = ()) -> None:
    """No journal is open, no helper container, lent tag or idle network stays, and no other release is blamed."""
    names = docker("ps", "-a", "--format", "{{.Names}}", "--filter", f"label={PROJECT}={compose.project}").split()
    assert not [name for name in names if "-tidegate-" in name]
    assert idle_private_networks() == []
    assert docker("image", "ls", "--quiet", LENT_REPOSITORY) == ""
    kept = State.at(state)
    assert kept.journal.peek() == []
    found = [entry.digest for entry in kept.quarantine.list()]
    assert found == list(blamed), f"{found} are in quarantine, {list(blamed)} were to be"


def idle_private_networks() -> list[str]:
    """Private networks whose candidate does not exist any more."""
    idle = []
    for one in strangers.private_networks():
        found = json.loads(docker("network", "inspect", one, check=False) or "[]")
        if not found:
            continue  # gone since it was listed
        document = found[0]
        if not listed("container", f"label=tidegate.transaction={document['Labels'][PRIVATE_FOR]}"):
            idle.append(document["Name"])
    return idle


def _places(containers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["Name"]: (one["HostConfig"]["RestartPolicy"], _networks(one)) for one in containers}


def _networks(container: Mapping[str, Any]) -> dict[str, set[str]]:
    """Every network but the private ones, with the names that a container has there."""
    own = container["Id"][:12]
    return {
        name: set(endpoint["Aliases"] or ()) - {own}
        for name, endpoint in container["NetworkSettings"]["Networks"].items()
        if "tidegate-20" not in name
    }


def _answers(compose: Compose, service: str, containers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what is published answers with the version of the image that runs."""
    published = any(one["HostConfig"]["PortBindings"] for one in containers)
    if not published:
        return True
    version = inspect(containers[0]["Id"])["Config"]["Labels"]["org.opencontainers.image.version"]
    wait_for(lambda: served_version(compose.address(service)) == str(version), f"version {version} answers")
    return True
