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
from tests.support.features import at_work, until, until_committed
from tests.support.images import Pushed
from tests.support.kills import SERVICES, Before, agent_killed_at, assert_at_rest
from tests.support.recorder import recorded

POINTS = {
    "start-first": ("create", "prove", "join", "stop", "name"),
    "swap": ("start", "cut", "join", "remove", "adopt"),
    "swap-fast": ("cut", "join", "stop"),
    "stop-first": ("create", "stop", "start", "prove", "remove"),
}
OFTEN = {("swap", "join"), ("stop-first", "start")}


def cases() -> Iterator[Any]:
    for name, steps in POINTS.items():
        for step in (*steps, "bake"):
            yield pytest.param(
                (name, step), id=f"{name}-{step}", marks=() if (name, step) in OFTEN else pytest.mark.long
            )


def running_project(compose: Compose, push: Push, name: str) -> tuple[Before, Pushed, Pushed]:
    old = push("1", healthcheck=True)
    web = {"image": old.reference, "restart": "unless-stopped", **SERVICES[name]}
    compose.write({"services": {"web": web}, "networks": {"front": {}, "back": {}}})
    compose.up("--wait")
    return Before.of(compose, "web"), old, push("2", healthcheck=True)


def kill_at(agent: AgentHere, step: str, kill: Any) -> None:
    """Let the journal's record of a step kill the engine, once, before the step acts."""
    append, pending = agent.parts.state.journal.append, [kill]

    def write(txid: str, record: Mapping[str, Any]) -> None:
        append(txid, record)
        if pending and step in {record.get("doing"), record["kind"]}:
            pending.pop()()

    agent.parts.state.journal.append = write  # type: ignore[method-assign]


@pytest.mark.parametrize("case", list(cases()))
async def test_the_agent_waits_for_a_killed_engine_and_ends_the_update(
    compose: Compose, push: Push, tmp_path: Path, daemon: Daemon, case: tuple[str, str]
) -> None:
    name, step = case
    before, _, new = running_project(compose, push, name)
    async with agent_here(tmp_path / "state") as agent:
        kill_at(agent, step, daemon.kill)
        async with at_work(agent):
            await until(lambda: not _up(daemon), "the engine is killed", limit_s=60)
            await in_thread(daemon.start)
            await until_committed(agent)
    assert_at_rest(compose, tmp_path / "state", before, new)


@pytest.mark.parametrize("case", list(cases()))
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
