"""How the incumbent is retired: drained, stopped by its own signal and within its own grace, or cut off at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here, in_thread
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.waiting import get_json, served_version

from tidegate.engine.docker import DockerEngine
from tidegate.engine.model import Event


class Watched:
    """The engine's events during a look; `begun` is set when the candidate starts."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.begun = asyncio.Event()

    def feed(self, event: Event) -> None:
        self.events.append(event)
        if event.action == "start":
            self.begun.set()

    def when(self, action: str, container: str) -> list[float]:
        """When an action was seen on a container, in seconds of the engine's clock."""
        return [one.time_ns / 1e9 for one in self.events if one.action.startswith(action) and one.id == container]

    def signals(self, container: str) -> list[str]:
        return [one.attributes["signal"] for one in self.events if one.action == "kill" and one.id == container]


async def watched(agent: AgentHere) -> Watched:
    """One look that commits, and what the engine told meanwhile."""
    seen = Watched()
    with agent.parts.hub.listening(seen.feed):
        await agent.look()
        assert agent.last()["outcome"] == "committed", agent.last()
        # events come on their own connection: the last one of the update is the rename
        async with asyncio.timeout(40):
            while not any(event.action == "rename" for event in seen.events):
                await asyncio.sleep(0.02)
    return seen


def web(push: Push, **more: Any) -> dict[str, Any]:
    return {"services": {"web": {"image": push("1", healthcheck=True).reference, "ports": ["8000"], **more}}}


@pytest.mark.parametrize(("cut", "served"), [("graceful", "1"), ("fast", None)])
async def test_a_request_in_flight_is_finished_by_a_graceful_cut_and_not_waited_for_by_a_fast_one(
    compose: Compose, push: Push, tmp_path: Path, cut: str, served: str | None
) -> None:
    compose.write(web(push, stop_grace_period="40s", labels={"tidegate.cut": cut}))
    compose.up("--wait")
    address, begun = compose.address("web"), asyncio.Event()
    push("2", healthcheck=True)

    async def ask_when_the_candidate_starts() -> Any:
        await begun.wait()
        return await in_thread(lambda: get_json(address, "/slow?ms=15000", timeout_s=60))

    async with agent_here(tmp_path / "state") as agent:
        with agent.parts.hub.listening(lambda event: begun.set() if event.action == "start" else None):
            asking = asyncio.create_task(ask_when_the_candidate_starts())
            await agent.look()
            assert agent.last()["outcome"] == "committed"
            finished = asking.done()
            answer = await asking
    assert (answer and answer["version"]) == served
    assert finished or cut == "fast"
    assert served_version(compose.address("web")) == "2"


async def test_the_drain_hook_and_the_drain_time_come_before_the_cut(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    mark = tmp_path / "marks" / "drained"
    labels = {"tidegate.drain": "2s", "tidegate.hook.drain": "hostname > /marks/drained"}
    compose.write(web(push, labels=labels | {"tidegate.overlap": "true"}, volumes=[f"{mark.parent}:/marks"]))
    compose.up("--wait")
    old = compose.container("web")["Id"]
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        seen = await watched(agent)
        assert agent.last()["strategy"] == "swap"
    assert mark.read_text().strip() == old[:12]
    assert seen.when("kill", old)[0] - mark.stat().st_mtime >= 2


@pytest.mark.parametrize("where", ["image", "compose"])
async def test_the_incumbent_is_stopped_by_its_own_signal(
    compose: Compose, push: Push, tmp_path: Path, where: str
) -> None:
    push_first = {"StopSignal": "SIGUSR1"} if where == "image" else {}
    first = push("1", healthcheck=True, **push_first)
    more = {"stop_signal": "SIGUSR1"} if where == "compose" else {}
    compose.write({"services": {"web": {"image": first.reference, "ports": ["8000"], **more}}})
    compose.up("--wait")
    old = compose.container("web")["Id"]
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        seen = await watched(agent)
    assert seen.signals(old) == ["10"]
    kept = inspect(compose.container("web")["Id"])["Config"].get("StopSignal")
    assert kept == ("SIGUSR1" if where == "compose" else None)


async def test_an_incumbent_that_does_not_end_is_killed_after_its_own_grace(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(web(push, stop_grace_period="2s", environment={"IGNORE_TERM": "1"}))
    compose.up("--wait")
    old = compose.container("web")["Id"]
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        seen = await watched(agent)
    assert seen.signals(old) == ["15", "9"]
    first, second = seen.when("kill", old)
    assert 1.5 < second - first < 9  # the engine's own grace is 10 s
    docker("kill", compose.container("web")["Id"])


async def test_a_tag_that_is_moved_under_the_candidates_feet_is_noticed(
    compose: Compose, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose.write(web(push))
    compose.up("--wait")
    before = compose.container("web")
    push("2", healthcheck=True)
    create = DockerEngine.create

    async def move_the_tag_first(self: DockerEngine, name: str, request: Any) -> str:
        docker("tag", before["Image"], request["Image"])
        return await create(self, name, request)

    monkeypatch.setattr(DockerEngine, "create", move_the_tag_first)
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.last()["outcome"] == "failed"
        assert "was moved to another image" in str(agent.last()["reason"])
        assert agent.parts.state.quarantine.list() == []
        monkeypatch.undo()
        await agent.look()
        assert agent.last()["outcome"] == "committed"
    assert served_version(compose.address("web")) == "2"
    assert compose.changes() == []
