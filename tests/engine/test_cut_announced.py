"""While a container is replaced, nobody waits for the kernel, nor for ports to move twice."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.absent import PRIVATE, cannot, need_root
from tests.support.agent import agent_here
from tests.support.asking import Asking
from tests.support.compose import Compose
from tests.support.docker import docker, listed
from tests.support.images import Pushed, build
from tests.support.registry import Registry
from tests.support.waiting import served_version, wait_for

from groundwork import agent_image
from groundwork.registry import free_port
from tidegate.agent.announce import HELPER
from tidegate.agent.announce_arp import interface_in
from tidegate.engine.model import Event

NEVER_MS = "60000"


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root("the kernel's settings are changed")


@pytest.fixture(scope="module")
def channel() -> Registry:
    """The session's registry, by an address that containers reach too."""
    if "GROUND_REGISTRY_LAN" not in os.environ:
        cannot(f"containers do not reach this registry: {PRIVATE}")
    return Registry(os.environ["GROUND_REGISTRY"], engine_address=os.environ["GROUND_REGISTRY_LAN"])


@pytest.fixture(scope="module")
def agent_image_tag() -> Iterator[str]:
    tag = f"tidegate-test-agent:{secrets.token_hex(4)}"
    agent_image.build(tag)
    yield tag
    docker("rmi", "-f", tag)


def up_where_the_kernel_never_asks_again(compose: Compose, image: Pushed) -> str:
    """A service that is replaced by stop-first, on a bridge with a patient kernel; its `HOST:PORT`."""
    address = f"127.0.0.1:{free_port()}"
    web = {"ports": [f"{address}:8000"], "labels": {"tidegate.strategy": "stop-first"}}
    docker("pull", "-q", image.reference)
    compose.write({"services": {"web": {"image": image.reference, **web}}})
    compose.up("--wait")
    subnet = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", f"{compose.project}_default")
    bridge = interface_in([subnet])
    assert bridge is not None
    Path(f"/proc/sys/net/ipv4/neigh/{bridge.name}/retrans_time_ms").write_text(NEVER_MS, encoding="ascii")
    wait_for(lambda: served_version(address) == "1", "version 1 answers")
    return address


async def test_after_stop_first_clients_do_not_wait_until_the_kernel_asks_again(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    address = up_where_the_kernel_never_asks_again(compose, push("1"))
    push("2")
    async with agent_here(tmp_path / "state") as agent:
        with Asking(address):
            await agent.look()
            assert agent.last()["outcome"] == "committed"
            await asyncio.to_thread(wait_for, lambda: served_version(address) == "2", "version 2 answers", limit_s=30)


@pytest.mark.timeout(600)  # the agent's image is built for it
@pytest.mark.usefixtures("engine_url")
def test_an_agent_in_a_container_sees_to_that_too_and_leaves_no_helper_behind(
    compose: Compose, channel: Registry, repository: str, agent_image_tag: str
) -> None:
    address = up_where_the_kernel_never_asks_again(compose, build(channel, f"{repository}:latest", version="1"))
    build(channel, f"{repository}:latest", version="2")
    settings = {"TIDEGATE_INSECURE_REGISTRIES": channel.engine_address, "TIDEGATE_SETTLE": "1s", "TIDEGATE_BAKE": "1s"}
    words = [word for key, value in settings.items() for word in ("-e", f"{key}={value}")]
    socket = os.environ["DOCKER_HOST"].removeprefix("unix://")
    words += ["--rm", "-v", f"{socket}:/var/run/docker.sock", agent_image_tag]
    with Asking(address):
        docker("run", *words, "--run-once", compose.container("web")["Name"].lstrip("/"), timeout_s=120)
        wait_for(lambda: served_version(address) == "2", "version 2 answers", limit_s=30)
    assert listed("container", f"label={HELPER}") == set()


async def test_several_networks_are_left_last_name_first_and_joined_first_name_first(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    labels = {"tidegate.cut": "fast"}
    web = {"image": push("1").reference, "ports": ["8000"], "labels": labels, "networks": ["a", "b", "c"]}
    compose.write({"services": {"web": web}, "networks": {"a": {}, "b": {}, "c": {}}})
    compose.up("--wait")
    incumbent = compose.container("web")["Id"]
    push("2")
    seen: list[Event] = []
    async with agent_here(tmp_path / "state") as agent:
        with agent.parts.hub.listening(seen.append):
            await agent.look()
            assert (agent.last()["outcome"], agent.last()["strategy"]) == ("committed", "swap")
    candidate = compose.container("web")["Id"]
    assert moves(seen, "disconnect", incumbent, compose) == ["c", "b", "a"]
    assert moves(seen, "connect", candidate, compose) == ["a", "b", "c"]


def moves(seen: list[Event], action: str, container: str, compose: Compose) -> list[str]:
    """The project's networks that a container joined or left, in order; the engine tells some of them twice."""
    ours = dict.fromkeys(
        event.attributes["name"]
        for event in seen
        if (event.kind, event.action, event.attributes.get("container")) == ("network", action, container)
    )
    return [name.removeprefix(f"{compose.project}_") for name in ours if name.startswith(compose.project)]
