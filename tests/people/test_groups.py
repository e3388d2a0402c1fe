"""A person acts on one of a group in the middle of its update: what they did stands, and the rest agrees with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.agent import agent_here, in_thread
from tests.support.compose import Compose
from tests.support.features import one, services
from tests.support.images import Pushed, build
from tests.support.people import Held, holding
from tests.support.registry import Registry

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

    def push(self, name: str, version: str) -> Pushed:
        """A release of one service."""
        return build(self._registry, f"{self._repository}-{name}:latest", version=version)

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
}
OFTEN = {"one is restarted before its new container serves", "one is stopped when its new container serves"}


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
            await asyncio.wait_for(held.reached.wait(), 30)
            await in_thread(lambda: compose.run(*command, check=False))
            held.let_go()
            await look
        assert list(stack.found().values()) == expected
        assert here.parts.state.quarantine.list() == []
        assert here.parts.state.journal.open_transactions() == []
