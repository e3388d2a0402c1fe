"""A candidate that was proved and falls before it has taken over: the old container goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import inspect
from tests.support.features import one, services
from tests.support.kills import agent_killed_at
from tests.support.waiting import get_json, wait_for

SUBNET = "10.198.7.0/24"
DEFAULT = {"default": {"ipam": {"config": [{"subnet": SUBNET}]}}}
# the first check passes wherever it is made, those after it on the serving network only
LEANING = "[ -e /tmp/seen ] || { touch /tmp/seen; exit 0; }; ip -4 addr | grep -q ' 10.198.7.'"
CHECK = {"Test": ["CMD-SHELL", LEANING], "Interval": 3_000_000_000, "Timeout": 10_000_000_000, "Retries": 1}
FALLS = {"EXIT": "3", "EXIT_AFTER_S": "10"}


def started(compose: Compose) -> tuple[str, str]:
    """Which container of the service runs, and since when."""
    container = compose.container("web")
    assert container["State"]["Running"]
    return container["Id"], container["State"]["StartedAt"]


async def test_one_that_ends_while_the_old_container_drains_does_not_take_its_place(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"), labels={"tidegate.drain": "14s"})))
    compose.up()
    before = started(compose)
    new = push("2", env=FALLS)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.last()["strategy"] == "start-first"
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [new.digest]
    assert started(compose) == before


async def test_one_that_has_ended_is_not_gone_on_with_after_a_kill(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    before = started(compose)
    push("2", env=FALLS)
    agent_killed_at("at:step:hold", tmp_path / "state")
    others = [one["Id"] for one in compose.containers("web") if one["Id"] != before[0]]
    wait_for(lambda: not inspect(others[0])["State"]["Running"], "the candidate ends")
    async with agent_here(tmp_path / "state") as here:
        await here.agent.recover()
    assert started(compose) == before


@pytest.fixture
def swapped(compose: Compose, push: Push) -> Callable[..., None]:
    """A service that publishes a port, on a network with a known range, at version 1."""

    def up(**web: Any) -> None:
        document = services(web=one(push("1"), ports=["8000"], **web))
        compose.write({**document, "networks": DEFAULT})
        compose.up()

    return up


async def strategy_of_a_leaning_release(compose: Compose, push: Push, tmp_path: Path) -> str:
    """Update to a release that turns sick away from its networks. It is committed and not blamed; by which strategy."""
    new = push("2", healthcheck=CHECK)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert (here.outcomes(), here.parts.state.quarantine.list()) == (["committed"], [])
        strategy = str(here.last()["strategy"])
    assert compose.container("web")["Image"] == new.image_id
    return strategy


async def test_one_that_turns_sick_away_from_its_networks_before_the_cut_is_heard_on_them(
    compose: Compose, push: Push, tmp_path: Path, swapped: Callable[..., None]
) -> None:
    swapped(labels={"tidegate.drain": "8s"})
    assert await strategy_of_a_leaning_release(compose, push, tmp_path) == "stop-first"


async def test_one_that_turns_sick_during_the_cut_is_given_the_time_to_recover(
    compose: Compose, push: Push, tmp_path: Path, swapped: Callable[..., None]
) -> None:
    swapped(environment={"IGNORE_TERM": "1"}, stop_grace_period="8s")
    assert await strategy_of_a_leaning_release(compose, push, tmp_path) == "swap"


async def test_one_that_ends_during_the_cut_is_tried_where_it_serves_before_it_is_blamed(
    compose: Compose, push: Push, tmp_path: Path, swapped: Callable[..., None]
) -> None:
    swapped(environment={"IGNORE_TERM": "1"}, stop_grace_period="14s")
    old = compose.container("web")["Id"]
    new = push("2", env=FALLS)
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="14s") as here:
        await here.look()
        assert here.last()["outcome"] == "inconclusive"
        assert here.parts.state.quarantine.list() == []
        assert started(compose)[0] == old
        assert get_json(compose.address("web"))["version"] == "1"
        await here.look()
        assert (here.last()["outcome"], here.last()["strategy"]) == ("rolled-back", "stop-first")
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [new.digest]
