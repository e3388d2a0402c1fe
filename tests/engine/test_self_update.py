"""The agent updates the container it runs in: the new one takes over, or the old one goes on."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.absent import PRIVATE, cannot
from tests.support.agent_releases import BUILT, DIES_WITH_THE_LOCK, Channel, dying_at
from tests.support.compose import PROJECT, Compose
from tests.support.cosign import Signer
from tests.support.docker import docker, inspect, remove
from tests.support.fake_manager import fake_manager
from tests.support.kills import idle_private_networks
from tests.support.managed import Fleet
from tests.support.registry import Registry
from tests.support.waiting import status, wait_for

PYTHON = "/opt/tidegate/bin/python"
LIMIT_S = 150
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def channel(registry: Registry) -> Channel:
    if "GROUND_REGISTRY_LAN" not in os.environ:
        cannot(f"containers do not reach this registry: {PRIVATE}")
    one = Channel(registry, f"test-{secrets.token_hex(4)}/agent")
    one.build()
    return one


class OwnContainer:
    """An agent in a container of its own, as its Compose project has it."""

    def __init__(self, compose: Compose, channel: Channel) -> None:
        self._compose = compose
        self._channel = channel

    def start(self, beside: Mapping[str, Any] | None = None, **more: Any) -> Mapping[str, Any]:
        """Bring it up at what the channel has now, and services `beside` it; the engine's document of its container."""
        environment = {
            "WATCHTOWER_POLL_INTERVAL": "1",
            "TIDEGATE_INSECURE_REGISTRIES": self._channel.address,
            "TIDEGATE_HEALTH_TIMEOUT": "15s",
            "TIDEGATE_BAKE": "500ms",
            **more.pop("environment", {}),
        }
        socket = os.environ["DOCKER_HOST"].removeprefix("unix://")
        service = {
            "image": self._channel.reference,
            "restart": "unless-stopped",
            "volumes": [f"{socket}:/var/run/docker.sock"],
            "environment": environment,
            **more,
        }
        self._compose.write({"services": {"agent": service, **(beside or {})}})
        docker("pull", "-q", self._channel.reference)
        self._compose.up()
        agent = self._compose.container("agent")
        wait_for(lambda: self._listens(agent["Id"]), "the agent listens to commands", limit_s=LIMIT_S)
        return agent

    @staticmethod
    def _listens(container: str) -> bool:
        said = docker("exec", container, "sh", "-c", "test -S /var/lib/tidegate/agent.sock && echo yes", check=False)
        return said == "yes"

    def history(self) -> list[Mapping[str, Any]]:
        """What the agent tells of itself; empty while it cannot be asked."""
        label = f"label={PROJECT}={self._compose.project}"
        running = docker("ps", "-q", "--filter", label).split()
        if len(running) != 1:
            return []
        text = docker("exec", running[0], "tidegate", "agent", "history", "--json", check=False)
        return json.loads(text) if text.startswith("[") else []

    def outcomes(self) -> list[str]:
        """How its updates ended, the oldest first."""
        return [str(row["outcome"]) for row in self.history()]

    def ends_with(self, *outcomes: str) -> None:
        """Wait until its updates have ended like this."""
        wait_for(lambda: self.outcomes() == list(outcomes), f"the history is {outcomes}", limit_s=LIMIT_S, every_s=0.5)


@pytest.fixture
def own(compose: Compose, channel: Channel) -> Iterator[OwnContainer]:
    yield OwnContainer(compose, channel)
    # a volume that went from one container to the next is not taken away with the last one
    mounts = [mount for one in compose.containers("agent") for mount in one["Mounts"]]
    compose.clean()
    remove("volume", {mount["Name"] for mount in mounts if mount["Type"] == "volume"})


def place(one: Mapping[str, Any]) -> Any:
    mounts = sorted(
        (mount["Type"], mount.get("Name", mount["Source"]), mount["Destination"]) for mount in one["Mounts"]
    )
    networks = {name for name in one["NetworkSettings"]["Networks"] if "tidegate-20" not in name}
    return one["Name"], one["HostConfig"]["RestartPolicy"], mounts, networks


def nothing_is_left(compose: Compose) -> None:
    assert compose.changes() == []
    assert idle_private_networks() == []
    names = docker("ps", "-a", "--format", "{{.Names}}").split()
    assert [name for name in names if compose.project in name] == [compose.container("agent")["Name"].lstrip("/")]


def test_the_agent_hands_over_to_its_new_release_again_and_again(
    compose: Compose, channel: Channel, own: OwnContainer
) -> None:
    channel.release("1")
    first = own.start()
    second = channel.release("2")
    own.ends_with("committed")
    now = compose.container("agent")
    assert (now["Image"], now["State"]["Running"]) == (second.image_id, True)
    assert place(now) == place(first)
    nothing_is_left(compose)
    third = channel.release("3")
    own.ends_with("committed", "committed")
    now = compose.container("agent")
    assert (now["Image"], place(now)) == (third.image_id, place(first))
    nothing_is_left(compose)


def test_what_lives_in_the_agents_network_is_made_anew_behind_it(
    compose: Compose, channel: Channel, own: OwnContainer, push: Push
) -> None:
    channel.release("1")
    rider = {"image": push("1", "rider").reference, "network_mode": "service:agent"}
    own.start(beside={"rider": {**rider, "labels": {"tidegate.enable": "false"}}})
    second = channel.release("2")

    def together() -> bool:
        found = [one for service in ("agent", "rider") for one in compose.containers(service)]
        if len(found) != 2 or found[0]["Image"] != second.image_id or not found[1]["State"]["Running"]:
            return False
        return str(found[1]["HostConfig"]["NetworkMode"]) == f"container:{found[0]['Id']}"

    wait_for(together, "the rider lives in the new agent's network", limit_s=LIMIT_S, every_s=0.5)


@pytest.mark.parametrize(
    "entrypoint",
    [
        pytest.param(["sh", "-c", "echo no such setting; exit 3"], id="exits"),
        pytest.param(["sleep", "600"], id="never-asks", marks=pytest.mark.long),
        pytest.param([PYTHON, "-c", DIES_WITH_THE_LOCK], id="dies-with-the-lock"),
    ],
)
def test_the_old_agent_goes_on_where_the_new_one_is_broken(
    compose: Compose, channel: Channel, own: OwnContainer, entrypoint: list[str]
) -> None:
    channel.release("1")
    first = own.start()
    broken = channel.release("2", entrypoint)
    own.ends_with("rolled-back")
    now = compose.container("agent")
    assert (now["Id"], now["State"]["Running"], now["RestartCount"]) == (first["Id"], True, 0)
    assert place(now) == place(first)
    nothing_is_left(compose)
    held = docker("exec", now["Id"], "tidegate", "agent", "quarantine", "list")
    assert broken.digest.removeprefix("sha256:")[:8] in held
    good = channel.release("3")
    own.ends_with("rolled-back", "committed")
    assert compose.container("agent")["Image"] == good.image_id


@pytest.mark.long
@pytest.mark.parametrize("step", ["adopt", "stop", "remove", "name"])
def test_one_agent_is_left_where_the_new_one_is_killed_as_it_takes_over(
    compose: Compose, channel: Channel, own: OwnContainer, step: str
) -> None:
    channel.release("1")
    first = own.start()
    channel.release("2", [PYTHON, "-c", dying_at(step)])
    wait_for(own.outcomes, "it has ended", limit_s=LIMIT_S, every_s=0.5)
    now = compose.container("agent")
    assert (now["State"]["Running"], place(now)) == (True, place(first))
    nothing_is_left(compose)


def test_an_agent_with_a_published_port_swaps_it_over(compose: Compose, channel: Channel, own: OwnContainer) -> None:
    channel.release("1")
    api = {"WATCHTOWER_HTTP_API_METRICS": "true", "WATCHTOWER_HTTP_API_TOKEN": "secret"}
    first = own.start(environment=api, ports=["8080"])
    wait_for(lambda: status(compose.address("agent", 8080), "/v1/metrics") == 401, "the API answers")
    second = channel.release("2")
    own.ends_with("committed")
    now = compose.container("agent")
    assert (now["Image"], place(now)) == (second.image_id, place(first))
    wait_for(lambda: status(compose.address("agent", 8080), "/v1/metrics") == 401, "the API answers again")
    nothing_is_left(compose)


def test_a_stop_ends_the_agent_well_within_its_grace(compose: Compose, channel: Channel, own: OwnContainer) -> None:
    channel.release("1")
    agent = own.start()
    compose.run("stop", "agent")  # what does not end within 10 s is killed
    assert inspect(agent["Id"])["State"]["ExitCode"] == 0


def test_the_agents_image_has_nothing_left_to_compile_at_its_start(channel: Channel) -> None:
    channel.release("1")
    script = (
        "import os, sys, tidegate.agent.commands; "
        "print([name for name, module in sys.modules.items() if getattr(module, '__cached__', None) "
        "and not name.startswith('__') and not os.path.exists(module.__cached__)])"
    )
    words = ("--rm", "--read-only", "--env", "PYTHONDONTWRITEBYTECODE=1", "--entrypoint", "/opt/tidegate/bin/python")
    assert docker("run", *words, BUILT, "-c", script) == "[]"


def test_debians_cosign_runs_in_the_agents_image_where_it_is_mounted(channel: Channel, tmp_path: Path) -> None:
    assert channel.name
    Signer.new(tmp_path / "keys")
    (tmp_path / "signatures.toml").write_text('[[image]]\nrepository = "*"\nkey = "keys/cosign.pub"\n')
    words = ["-v", f"{tmp_path}:/etc/tidegate:ro", "-e", "TIDEGATE_SIGNATURES=/etc/tidegate/signatures.toml"]
    with pytest.raises(AssertionError, match=r"failed with 2: .* cosign is not on the PATH: install it"):
        docker("run", "--rm", *words, BUILT, "--version")
    mount = ["-v", f"{shutil.which('cosign')}:/usr/local/bin/cosign:ro"]
    assert docker("run", "--rm", *mount, *words, BUILT, "--version").startswith("tidegate ")
    assert "Verification" in docker("run", "--rm", *mount, "--entrypoint", "cosign", BUILT, "version")


async def test_a_release_that_a_manager_assigned_takes_over_and_tells_so(
    compose: Compose, channel: Channel, own: OwnContainer
) -> None:
    channel.release("1")
    async with fake_manager(host=channel.address.partition(":")[0]) as manager:
        fleet = await Fleet.of(manager, compose)
        before = await asyncio.to_thread(lambda: own.start(environment=fleet.environ))
        await fleet.until(lambda: fleet.inventory("agent"))
        new = channel.release("2")
        await fleet.assign(new, "agent")
        await fleet.until(lambda: fleet.told("agent") == ["begun", "healthy"], limit_s=LIMIT_S)
        await fleet.until(lambda: fleet.inventory("agent")["digest"] == new.digest)
        after = compose.container("agent")
        assert (after["Id"] != before["Id"], after["Image"]) == (True, new.image_id)
        assert len(manager.agents) == 1
    nothing_is_left(compose)
