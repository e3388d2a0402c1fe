"""The agent is killed between any two steps of an update; the next one finds exactly one container to keep."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.kills import SERVICES, Before, agent_killed_at, assert_at_rest, strategy_of
from tests.support.recorder import recorded

from tidegate.domain.transaction import steps_of

OFTEN = {
    ("start-first", "at:step:remove"),
    ("start-first", "in:bake"),
    ("swap", "at:step:start"),
    ("swap", "in:step:join"),
    ("swap-fast", "in:step:cut"),
    ("swap-fast", "in:step:join"),
    ("stop-first", "amid:step:stop"),
    ("stop-first", "at:step:prove"),
}
"""What is tried every time; the rest takes minutes."""


def points() -> Iterator[Any]:
    for name in SERVICES:
        steps = steps_of(strategy_of(name))
        moments = [f"{moment}:step:{step}" for step in steps for moment in ("at", "in", "amid")]
        for point in [*moments, "in:begin", "at:replaced", "in:replaced", "in:bake", "at:end", "in:end"]:
            yield pytest.param(name, point, marks=() if (name, point) in OFTEN else pytest.mark.long)


@pytest.mark.parametrize(("name", "point"), list(points()))
async def test_one_container_serves_after_a_kill_and_nothing_is_left_over(
    compose: Compose, push: Push, tmp_path: Path, name: str, point: str
) -> None:
    old = push("1", healthcheck=True)
    web = {"image": old.reference, "restart": "unless-stopped", **SERVICES[name]}
    compose.write({"services": {"web": web}, "networks": {"front": {}, "back": {}}})
    compose.up("--wait")
    before = Before.of(compose, "web")
    new = push("2", healthcheck=True)
    with recorded(compose, "web") as recorder:
        agent_killed_at(point, tmp_path / "state")
        async with agent_here(tmp_path / "state") as agent:
            await agent.agent.recover()
        assert_at_rest(compose, tmp_path / "state", before, old, new)
        if name == "stop-first":
            assert recorder.most_at_once() == 1
