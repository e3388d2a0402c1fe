"""The manager is lost amid what it assigned, and comes back: that is carried out meanwhile, and told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.conftest import Push
from tests.support.agent import AgentHere
from tests.support.compose import Compose
from tests.support.dying import ends_at
from tests.support.fake_manager import FakeManager, fake_manager
from tests.support.images import Pushed
from tests.support.kills import SERVICES, Before, assert_at_rest, idle_private_networks, strategy_of
from tests.support.managed import Fleet

from tidegate.domain.transaction import steps_of

OFTEN = {("swap", "join"), ("start-first", "end")}
OFTEN_BACK = ("stop-first", "start")


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as one:
        yield one


@pytest.fixture
async def fleet(manager: FakeManager, compose: Compose) -> Fleet:
    return await Fleet.of(manager, compose)


def running(compose: Compose, push: Push, name: str) -> tuple[Before, Pushed, Pushed]:
    old = push("1", healthcheck=True)
    service = {"image": old.reference, "restart": "unless-stopped", **SERVICES[name]}
    compose.write({"services": {"web": service}, "networks": {"front": {}, "back": {}}})
    compose.up("--wait")
    return Before.of(compose, "web"), old, push("2", healthcheck=True)


class Lost:
    """Takes the manager away as the agent comes to a step, or to one on the way `back`; `again` is its return."""

    def __init__(self, manager: FakeManager, here: AgentHere, step: str, *, back: bool = False) -> None:
        self._manager, self._step, self._back = manager, step, back
        self._append = here.parts.state.journal.append
        self._going: asyncio.Task[None] | None = None
        here.parts.state.journal.append = self._write  # type: ignore[method-assign]

    def _write(self, txid: str, record: Mapping[str, Any]) -> None:
        self._append(txid, record)
        back = str(record.get("id", "")).endswith("-back")
        if self._going is None and back is self._back and self._step in {record.get("doing"), record["kind"]}:
            self._manager.trouble = lambda _: web.Response(status=502)
            self._going = asyncio.get_running_loop().create_task(self._manager.stop())

    async def again(self) -> None:
        """The manager is back, at the same address."""
        assert self._going is not None, f"it was not lost: {self._step} was not come to"
        await self._going
        self._manager.trouble = None
        await self._manager.start()


def cases() -> Iterator[Any]:
    for name in SERVICES:
        for step in (*steps_of(strategy_of(name)), "replaced", "bake", "end", "booked"):
            yield pytest.param(name, step, marks=() if (name, step) in OFTEN else pytest.mark.long)


def cases_back() -> Iterator[Any]:
    for name in SERVICES:
        for step in steps_of(strategy_of(name)):
            yield pytest.param(name, step, marks=() if (name, step) == OFTEN_BACK else pytest.mark.long)


@pytest.mark.parametrize(("name", "step"), list(cases()))
async def test_what_was_assigned_is_done_without_the_manager_and_told_once_when_it_is_back(
    fleet: Fleet, push: Push, tmp_path: Path, name: str, step: str
) -> None:
    before, _, new = running(fleet.compose, push, name)
    async with fleet.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        lost = Lost(fleet.manager, here, step)
        await fleet.assign(new)
        await fleet.until(lambda: here.outcomes() == ["committed"], "it is carried out")
        assert "healthy" not in fleet.told()
        await lost.again()
        await fleet.until(lambda: fleet.inventory().get("digest") == new.digest)
        await fleet.until(lambda: "healthy" in fleet.told())
    assert fleet.told() == ["begun", "healthy"]
    assert_at_rest(fleet.compose, tmp_path / "state", before, new)


@pytest.mark.parametrize(("name", "step"), list(cases_back()))
async def test_what_is_put_back_without_the_manager_is_told_once_when_it_is_back(
    fleet: Fleet, push: Push, tmp_path: Path, name: str, step: str
) -> None:
    before, old, new = running(fleet.compose, push, name)
    async with fleet.at_work(tmp_path / "state", TIDEGATE_BAKE="30s") as here:
        await fleet.until(fleet.inventory)
        lost = Lost(fleet.manager, here, step, back=True)
        ends_at(here, "bake", before.containers["web"][0]["Name"].lstrip("/"))
        await fleet.assign(new)
        await fleet.until(lambda: here.outcomes() == ["rolled-back"], "it is put back", limit_s=180)
        assert "failed" not in fleet.told()
        await lost.again()
        await fleet.until(lambda: "failed" in fleet.told())
        await fleet.until(lambda: fleet.inventory().get("digest") == old.digest)
        await fleet.until(lambda: not idle_private_networks(), "the end of its look")
    assert fleet.told() == ["begun", "failed"]
    assert_at_rest(fleet.compose, tmp_path / "state", before, old, blamed=[new.digest])
