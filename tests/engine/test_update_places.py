"""A container's places on its networks outlast an update, and both ways in which one is undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.features import image_of, one, services

MAC = "02:42:77:11:22:33"
NETWORKS: dict[str, Any] = {
    "front": {"aliases": ["shop"]},
    "fixed": {"ipv4_address": "10.198.4.40", "aliases": ["till"]},
}
SUBNET = {"ipam": {"config": [{"subnet": "10.198.4.0/24"}]}}


def places(compose: Compose) -> dict[str, Any]:
    """What of its networks the user asked for, and the hardware address."""
    web = compose.container("web")
    networks = web["NetworkSettings"]["Networks"]
    return {
        name.removeprefix(f"{compose.project}_"): (
            (endpoint["IPAMConfig"] or {}).get("IPv4Address"),
            set(endpoint["Aliases"] or ()) - {web["Id"][:12]},
            endpoint["MacAddress"] == MAC,
        )
        for name, endpoint in networks.items()
    }


async def test_a_static_address_a_mac_address_and_aliases_outlast_updates_and_rollbacks(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    web = one(push("1"), restart="always", mac_address=MAC, networks=NETWORKS)
    compose.write(services(web=web) | {"networks": {"front": {}, "fixed": SUBNET}})
    compose.up()
    asked = places(compose)
    assert {name: place[0] for name, place in asked.items()} == {"front": None, "fixed": "10.198.4.40"}
    assert [place[2] for place in asked.values()].count(True) == 1
    good = push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="6s") as here:
        for version, env, outcome in (
            ("2", {}, "committed"),
            ("3", {"EXIT": "1"}, "rolled-back"),  # in its proof: the same container goes on
            ("4", {"EXIT": "1", "EXIT_AFTER_S": "3"}, "rolled-back"),  # in its bake: one is made anew
        ):
            push(version, env=env)
            await here.look()
            assert (here.last()["outcome"], here.last()["strategy"]) == (outcome, "stop-first"), here.last()
            assert (image_of(compose, "web"), places(compose)) == (good.image_id, asked)
            assert compose.changes() == []
