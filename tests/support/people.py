"""A person's command in the middle of an update: where it comes, and what the service is to be afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from tests.support import strangers
from tests.support.agent import AgentHere, agent_here, in_thread
from tests.support.compose import Compose
from tests.support.docker import docker, listed, remove
from tests.support.images import build
from tests.support.registry import Registry
from tests.support.waiting import get_json, wait_for

from tidegate.agent.guard import PROJECT, TRANSACTION, Guard
from tidegate.agent.hands import Hands
from tidegate.agent.private import PRIVATE_FOR
from tidegate.agent.prove import HealthProver
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Step, Strategy, steps_of
from tidegate.engine.model import Event

BAKE = "bake"
"""The point after the last step: the new container serves and is still watched."""

KINDS: Mapping[str, tuple[Strategy, dict[str, Any]]] = {
    "start-first": (Strategy.START_FIRST, {}),
    "swap": (Strategy.SWAP, {"ports": ["8000"]}),
    "swap-fast": (Strategy.SWAP, {"ports": ["8000"], "labels": {"tidegate.cut": "fast"}}),
    "stop-first": (Strategy.STOP_FIRST, {"ports": ["8000"], "labels": {"tidegate.strategy": "stop-first"}}),
}
"""Every way to update, and what of a Compose service leads to it."""

RM_F = "docker rm -f"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "up": ("up", "-d"),
    "up --force-recreate": ("up", "-d", "--force-recreate"),
    "down": ("down",),
    "stop": ("stop",),
    "restart": ("restart",),
    "rm -sf": ("rm", "-s", "-f"),
}
"""What people do with Compose; `RM_F` is the other one."""


class Left(Enum):
    """What is to be left of the service."""

    RUNNING = "one running container"
    STOPPED = "one stopped container"
    NONE = "no container"


def points_of(kind: str) -> list[str]:
    """Where an update can be held: before each step, and in the bake."""
    return [*steps_of(KINDS[kind][0]), BAKE]


def expected(command: str, *, named_runs: bool, any_runs: bool) -> Left:
    """What a command means.

    `named_runs`: a container that has the service's name runs. `docker rm -f NAME` on one that the agent has
    stopped already, or has not named yet, leaves the new one. `any_runs`: a container of the service runs; a stop of
    what does not run is a command without an effect, which the engine tells nobody of.
    """
    if command == "stop":
        return Left.STOPPED if any_runs else Left.RUNNING
    if command == RM_F:
        return Left.NONE if named_runs else Left.RUNNING
    return Left.NONE if command in {"down", "rm -sf"} else Left.RUNNING


class Held:
    """One update held at one point. `asleep`: the agent hears of nothing until it is let go."""

    def __init__(self, point: str, *, asleep: bool) -> None:
        self.point = point
        self.asleep = asleep
        self.reached = asyncio.Event()
        self._go = asyncio.Event()
        self._missed: list[Callable[[], None]] = []

    async def hold(self) -> None:
        """Wait here, once."""
        if not self.reached.is_set():
            self.reached.set()
            await self._go.wait()

    def hear(self, feed: Callable[[], None]) -> None:
        """Pass an event on, now or when the agent is awake."""
        if self.asleep and self.reached.is_set() and not self._go.is_set():
            self._missed.append(feed)
        else:
            feed()

    def let_go(self) -> None:
        """The step is taken; what was missed is heard while its first request is under way."""
        self._go.set()
        loop = asyncio.get_running_loop()
        for feed in self._missed:
            loop.call_later(0.002, feed)


_held: dict[str, Held] = {}
"""By cluster; updates of several may be held at once, each in a thread of its own."""


@contextlib.contextmanager
def holding(project: str, held: Held) -> Iterator[Held]:
    """Updates of a Compose project are held."""
    _held[project] = held
    try:
        yield held
    finally:
        del _held[project]


@contextlib.contextmanager
def ready_to_hold() -> Iterator[None]:
    """Lets `holding` work while it lasts."""
    perform, feed, bake = Hands.perform, Guard.feed, HealthProver.bake

    async def perform_when_told(self: Hands, step: Step) -> None:
        await _hold(self._it.cluster, step)
        await perform(self, step)

    async def bake_when_told(self: HealthProver, container: str, policy: Policy) -> None:
        labels = (await self._engine.container(container)).labels
        await _hold(labels[PROJECT], BAKE)
        await bake(self, container, policy)

    def feed_when_awake(self: Guard, event: Event) -> None:
        if self._slot[0] in _held:
            _held[self._slot[0]].hear(lambda: feed(self, event))
        else:
            feed(self, event)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hands, "perform", perform_when_told)
        patch.setattr(HealthProver, "bake", bake_when_told)
        patch.setattr(Guard, "feed", feed_when_awake)
        yield


async def _hold(project: str, point: str) -> None:
    one = _held.get(project)
    if one is not None and one.point == point:
        await one.hold()


@dataclass
class Stage:
    """A cluster of one service at version 1, with version 2 on its channel, and an agent of its own."""

    compose: Compose
    agent: AgentHere
    kind: str
    name: str
    versions: Mapping[str, str]

    def run(self, command: str) -> None:
        """What a person does; what the command line answers is theirs, not checked."""
        if command == RM_F:
            docker("rm", "-f", self.name, check=False)
        else:
            self.compose.run(*COMMANDS[command], check=False)

    def expected(self, command: str) -> Left:
        """What a command that is given now means."""
        running = {one["Name"].lstrip("/") for one in self.compose.containers("web") if one["State"]["Running"]}
        return expected(command, named_runs=self.name in running, any_runs=bool(running))

    def left(self) -> Left:
        """What is there of the service; AssertionError where it is not one of the three."""
        found = self.compose.containers("web")
        names = [(one["Name"].lstrip("/"), one["State"]["Status"]) for one in found]
        assert len(found) <= 1, f"more than one container: {names}"
        if not found:
            return Left.NONE
        assert names[0][0] == self.name, f"the name is not as it was: {names}"
        return Left.RUNNING if found[0]["State"]["Running"] else Left.STOPPED

    def version(self) -> str:
        """The version that the only container runs."""
        return self.versions[self.compose.container("web")["Image"]]

    def answers(self) -> bool:
        """Whether the service answers where it is published, or on its network."""
        if "ports" in KINDS[self.kind][1]:
            address = self.compose.address("web")
        else:
            networks = self.compose.container("web")["NetworkSettings"]["Networks"]
            address = f"{networks[f'{self.compose.project}_default']['IPAddress']}:8000"
        return bool(wait_for(lambda: get_json(address, timeout_s=1), f"{self.name} answers at {address}"))

    def private_networks(self) -> set[str]:
        """Names of the networks made for this stage's updates that are there."""
        mine = tuple(f"tidegate-{record['transaction']}" for record in self.agent.parts.state.history.tail(100))
        names = docker("network", "ls", "--filter", f"label={PRIVATE_FOR}", "--format", "{{.Name}}").split()
        return {name for name in names if name.removeprefix("0-").startswith(mine)} if mine else set()


@contextlib.asynccontextmanager
async def on_stage(registry: Registry, folder: Path, kind: str, **service: Any) -> AsyncIterator[Stage]:
    """The cluster is up at version 1 and version 2 is pushed; all of it is gone afterwards."""
    project = f"tidegate-test-people-{secrets.token_hex(4)}"
    folder = folder / project
    folder.mkdir()
    compose = Compose(folder, project)
    old = build(registry, f"{project}/app:latest", version="1")
    labels = {"tidegate.scope": project, **KINDS[kind][1].get("labels", {}), **service.pop("labels", {})}
    web = {"image": old.reference, "stop_grace_period": "1s", **KINDS[kind][1], **service, "labels": labels}
    compose.write({"services": {"web": web}})
    try:
        await in_thread(compose.up)
        new = build(registry, f"{project}/app:latest", version="2")
        async with agent_here(folder / "state", WATCHTOWER_SCOPE=project) as agent:
            name = compose.container("web")["Name"].lstrip("/")
            yield Stage(compose, agent, kind, name, {old.image_id: "1", new.image_id: "2"})
    finally:
        # not `clean()`: it would take the networks of other stages too
        for thing in ("container", "network"):
            remove(thing, listed(thing, f"label=com.docker.compose.project={project}"))


def made_for_updates() -> set[str]:
    """IDs of everything on the engine that was made for an update of a test's agent."""
    containers = listed("container", f"label={TRANSACTION}")
    return strangers.private_networks() | (containers & strangers.ours("container"))
