"""The engine is killed in the middle of an update, alone or together with the agent; both come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here, in_thread
from tests.support.compose import Compose
from tests.support.daemon import Daemon
from tests.support.dying import ends_at
from tests.support.features import at_work, until, until_committed
from tests.support.images import Pushed
from tests.support.kills import SERVICES, Before, agent_killed_at, assert_at_rest, idle_private_networks, strategy_of
from tests.support.recorder import recorded

from tidegate.domain.transaction import steps_of

ALONE, WITH_THE_AGENT = ("swap", "join"), ("stop-first", "start")
"""What is tried every time, a case of each test but the last; the rest takes an hour."""


def cases(often: tuple[str, str] | None, *more: str) -> Iterator[Any]:
    """Every step of every strategy, and `more` moments."""
    for name in SERVICES:
        for step in (*steps_of(strategy_of(name)), *more):
            marks = () if (name, step) == often else pytest.mark.long
            yield pytest.param((name, step), id=f"{name}-{step}", marks=marks)


def running_project(compose: Compose, push: Push, name: str) -> tuple[Before, Pushed, Pushed]:
    old = push("1", healthcheck=True)
    web = {"image": old.reference, "restart": "unless-stopped", **SERVICES[name]}
    compose.write({"services": {"web": web}, "networks": {"front": {}, "back": {}}})
    compose.up("--wait")
    return Before.of(compose, "web"), old, push("2", healthcheck=True)


def kill_at(agent: AgentHere, step: str, kill: Any, *, back: bool = False) -> None:
    """Let the journal's record of a step, or of one on the way `back`, kill the engine once, before the step acts."""
    append, pending = agent.parts.state.journal.append, [kill]

    def write(txid: str, record: Mapping[str, Any]) -> None:
        append(txid, record)
        here = step in {record.get("doing"), record["kind"]}
        if pending and here and is_back(record) is back:
            pending.pop()()

    agent.parts.state.journal.append = write  # type: ignore[method-assign]


def is_back(record: Mapping[str, Any]) -> bool:
    """Whether a record is of the way back."""
    id_ = str(record.get("id") or record.get("replacement", {}).get("id", ""))
    return id_.endswith("-back")


@pytest.mark.parametrize("case", list(cases(ALONE, "bake")))
async def test_the_agent_waits_for_a_killed_engine_and_ends_the_update(
    compose: Compose, push: Push, tmp_path: Path, daemon: Daemon, case: tuple[str, str]
) -> None:
    name, step = case
    before, _, new = running_project(compose, push, name)
    async with agent_here(tmp_path / "state") as agent:
        kill_at(agent, step, daemon.kill)
        async with at_work(agent):
            await until(lambda: not _up(daemon), "the engine is killed", limit_s=120)
            await in_thread(daemon.start)
            await until_committed(agent)
    assert_at_rest(compose, tmp_path / "state", before, new)


@pytest.mark.parametrize("case", list(cases(None)))
async def test_the_agent_waits_for_an_engine_that_was_killed_on_the_way_back_and_ends_that(
    compose: Compose, push: Push, tmp_path: Path, daemon: Daemon, case: tuple[str, str]
) -> None:
    name, step = case
    before, old, new = running_project(compose, push, name)
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="30s") as agent:
        kill_at(agent, step, daemon.kill, back=True)
        ends_at(agent, "bake", before.containers["web"][0]["Name"].lstrip("/"))
        async with at_work(agent):
            await until(lambda: not _up(daemon), "the engine is killed", limit_s=180)
            await in_thread(daemon.start)
            await until(lambda: agent.outcomes()[-1:] == ["rolled-back"], "it is rolled back", limit_s=180)
            await until(lambda: not idle_private_networks(), "no private network is left", limit_s=120)
    assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])


@pytest.mark.parametrize("case", list(cases(WITH_THE_AGENT, "bake")))
async def test_after_a_restart_of_the_host_one_container_serves(
    compose: Compose, push: Push, tmp_path: Path, daemon: Daemon, case: tuple[str, str]
) -> None:
    name, step = case
    before, old, new = running_project(compose, push, name)
    with recorded(compose, "web") as recorder:
        point = f"in:{step}" if step == "bake" else f"in:step:{step}"
        await in_thread(agent_killed_at, point, tmp_path / "state")
        await in_thread(recorder.restart, daemon)
        async with agent_here(tmp_path / "state") as agent:
            await agent.agent.recover()
        assert_at_rest(compose, tmp_path / "state", before, old, new)
        if name == "stop-first":
            assert recorder.most_at_once() == 1


def _up(daemon: Daemon) -> bool:
    try:
        return daemon.pid > 0
    except FileNotFoundError:
        return False
