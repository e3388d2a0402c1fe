"""An update whose agent was stopped midway is put back, tried again, and not called a failure; but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here, in_thread
from tests.support.compose import Compose
from tests.support.fake_manager import FakeManager, fake_manager
from tests.support.features import at_work, image_of, one, services, until, until_committed
from tests.support.images import Pushed
from tests.support.kills import agent_killed_at, start_doomed_agent
from tests.support.managed import Fleet

from tidegate.agent.interrupted import MOST

AMID = "in:step:start"
"""The candidate was made, and is not proved."""


def up(compose: Compose, push: Push, *names: str, **labels: str) -> dict[str, Pushed]:
    """Services that run the first releases."""
    first = {name: push("1", name, healthcheck=True) for name in names}
    given = {f"tidegate.{key}": value for key, value in labels.items()}
    compose.write(services(**{name: one(image, labels=given) for name, image in first.items()}))
    compose.up()
    return first


def killed(state: Path) -> None:
    """An agent that looks once, and is killed in the middle."""
    agent_killed_at(AMID, state)


def told_to_stop(state: Path) -> None:
    """One that `docker stop` ends in the middle."""
    agent = start_doomed_agent(f"term:{AMID.removeprefix('in:')}", state, TIDEGATE_SETTLE="10m")
    output, _ = agent.communicate(timeout=240)
    assert agent.returncode == 0, output


@pytest.mark.parametrize("stopped", [killed, told_to_stop])
async def test_an_update_that_was_interrupted_is_made_at_the_next_look(
    compose: Compose, push: Push, tmp_path: Path, stopped: Callable[[Path], None]
) -> None:
    up(compose, push, "web")
    new = push("2", "web", healthcheck=True)
    await in_thread(stopped, tmp_path / "state")
    async with agent_here(tmp_path / "state") as here:
        await here.agent.recover()
        assert here.outcomes() == ["interrupted"]
        assert here.parts.state.quarantine.list() == []
        await here.look()
        assert here.outcomes() == ["interrupted", "committed"]
    assert image_of(compose, "web") == new.image_id


async def test_a_release_whose_update_is_interrupted_every_time_is_held_at_last(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = up(compose, push, "web")["web"]
    new = push("2", "web", healthcheck=True)
    for _ in range(MOST):
        await in_thread(killed, tmp_path / "state")
    async with agent_here(tmp_path / "state") as here:
        await here.agent.recover()
        await here.look()
        assert here.outcomes() == ["interrupted", "interrupted", "failed"]
        assert f"interrupted {MOST} times in a row" in here.last()["reason"]
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [new.digest]
        assert image_of(compose, "web") == old.image_id
        good = push("3", "web", healthcheck=True)
        await here.look()
    assert image_of(compose, "web") == good.image_id


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as one_:
        yield one_


@pytest.fixture
async def fleet(manager: FakeManager, compose: Compose) -> Fleet:
    return await Fleet.of(manager, compose)


async def killed_amid(fleet: Fleet, state: Path, point: str = AMID) -> None:
    """The fleet's agent, from its start to its end."""
    await in_thread(lambda: agent_killed_at(point, state, KEEPS_RUNNING="1", **fleet.environ))


@pytest.mark.parametrize(("times", "ends"), [(MOST - 1, "healthy"), (MOST, "failed")])
async def test_an_assignment_is_carried_out_again_a_few_times_and_only_its_end_is_told(
    fleet: Fleet, push: Push, tmp_path: Path, times: int, ends: str
) -> None:
    old = up(fleet.compose, push, "web")["web"]
    new = push("2", "web", healthcheck=True)
    state = tmp_path / "state"
    first = asyncio.create_task(killed_amid(fleet, state))
    await fleet.until(fleet.inventory)
    await fleet.assign(new)
    await first
    for _ in range(times - 1):
        await killed_amid(fleet, state)
    async with fleet.at_work(state) as here:
        await fleet.until(lambda: fleet.told()[-1:] == [ends])
        assert here.parts.state.quarantine.list() == []
    assert (fleet.told(), fleet.last()["blame"]) == (["begun", ends], False)
    assert (f"interrupted {MOST} times" in fleet.last()["reason"]) is (ends == "failed")
    assert image_of(fleet.compose, "web") == (new if ends == "healthy" else old).image_id


async def test_a_group_that_was_interrupted_is_moved_again_together(fleet: Fleet, push: Push, tmp_path: Path) -> None:
    up(fleet.compose, push, "api", "web", group="both")
    new = {name: push("2", name, healthcheck=True) for name in ("api", "web")}
    state = tmp_path / "state"
    async with fleet.at_work(state):
        await fleet.until(fleet.inventory)
    for name, image in new.items():
        await fleet.assign(image, name)
    await killed_amid(fleet, state, f"{AMID}@1")
    async with fleet.at_work(state) as here:
        await fleet.until(lambda: fleet.told("api") == fleet.told("web") == ["begun", "healthy"])
        rows = here.parts.state.history.tail(10)
    assert [row["outcome"] for row in rows] == ["interrupted"] * 2 + ["committed"] * 2
    assert len({row["transaction"] for row in rows}) == 2
    assert {name: image_of(fleet.compose, name) for name in new} == {n: i.image_id for n, i in new.items()}


async def test_a_way_back_that_was_interrupted_is_gone_again(fleet: Fleet, push: Push, tmp_path: Path) -> None:
    old = up(fleet.compose, push, "web")["web"]
    new = push("2", "web", healthcheck=True)
    state = tmp_path / "state"
    async with fleet.at_work(state):
        await fleet.until(fleet.inventory)
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
    await fleet.assign(old, generation=2, back=True)
    await killed_amid(fleet, state)
    async with fleet.at_work(state):
        await fleet.until(lambda: fleet.told(generation=2)[-1:] == ["healthy"])
    assert fleet.told(generation=2) == ["begun", "healthy"]
    assert image_of(fleet.compose, "web") == old.image_id


async def test_an_assignment_is_carried_out_again_by_an_agent_that_was_told_to_stop_in_time(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    up(fleet.compose, push, "web")
    new = push("2", "web", healthcheck=True)
    state = tmp_path / "state"
    async with fleet.at_work(state):
        await fleet.until(fleet.inventory)
    await fleet.assign(new)
    agent = start_doomed_agent("term:step:start", state, **fleet.environ)
    output, _ = await in_thread(lambda: agent.communicate(timeout=240))
    assert agent.returncode == 0, output
    async with fleet.at_work(state) as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["healthy"])
        assert here.outcomes() == ["interrupted", "committed"]
    assert fleet.told() == ["begun", "healthy"]
    assert image_of(fleet.compose, "web") == new.image_id


async def test_a_journal_that_cannot_be_used_holds_its_target_until_it_is_deleted(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    """After `docker compose up -d`, which takes the candidate away: the remedy of docs/operations.md."""
    up(compose, push, "web")
    push("2", "web", healthcheck=True)
    await in_thread(killed, tmp_path / "state")
    (journal,) = (tmp_path / "state" / "journal").glob("*.jsonl")
    begun, *later = journal.read_text(encoding="utf-8").splitlines()
    journal.write_text("\n".join([begun, *(line.replace('"id"', '"other"') for line in later), ""]), encoding="utf-8")
    often = agent_here(tmp_path / "state", WATCHTOWER_POLL_INTERVAL="1")
    async with often as here, at_work(here, busy_retry_s=0.5) as agent:
        await until(lambda: agent.metrics.unended == 1, "it is told of")
        await in_thread(compose.up)
        new, looks = push("3", "web", healthcheck=True), agent.metrics.scans_total
        await until(lambda: agent.metrics.scans_total > looks + 1, "it has looked since")
        assert here.outcomes() == []
        journal.unlink()
        await until_committed(here)
        assert agent.metrics.unended == 0
    assert image_of(compose, "web") == new.image_id
