"""A new image is pushed, found, rolled in, proved and kept; a broken one is put back and not tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.images import Pushed
from tests.support.waiting import served_version

STOP_FIRST = {"tidegate.strategy": "stop-first"}


def service(image: Pushed, **more: Any) -> dict[str, Any]:
    return {"services": {"web": {"image": image.reference, **more}}}


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        ("start-first", {}),
        ("swap", {"ports": ["8000"]}),
        ("stop-first", {"ports": ["8000"], "labels": STOP_FIRST}),
    ],
)
async def test_a_new_release_is_rolled_in_and_compose_agrees(
    compose: Compose, push: Push, tmp_path: Path, strategy: str, more: dict[str, Any]
) -> None:
    old = push("1", healthcheck=True)
    compose.write(service(old, **more))
    compose.up("--wait")
    name = compose.container("web")["Name"]
    new = push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert (agent.last()["outcome"], agent.last()["strategy"]) == ("committed", strategy)
    container = compose.container("web")
    assert (container["Image"], container["Name"]) == (new.image_id, name)
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "no"
    if "ports" in more:
        assert served_version(compose.address("web")) == "2"
    assert compose.changes() == []


@pytest.mark.parametrize(
    "more",
    [{}, pytest.param({"ports": ["8000"]}, marks=pytest.mark.long), {"ports": ["8000"], "labels": STOP_FIRST}],
)
async def test_a_release_that_never_becomes_healthy_is_put_back_and_not_tried_again(
    compose: Compose, push: Push, tmp_path: Path, more: dict[str, Any]
) -> None:
    old = push("1", healthcheck=True)
    compose.write(service(old, **more))
    compose.up("--wait")
    before = compose.container("web")
    push("2", healthcheck=True, env={"SICK": "1"})
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        await agent.look()
        assert agent.outcomes() == ["rolled-back"]
        good = push("3", healthcheck=True)
        after = compose.container("web")
        assert (after["Id"], after["Image"], after["State"]["Running"]) == (before["Id"], old.image_id, True)
        assert compose.changes() == []
        await agent.look()
    assert compose.container("web")["Image"] == good.image_id
    assert compose.changes() == []


async def test_updates_are_counted_by_how_they_ended(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write(service(push("1", healthcheck=True)))
    compose.up("--wait")
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        told = agent.parts.metrics.exposition()
    assert 'tidegate_updates_total{outcome="committed"} 1' in told
    assert "tidegate_transaction_seconds_count 1" in told
