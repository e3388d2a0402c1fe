"""A person acts on one of a group in the middle of its update: what they did stands, and the rest agrees with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here, in_thread
from tests.support.compose import Compose
from tests.support.features import one, services, until
from tests.support.images import Pushed, build
from tests.support.people import Held, holding
from tests.support.registry import Registry

from tidegate.agent.decide import Decision
from tidegate.agent.prepare import Preparer
from tidegate.agent.replacement import Replacement
from tidegate.agent.transaction import Transaction

GROUP = {"tidegate.group": "stack"}
NAMES = ("a", "b", "c")


class HeldInSecond(Held):
    """Held where the second of a group reaches the point."""

    def __init__(self, point: str) -> None:
        super().__init__(point, asleep=False)
        self._passed = 0

    async def hold(self) -> None:
        self._passed += 1
        if self._passed == 2:
            await super().hold()


class Stack:
    """Three services of one group, updated one after another: a, b, c."""

    def __init__(self, compose: Compose, registry: Registry, repository: str) -> None:
        self._compose = compose
        self._registry = registry
        self._repository = repository
        self._old = {name: self.push(name, "1") for name in NAMES}
        compose.write(
            services(
                a=one(self._old["a"], labels=GROUP),
                b=one(self._old["b"], labels=GROUP, depends_on=["a"]),
                c=one(self._old["c"], labels=GROUP, depends_on=["b"]),
            )
        )
        compose.up()

    def push(self, name: str, version: str, **more: Any) -> Pushed:
        """A release of one service."""
        return build(self._registry, f"{self._repository}-{name}:latest", version=version, **more)

    def found(self) -> dict[str, str]:
        """Each service's release, and whether it runs."""
        return {name: self._say(name) for name in NAMES if self._compose.ids(name)}

    def _say(self, name: str) -> str:
        container = self._compose.container(name)
        version = "old" if container["Image"] == self._old[name].image_id else "new"
        return version if container["State"]["Running"] else f"{version}, stopped"


CASES = {
    "one is restarted before its new container serves": ("prove", ["restart", "b"], ["old", "old", "old"]),
    "everything is stopped": ("prove", ["stop"], ["old, stopped"] * 3),
    "everything is taken down": ("prove", ["down"], []),
    "one is stopped when its new container serves": ("remove", ["stop", "b"], ["new", "new, stopped", "new"]),
    "Compose makes one anew from the new image": ("prove", ["up", "-d", "b"], ["new", "new", "new"]),
    "one that is new already is stopped": ("prove", ["stop", "a"], ["new, stopped", "new", "new"]),
    "one that is new already is removed": ("prove", ["rm", "-sf", "a"], ["new", "new"]),
    "one that is new already is restarted": ("prove", ["restart", "a"], ["new", "new", "new"]),
    "one that is new already is made anew": ("join", ["up", "-d", "--force-recreate", "a"], ["new", "new", "new"]),
}
OFTEN = {
    "one is restarted before its new container serves",
    "one is stopped when its new container serves",
    "one that is new already is stopped",
    "one that is new already is removed",
}


@pytest.mark.parametrize(
    "case", [pytest.param(CASES[name], id=name, marks=() if name in OFTEN else pytest.mark.long) for name in CASES]
)
async def test_a_group_is_all_old_or_all_new_after_a_person_acted_on_one(
    compose: Compose, registry: Registry, repository: str, tmp_path: Path, case: tuple[str, list[str], list[str]]
) -> None:
    point, command, expected = case
    stack = Stack(compose, registry, repository)
    for name in NAMES:
        stack.push(name, "2")
    held = HeldInSecond(point)
    async with agent_here(tmp_path / "state") as here:
        with holding(compose.project, held):
            look = asyncio.ensure_future(here.look())
            await asyncio.wait_for(held.reached.wait(), 120)
            await in_thread(lambda: compose.run(*command, check=False))
            held.let_go()
            await look
        assert list(stack.found().values()) == expected
        assert here.parts.state.quarantine.list() == []
        assert here.parts.state.journal.open_transactions() == []


@pytest.fixture
def stack(compose: Compose, registry: Registry, repository: str) -> Stack:
    return Stack(compose, registry, repository)


async def test_a_release_is_not_blamed_where_a_person_acted_on_what_it_moves_with(
    compose: Compose, stack: Stack, tmp_path: Path
) -> None:
    stack.push("a", "2")
    stack.push("b", "2", env={"EXIT": "3"})
    stack.push("c", "2")
    held = HeldInSecond("prove")
    async with agent_here(tmp_path / "state") as here:
        with holding(compose.project, held):
            look = asyncio.ensure_future(here.look())
            await asyncio.wait_for(held.reached.wait(), 120)
            await in_thread(lambda: compose.run("stop", "a"))
            held.let_go()
            await look
        assert set(here.outcomes()) == {"gave-way"}
        assert here.parts.state.quarantine.list() == []
    assert list(stack.found().values()) == ["old, stopped", "old", "old"]


@pytest.mark.parametrize("by_itself", [False, True])
async def test_a_release_is_blamed_for_a_rider_only_where_its_container_ended_by_itself(
    compose: Compose, push: Push, tmp_path: Path, *, by_itself: bool
) -> None:
    rider = one(push("1", "rider"), command=["db"], network_mode="service:vpn")
    compose.write(services(vpn=one(push("1", "vpn")), rider=rider))
    compose.up()
    push("2", "vpn", env={"EXIT": "3", "EXIT_AFTER_S": "10"} if by_itself else {})
    held = HeldInSecond("start")
    async with agent_here(tmp_path / "state") as here:
        with holding(compose.project, held):
            look = asyncio.ensure_future(here.look())
            await asyncio.wait_for(held.reached.wait(), 120)
            if not by_itself:
                await in_thread(lambda: compose.run("stop", "vpn"))
            await until(lambda: not compose.container("vpn")["State"]["Running"], "it has ended")
            held.let_go()
            await look
        assert here.outcomes() == ["rolled-back" if by_itself else "gave-way"]
        blamed = [entry.service for entry in here.parts.state.quarantine.list()]
        assert blamed == (["vpn"] if by_itself else [])
    assert compose.container("vpn")["State"]["Running"] == by_itself


async def test_a_person_who_stops_a_container_before_its_bake_begins_is_not_overruled(
    compose: Compose, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    new = push("2")
    note = Transaction.note_replaced

    def stop_first(self: Transaction, it: Replacement) -> None:
        compose.run("stop")  # nobody listens now
        note(self, it)

    monkeypatch.setattr(Transaction, "note_replaced", stop_first)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.parts.state.quarantine.list() == []
    container = compose.container("web")
    assert (container["Image"], container["State"]["Running"]) == (new.image_id, False)


BEFORE_IT_BEGINS = [("stop a", ["old, stopped", "old", "old"]), ("rm -sf a", ["old", "old"])]


@pytest.mark.parametrize("case", BEFORE_IT_BEGINS)
async def test_what_a_person_does_while_an_update_is_prepared_stands(
    compose: Compose, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, list[str]]
) -> None:
    command, expected = case
    for name in NAMES:
        stack.push(name, "2")
    begin = Transaction.begin

    def act_first(self: Transaction) -> None:
        compose.run(*command.split())
        begin(self)

    monkeypatch.setattr(Transaction, "begin", act_first)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert set(here.outcomes()) == {"gave-way"}
        assert here.parts.state.quarantine.list() == []
    assert list(stack.found().values()) == expected


async def test_what_is_stopped_during_a_pull_is_updated_and_stays_stopped(
    compose: Compose, stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        stack.push(name, "2")
    pull = Preparer.pull

    async def stop_a_during_that_of_b(self: Preparer, decision: Decision, reference: str) -> str:
        if decision.place.service == "b":
            await in_thread(lambda: compose.run("stop", "a"))
        return await pull(self, decision, reference)

    monkeypatch.setattr(Preparer, "pull", stop_a_during_that_of_b)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
    states = stack.found()
    assert "stopped" in states["a"]
    assert {state.partition(",")[0] for state in states.values()} in ({"old"}, {"new"})
