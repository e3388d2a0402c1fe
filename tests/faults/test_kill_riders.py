"""The agent is killed while a container moves that another one shares its network with: they end up together."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import one, services
from tests.support.images import Pushed
from tests.support.kills import Before, agent_killed_at, assert_at_rest

from tidegate.domain.transaction import Strategy, steps_of

PROBED = {"tidegate.probe.http": ":8000/healthz"}
OFTEN = {"in:step:stop@1"}
POINTS = [
    f"{moment}:step:{step}@{n}" for n in (0, 1) for step in steps_of(Strategy.STOP_FIRST) for moment in ("at", "in")
]
BACK = ["in:reverse", "in:step:start@0-back", "in:step:remove@0-back", "at:step:create@1-back", "in:step:stop@1-back"]


def some(points: list[str], often: set[str]) -> list[object]:
    return [pytest.param(point, marks=() if point in often else pytest.mark.long) for point in points]


def together(compose: Compose) -> bool:
    both = [compose.container(service) for service in ("vpn", "rider")]
    assert all(one["State"]["Running"] for one in both), [one["State"] for one in both]
    return len({docker("exec", one["Id"], "readlink", "/proc/self/ns/net") for one in both}) == 1


def running(compose: Compose, push: Push, **labels: str) -> tuple[Before, list[Pushed]]:
    """A parent and its rider, which has the labels: as they run, and their images."""
    vpn, rider = push("1", "vpn"), push("1", "rider")
    riding = one(rider, command=["db"], network_mode="service:vpn", restart="unless-stopped", labels=labels)
    compose.write(services(vpn=one(vpn, labels=PROBED, restart="unless-stopped"), rider=riding))
    compose.up()
    return Before.of(compose, "vpn", "rider"), [vpn, rider]


@pytest.mark.parametrize("point", some(POINTS, OFTEN))
async def test_a_kill_leaves_a_rider_with_its_parent(compose: Compose, push: Push, tmp_path: Path, point: str) -> None:
    before, images = running(compose, push)
    images.append(push("2", "vpn"))
    agent_killed_at(point, tmp_path / "state")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
    assert together(compose)
    assert_at_rest(compose, tmp_path / "state", before, *images)


async def test_a_rider_s_label_that_cannot_be_used_does_not_keep_an_update_from_being_ended(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    before, images = running(compose, push, **{"tidegate.bake": "soon"})
    images.append(push("2", "vpn"))
    agent_killed_at("in:step:start@0", tmp_path / "state")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
    assert together(compose)
    assert_at_rest(compose, tmp_path / "state", before, *images)


@pytest.mark.parametrize("point", some(BACK, {"at:step:create@1-back"}))
async def test_a_kill_on_the_way_back_leaves_a_rider_with_its_parent(
    compose: Compose, push: Push, tmp_path: Path, point: str
) -> None:
    before, images = running(compose, push)
    broken = push("2", "vpn")
    agent_killed_at(point, tmp_path / "state", TIDEGATE_BAKE="15s", ENDS_IN_BAKE=f"{compose.project}-vpn-1")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
    assert together(compose)
    assert_at_rest(compose, tmp_path / "state", before, *images, blamed=[broken.digest])
