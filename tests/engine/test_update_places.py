"""A container's places on its networks outlast an update, and both ways in which one is undone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.dying import ends_at
from tests.support.engines import unique
from tests.support.features import image_of, one, services

from tidegate.engine.docker import DockerEngine

MAC = "02:42:77:11:22:33"
NETWORKS: dict[str, Any] = {
    "front": {"aliases": ["shop"]},
    "fixed": {"ipv4_address": "10.198.4.40", "aliases": ["till"]},
}
SUBNET = {"ipam": {"config": [{"subnet": "10.198.4.0/24"}]}}


def places(web: Mapping[str, Any]) -> dict[str, Any]:
    """What of its networks the user asked for, and whether the hardware address is the user's."""
    networks = web["NetworkSettings"]["Networks"]
    return {
        name.rpartition("_")[2]: (
            (endpoint["IPAMConfig"] or {}).get("IPv4Address"),
            set(endpoint["Aliases"] or ()) - {web["Id"][:12]},
            endpoint["MacAddress"] == MAC,
        )
        for name, endpoint in networks.items()
    }


async def test_a_static_address_and_aliases_outlast_updates_and_rollbacks(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    web = one(push("1"), restart="always", networks=NETWORKS)
    compose.write(services(web=web) | {"networks": {"front": {}, "fixed": SUBNET}})
    compose.up()
    asked = places(compose.container("web"))
    assert {name: place[0] for name, place in asked.items()} == {"front": None, "fixed": "10.198.4.40"}
    good = push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="6s") as here:
        for version, env, outcome in (
            ("2", {}, "committed"),
            ("3", {"EXIT": "1"}, "rolled-back"),  # in its proof: the same container goes on
            ("4", {}, "rolled-back"),  # in its bake: one is made anew
        ):
            push(version, env=env)
            if version == "4":
                ends_at(here, "bake", compose.container("web")["Name"].lstrip("/"))
            await here.look()
            assert (here.last()["outcome"], here.last()["strategy"]) == (outcome, "stop-first"), here.last()
            assert (image_of(compose, "web"), places(compose.container("web"))) == (good.image_id, asked)
            assert compose.changes() == []


@pytest.fixture
def by_hand(engine_url: str) -> Iterator[str]:
    """A name for a container, and `NAME_fixed` and `NAME_front` for its networks; gone afterwards."""
    assert engine_url
    name = unique("places")
    docker("network", "create", "--subnet", "10.198.5.0/24", f"{name}_fixed")
    docker("network", "create", f"{name}_front")
    yield name
    docker("rm", "-f", "-v", name)
    docker("network", "rm", f"{name}_fixed", f"{name}_front")


async def create(name: str, image: str) -> None:
    """As today's Compose and Docker commands do, which have no way to ask an older engine for a MAC address."""
    engine = await DockerEngine.open(os.environ["DOCKER_HOST"])
    newer = (await engine.version()).api_used != "1.41"
    place = {
        "Aliases": ["till"],
        "IPAMConfig": {"IPv4Address": "10.198.5.40"},
        **({"MacAddress": MAC} if newer else {}),
    }
    body = {"Image": image, "HostConfig": {"NetworkMode": f"{name}_fixed"}, **({} if newer else {"MacAddress": MAC})}
    await engine.create(name, body | {"NetworkingConfig": {"EndpointsConfig": {f"{name}_fixed": place}}})
    await engine.close()


async def test_a_mac_address_outlasts_updates_and_rollbacks(by_hand: str, push: Push, tmp_path: Path) -> None:
    image = push("1").reference
    docker("pull", "--quiet", image)
    await create(by_hand, image)
    docker("network", "connect", "--alias", "shop", f"{by_hand}_front", by_hand)
    docker("start", by_hand)
    asked = places(inspect(by_hand))
    assert asked == {"fixed": ("10.198.5.40", {"till"}, True), "front": (None, {"shop"}, False)}
    good = push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="6s") as here:
        await here.look()
        push("3")
        ends_at(here, "bake", by_hand)
        await here.look()
        assert here.outcomes() == ["committed", "rolled-back"]
    assert (inspect(by_hand)["Image"], places(inspect(by_hand))) == (good.image_id, asked)
