"""The agent is killed where several containers move together, or on the way back: all are new, or all are old."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed, build
from tests.support.kills import SERVICES, Before, agent_killed_at, assert_at_rest, strategy_of
from tests.support.recorder import recorded
from tests.support.registry import Registry

from tidegate.domain.transaction import Strategy, steps_of

GROUP = {"tidegate.group": "shop"}


def some(often: set[str], every: list[str]) -> list[Any]:
    """Each point as a parameter; only those in `often` are tried every time."""
    assert often <= set(every), often - set(every)
    return [pytest.param(point, marks=() if point in often else pytest.mark.long) for point in every]


class Two:
    """Two services of one group, each of its own image; `two` depends on `one`, which is updated first."""

    def __init__(self, compose: Compose, registry: Registry, repository: str, one: Mapping[str, Any]) -> None:
        self._compose = compose
        self._registry = registry
        self._repository = repository
        self._one = one

    def push(self, version: str, **two: Any) -> dict[str, Pushed]:
        """A release of both; further options are those of `two`."""
        return {
            name: build(self._registry, f"{self._repository}-{name}:latest", version=version, healthcheck=True, **more)
            for name, more in (("one", {}), ("two", two))
        }

    def up(self, images: Mapping[str, Pushed]) -> Before:
        """Bring them up."""
        one = {"image": images["one"].reference, "restart": "unless-stopped", **self._one}
        one["labels"] = {**one.get("labels", {}), **GROUP}
        two = {"image": images["two"].reference, "restart": "unless-stopped", "depends_on": ["one"], "labels": GROUP}
        self._compose.write({"services": {"one": one, "two": two}, "networks": {"front": {}, "back": {}}})
        self._compose.up("--wait")
        return Before.of(self._compose, "one", "two")

    def images(self) -> set[str]:
        """What runs."""
        return {str(self._compose.container(name)["Image"]) for name in ("one", "two")}


def ways_back() -> Iterator[Any]:
    often = {("stop-first", "in:step:start@0-back")}
    for name in SERVICES:
        steps = steps_of(strategy_of(name))
        walk = [f"{moment}:step:{step}@0-back" for step in steps for moment in ("at", "in")]
        for point in [
            "in:verdict",
            "in:settling@1",
            "in:settled@1",
            "in:reverse",
            *walk,
            "at:reversed",
            "at:end",
            "in:end",
        ]:
            marks = () if (name, point) in often else pytest.mark.long
            yield pytest.param((name, point), id=f"{name}-{point}", marks=marks)


@pytest.mark.parametrize("case", list(ways_back()))
async def test_a_kill_on_the_way_back_does_not_keep_a_group_from_going_back(
    compose: Compose, registry: Registry, repository: str, tmp_path: Path, case: tuple[str, str]
) -> None:
    name, point = case
    two = Two(compose, registry, repository, SERVICES[name])
    old = two.push("1")
    before = two.up(old)
    new = two.push("2", env={"SICK": "1"})
    with recorded(compose, "one") as recorder:
        agent_killed_at(point, tmp_path / "state")
        async with agent_here(tmp_path / "state") as agent:
            await agent.agent.recover()
        assert_at_rest(compose, tmp_path / "state", before, *old.values(), blamed=[new["two"].digest])
        if name == "stop-first":
            assert recorder.most_at_once() == 1


FORWARD = [f"{moment}:step:{step}@1" for step in steps_of(Strategy.START_FIRST) for moment in ("at", "in")]


@pytest.mark.parametrize(
    "point", some({"in:replaced@0", "in:step:remove@1"}, ["at:replaced@0", "in:replaced@0", *FORWARD])
)
async def test_a_group_is_never_left_half_old_and_half_new(
    compose: Compose, registry: Registry, repository: str, tmp_path: Path, point: str
) -> None:
    two = Two(compose, registry, repository, SERVICES["swap"])
    old = two.push("1")
    before = two.up(old)
    new = two.push("2")
    agent_killed_at(point, tmp_path / "state")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
    assert_at_rest(compose, tmp_path / "state", before, *old.values(), *new.values())
    assert two.images() in [{image.image_id for image in release.values()} for release in (old, new)]


@pytest.mark.parametrize("point", some({"in:step:stop@1"}, ["in:replaced@0", *FORWARD, "in:replaced@1", "in:bake"]))
async def test_two_replicas_are_both_there_and_of_one_release(
    compose: Compose, push: Push, tmp_path: Path, point: str
) -> None:
    old = push("1", healthcheck=True)
    web = {"image": old.reference, "restart": "unless-stopped", "deploy": {"replicas": 2}}
    compose.write({"services": {"web": web}})
    compose.up("--wait")
    before = Before.of(compose, "web")
    new = push("2", healthcheck=True)
    agent_killed_at(point, tmp_path / "state")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
    assert len(compose.ids("web")) == 2
    assert_at_rest(compose, tmp_path / "state", before, old, new)


BAKING = ["in:bake", "in:verdict", "in:output", "in:reverse", "in:step:stop@0-back", "at:end", "in:end"]


@pytest.mark.parametrize("point", some({"in:verdict"}, BAKING))
async def test_a_release_that_fails_while_it_bakes_goes_back_all_the_same_and_is_blamed(
    compose: Compose, push: Push, tmp_path: Path, point: str
) -> None:
    old = push("1", healthcheck=True)
    compose.write({"services": {"web": {"image": old.reference, "restart": "unless-stopped", **SERVICES["swap"]}},
                   "networks": {"front": {}, "back": {}}})  # fmt: skip
    compose.up("--wait")
    before = Before.of(compose, "web")
    new = push("2", healthcheck=True)
    bake = {"TIDEGATE_BAKE": "20s"}
    agent_killed_at(point, tmp_path / "state", **bake, ENDS_IN_BAKE=f"{compose.project}-web-1")
    async with agent_here(tmp_path / "state", **bake) as agent:
        await agent.agent.recover()
    assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])


AFTER = ["in:bake", "in:end", "at:booked", "in:booked", "at:restart", "in:restart", "in:stopping", "amid:stopping"]


@pytest.mark.parametrize("point", some({"in:booked", "amid:stopping"}, AFTER))
async def test_what_an_update_brings_with_it_is_done_after_a_kill_too(
    compose: Compose, registry: Registry, repository: str, tmp_path: Path, point: str
) -> None:
    db, web = (build(registry, f"{repository}-{name}:latest", version="1") for name in ("db", "web"))
    on_db = {"db": {"condition": "service_started", "restart": True}}
    service = {"image": web.reference, "restart": "unless-stopped", "depends_on": on_db}
    hook = {"tidegate.hook.post-update": "touch /mark"}
    hooked = {"image": db.reference, "restart": "unless-stopped", "labels": hook}
    compose.write({"services": {"db": hooked, "web": service}})
    compose.up()
    before, place = compose.container("web"), Before.of(compose, "db")
    new = build(registry, f"{repository}-db:latest", version="2")
    agent_killed_at(point, tmp_path / "state")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
        assert set(agent.outcomes()) == {"committed"}
        assert agent.parts.state.journal.open_transactions() == []
    after = compose.container("web")
    assert (after["Id"], after["State"]["Running"]) == (before["Id"], True)
    assert after["State"]["StartedAt"] != before["State"]["StartedAt"]
    assert "mark" in docker("exec", compose.container("db")["Id"], "ls", "/").split()
    assert_at_rest(compose, tmp_path / "state", place, new)


async def test_a_dependant_that_a_person_stopped_while_the_agent_was_down_is_not_started_again(
    compose: Compose, registry: Registry, repository: str, tmp_path: Path
) -> None:
    db, web = (build(registry, f"{repository}-{name}:latest", version="1") for name in ("db", "web"))
    on_db = {"db": {"condition": "service_started", "restart": True}}
    compose.write({"services": {"db": {"image": db.reference}, "web": {"image": web.reference, "depends_on": on_db}}})
    compose.up()
    build(registry, f"{repository}-db:latest", version="2")
    agent_killed_at("in:restart", tmp_path / "state")
    compose.run("stop", "web")
    async with agent_here(tmp_path / "state") as agent:
        await agent.agent.recover()
        assert agent.parts.state.journal.open_transactions() == []
    assert not compose.container("web")["State"]["Running"]
