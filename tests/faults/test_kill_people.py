"""While the agent was down a person used Compose; and an agent that is told to stop in the middle of an update."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.images import Pushed
from tests.support.kills import (
    SERVICES,
    Before,
    agent_killed_at,
    assert_at_rest,
    assert_nothing_left,
    start_doomed_agent,
    strategy_of,
)

from tidegate.domain.transaction import steps_of
from tidegate.engine.port import Engine

POINTS = [
    ("start-first", "in:step:prove"),
    ("start-first", "in:step:stop"),
    ("swap", "in:step:prove"),
    ("swap", "at:step:confirm"),
    ("swap", "in:step:name"),
    ("swap-fast", "in:step:cut"),
    ("swap-fast", "in:step:join"),
    ("stop-first", "in:step:drain"),
    ("stop-first", "at:step:remove"),
    ("swap", "in:bake"),
]
OFTEN = {
    ("stop", "swap", "at:step:confirm", True),
    ("down", "start-first", "in:step:prove", True),
    ("up", "swap", "in:step:name", True),
    ("stop", "start-first", "in:step:prove", False),
    ("force", "swap", "in:step:prove", False),
}
NOBODY_CAN_TELL = ("stop", "stop-first", "at:step:remove", False)
"""A release that was not proved yet, and that may have ended by itself as well: the old one serves."""
COMMANDS = {
    "stop": ["stop"],
    "down": ["down"],
    "up": ["up", "-d"],
    "force": ["up", "-d", "--force-recreate"],
}


def cases() -> list[Any]:
    every = [(command, *point, remembered) for command in COMMANDS for point in POINTS for remembered in (True, False)]
    return [pytest.param(case, id=_named(*case), marks=() if case in OFTEN else pytest.mark.long) for case in every]


def _named(command: str, name: str, point: str, remembered: bool) -> str:
    return f"{command}-{name}-{point}-{'remembered' if remembered else 'forgotten'}"


def running(compose: Compose, push: Push, name: str) -> tuple[Before, Pushed, Pushed]:
    old = push("1", healthcheck=True)
    web = {"image": old.reference, "restart": "unless-stopped", **SERVICES[name]}
    compose.write({"services": {"web": web}, "networks": {"front": {}, "back": {}}})
    compose.up("--wait")
    return Before.of(compose, "web"), old, push("2", healthcheck=True)


async def forget_everything(engine: Engine, image: str) -> None:
    """Let so much happen on the engine that it remembers nothing of what was before."""
    for _ in range(300):
        await engine.tag(image, "tidegate-test", "forget")
    await engine.remove_image("tidegate-test:forget")


@pytest.mark.parametrize("case", cases())
async def test_what_a_person_did_while_the_agent_was_down_stands(
    compose: Compose, push: Push, tmp_path: Path, case: tuple[str, str, str, bool]
) -> None:
    command, name, point, remembered = case
    before, old, new = running(compose, push, name)
    agent_killed_at(point, tmp_path / "state")
    compose.run(*COMMANDS[command], check=False)
    async with agent_here(tmp_path / "state") as agent:
        if not remembered:
            await forget_everything(agent.parts.engine, old.image_id)
        await agent.agent.recover()
    if command == "down":
        assert compose.ids() == set()
    elif command == "stop" and case != NOBODY_CAN_TELL:
        assert not compose.container("web")["State"]["Running"]
    else:
        assert_at_rest(compose, tmp_path / "state", before, old, new, acted_on=True)
    assert_nothing_left(compose, tmp_path / "state")


STOPS = [
    ("start-first", "prove"),
    ("swap", "cut"),
    ("swap", "stop"),
    ("swap-fast", "join"),
    ("stop-first", "prove"),
    ("swap", "bake"),
]


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=() if one[1] in {"cut", "bake"} else pytest.mark.long) for one in STOPS]
)
async def test_an_agent_that_is_told_to_stop_comes_to_rest_and_ends_well(
    compose: Compose, push: Push, tmp_path: Path, case: tuple[str, str]
) -> None:
    name, step = case
    before, old, new = running(compose, push, name)
    point = "term:bake" if step == "bake" else f"term:step:{step}"
    agent = start_doomed_agent(point, tmp_path / "state", TIDEGATE_BAKE="10m", TIDEGATE_SETTLE="10m")
    output, _ = agent.communicate(timeout=240)  # neither is waited for
    assert agent.returncode == 0, output
    (container,) = compose.containers("web")
    assert container["State"]["Running"]
    assert container["Name"] == before.containers["web"][0]["Name"]
    async with agent_here(tmp_path / "state") as another:
        await another.agent.recover()
    assert_at_rest(compose, tmp_path / "state", before, old, new)


def told_to_stop_at(point: str, state: Path, code: int, **more: str) -> None:
    """An agent that is told to stop at a point; AssertionError where it ends with another code, or does not end."""
    agent = start_doomed_agent(f"term:{point}", state, **more)
    output, _ = agent.communicate(timeout=240)
    assert agent.returncode == code, output


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(("swap", "step:join@0-back"), marks=pytest.mark.long),
        pytest.param(("start-first", "step:stop@0-back"), marks=pytest.mark.long),
        ("stop-first", "step:prove@0-back"),
    ],
)
async def test_an_agent_that_is_told_to_stop_amid_a_rollback_ends_it_first(
    compose: Compose, push: Push, tmp_path: Path, case: tuple[str, str]
) -> None:
    name, point = case
    before, old, _ = running(compose, push, name)
    new = push("3", healthcheck=True)
    told_to_stop_at(point, tmp_path / "state", 0, TIDEGATE_BAKE="20s", ENDS_IN_BAKE=f"{compose.project}-web-1")
    assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])


async def test_an_agent_that_is_told_to_stop_while_a_broken_release_goes_ends_that_first(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    before, old, _ = running(compose, push, "stop-first")
    new = push("3", healthcheck=True, env={"EXIT": "3"})
    told_to_stop_at("settling", tmp_path / "state", 0)
    assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])


async def test_an_agent_that_looks_once_comes_to_rest_when_it_is_told_to_stop(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    before, old, _ = running(compose, push, "swap")
    told_to_stop_at("step:join", tmp_path / "state", 1, WATCHTOWER_RUN_ONCE="true")
    assert_at_rest(compose, tmp_path / "state", before, old)


async def test_a_rollback_by_hand_that_is_told_to_stop_comes_to_rest(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    _, _, new = running(compose, push, "swap")
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.outcomes() == ["committed"]
    before = Before.of(compose, "web")
    told_to_stop_at("step:join", tmp_path / "state", 1, ROLL_BACK=f"{compose.project}/web")
    assert_at_rest(compose, tmp_path / "state", before, new)


BY_HAND_OFTEN = {("swap", "in:bake"), ("swap", "in:step:join"), ("stop-first", "at:step:remove")}


SERVES_ALREADY = {"in:replaced", "in:bake", "at:end", "in:end", "in:booked"}


def by_hand() -> Iterator[Any]:
    """Every step of a rollback that a person asks for, of every strategy, and the moments around it."""
    for name in SERVICES:
        steps = [f"{moment}:step:{step}" for step in steps_of(strategy_of(name)) for moment in ("at", "in")]
        for point in ["in:begin", *steps, "at:replaced", "in:replaced", "in:bake", "at:end", "in:end", "in:booked"]:
            yield pytest.param(name, point, marks=() if (name, point) in BY_HAND_OFTEN else pytest.mark.long)


@pytest.mark.parametrize(("name", "point"), list(by_hand()))
async def test_a_rollback_by_hand_that_a_kill_cut_off_is_done_and_stays_or_was_not_begun(
    compose: Compose, push: Push, tmp_path: Path, name: str, point: str
) -> None:
    before, old, new = running(compose, push, name)
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.outcomes() == ["committed"]
    updated = Before.of(compose, "web")
    agent_killed_at(point, tmp_path / "state", ROLL_BACK=f"{compose.project}/web")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
        done = agent.outcomes()[-1] == "committed"
        await agent.look()  # brings nothing in by itself
        assert agent.outcomes() == ["committed", "committed" if done else "interrupted"]
    if done:
        assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])
    else:
        assert point not in SERVES_ALREADY
        assert_at_rest(compose, tmp_path / "state", updated, new)
