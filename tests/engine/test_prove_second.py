"""A private network is never the reason for a quarantine: the serving networks have the last word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here, tidegate
from tests.support.asking import Asking
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed
from tests.support.waiting import get_json

from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container, Event


@pytest.fixture
def outside(compose: Compose, push: Push) -> Iterator[str]:
    """The name of a network on which a container that is not of the project is known as `outside`."""
    network = f"{compose.project}-shared"
    docker("network", "create", network)
    image = push("db", tag="db")
    docker("run", "-d", "--name", network, "--network", network, "--network-alias", "outside", image.reference, "db")
    yield network
    compose.clean()
    docker("rm", "-f", "-v", network)
    docker("network", "rm", network)


def leaning(image: Pushed, network: str) -> dict[str, Any]:
    """A service that boots only with what is `outside` its cluster."""
    web = {"image": image.reference, "ports": ["8000"], "environment": {"DB": "outside:5432", "DB_BOOT_S": "5"}}
    return {"services": {"web": web}, "networks": {"default": {"name": network, "external": True}}}


class Seconds:
    """Inspects every second-opinion container as soon as it starts."""

    def __init__(self, agent: AgentHere) -> None:
        self.seen: list[Container] = []
        self._agent = agent
        self._tasks: set[asyncio.Task[None]] = set()

    def feed(self, event: Event) -> None:
        if event.action == "start" and event.attributes.get("name", "").endswith("-tidegate-second"):
            self._tasks.add(asyncio.ensure_future(self._look(event.id)))

    async def _look(self, container: str) -> None:
        try:
            self.seen.append(await self._agent.parts.engine.container(container))
        except NotFoundError:
            return


async def test_a_release_that_leans_on_something_outside_its_cluster_is_stopped_first_instead(
    compose: Compose, push: Push, outside: str, tmp_path: Path
) -> None:
    compose.write(leaning(push("1", healthcheck=True), outside))
    compose.up("--wait")
    new = push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        seconds = Seconds(agent)
        with agent.parts.hub.listening(seconds.feed):
            await agent.look()
        assert (agent.last()["outcome"], agent.last()["strategy"]) == ("committed", "stop-first")
        assert list(agent.parts.state.quarantine.list()) == []
        name = compose.container("web")["Name"].strip("/")
        why = agent.parts.state.unprovable[name]
    (second,) = seconds.seen
    assert not [label for label in second.labels if label.startswith("com.docker.compose.")]
    assert second.document["HostConfig"]["PortBindings"] in ({}, None)
    assert {alias for place in second.endpoints.values() for alias in place.aliases} <= {second.id[:12], second.name}
    assert compose.container("web")["Image"] == new.image_id
    assert compose.changes() == []
    push("3", healthcheck=True)
    rows = json.loads(tidegate(tmp_path / "state", "agent", "plan", "--json").stdout)
    (row,) = [row for row in rows if row["container"] == name]
    assert (row["action"], row["strategy"]) == ("update", "stop-first")
    assert f"it cannot be proved away from its serving network: {why}" in row["strategy_reason"]


@pytest.mark.parametrize("broken", [{"SICK": "1"}, {"EXIT": "3"}])
async def test_a_broken_release_fails_both_proofs_and_nobody_notices(
    compose: Compose, push: Push, tmp_path: Path, broken: dict[str, str]
) -> None:
    compose.write({"services": {"web": {"image": push("1", healthcheck=True).reference, "ports": ["8000"]}}})
    compose.up("--wait")
    before = compose.container("web")
    push("2", healthcheck=True, env=broken)
    async with agent_here(tmp_path / "state") as agent:
        with Asking(compose.address("web")) as asking:
            await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        (entry,) = agent.parts.state.quarantine.list()
        await agent.look()
        assert agent.outcomes() == ["rolled-back"]
    assert "; on its serving networks too: " in entry.reason
    assert (asking.failed, asking.versions) == (0, {"1"})
    after = compose.container("web")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
    assert compose.changes() == []


async def test_a_start_that_fails_on_the_private_network_gets_a_second_opinion_too(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write({"services": {"web": {"image": push("1").reference, "ports": ["8000"]}}})
    compose.up("--wait")
    push("2", Entrypoint=["/not-there"])
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        assert str(agent.last()["reason"]).count("could not be started") == 2
    assert get_json(compose.address("web"))["version"] == "1"
    assert compose.changes() == []
