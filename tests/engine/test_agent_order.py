"""Services that depend on each other, services that move together, and services of several containers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here, in_thread
from tests.support.compose import Compose
from tests.support.dying import ends_at
from tests.support.features import image_of, one, running, services
from tests.support.people import Held, holding, ready_to_hold

GROUP = {"tidegate.group": "stack"}


def order(here: AgentHere) -> list[str]:
    return [record["service"] for record in here.parts.state.history.tail(20)]


async def test_what_others_depend_on_is_updated_first(compose: Compose, push: Push, tmp_path: Path) -> None:
    document = services(
        api=one(push("1", "api"), depends_on=["zdb"]),
        middle=one(push("1", "middle"), depends_on=["api"]),
        front=one(push("1", "front"), depends_on=["middle"]),
        zdb=one(push("1", "db")),
    )
    compose.write(document)
    compose.up()
    for tag in ("front", "api", "db"):
        push("2", tag)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert order(here) == ["zdb", "api", "front"]


@pytest.mark.parametrize(
    "more",
    [
        {"depends_on": {"db": {"condition": "service_started", "restart": True}}},
        {"links": ["db:database"]},
        {"labels": {"com.centurylinklabs.watchtower.depends-on": "{db}"}},
    ],
    ids=["depends_on-restart", "links", "watchtower-label"],
)
async def test_what_depends_on_an_updated_service_starts_again_and_the_rest_does_not(
    compose: Compose, push: Push, tmp_path: Path, more: dict[str, dict[str, str]]
) -> None:
    if "labels" in more:
        more = {"labels": dict.fromkeys(more["labels"], f"{compose.project}-db-1")}
    still = push("1", "still")
    compose.write(services(db=one(push("1", "db")), web=one(still, **more), other=one(still, depends_on=["db"])))
    compose.up()
    before = {name: compose.container(name) for name in ("web", "other")}
    push("2", "db")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    after = {name: compose.container(name) for name in ("web", "other")}
    assert [after[name]["Id"] == before[name]["Id"] for name in before] == [True, True]
    started = [after[name]["State"]["StartedAt"] == before[name]["State"]["StartedAt"] for name in ("web", "other")]
    assert started == [False, True]
    assert compose.changes() == []


async def test_a_dependant_that_a_person_stopped_meanwhile_stays_stopped(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    on_db = {"db": {"condition": "service_started", "restart": True}}
    compose.write(services(db=one(push("1", "db")), web=one(push("1", "web"), depends_on=on_db)))
    compose.up()
    push("2", "db")
    held = Held("prove", asleep=False)
    async with agent_here(tmp_path / "state") as here:
        with ready_to_hold(), holding(compose.project, held):
            look = asyncio.ensure_future(here.look())
            await asyncio.wait_for(held.reached.wait(), 120)
            await in_thread(compose.run, "stop", "web")
            held.let_go()
            await look
        assert here.outcomes() == ["committed"]
    assert not running(compose, "web")


async def test_a_ring_of_dependencies_is_told_of_and_everything_is_updated(
    compose: Compose, push: Push, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = push("1")
    compose.write(
        services(a=one(image, labels={"tidegate.depends-on": "b"}), b=one(image, labels={"tidegate.depends-on": "a"}))
    )
    compose.up()
    new = push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed", "committed"]
    assert {image_of(compose, "a"), image_of(compose, "b")} == {new.image_id}
    said = capsys.readouterr()
    assert "depend on each other" in said.out + said.err


async def test_a_group_is_put_back_as_a_whole_and_only_the_culprit_is_quarantined(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    good, sick = push("1", "good", healthcheck=True), push("1", "sick", healthcheck=True)
    compose.write(services(a=one(good, labels=GROUP), b=one(sick, labels=GROUP, depends_on=["a"])))
    compose.up("--wait")
    innocent = push("2", "good", healthcheck=True)
    broken = push("2", "sick", healthcheck=True, env={"SICK": "1"})
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back", "rolled-back"]
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [broken.digest]
        assert (image_of(compose, "a"), image_of(compose, "b")) == (good.image_id, sick.image_id)
        looked = await here.look()
        waiting = next(each for each in looked.decisions if each.place.service == "a")
        assert (waiting.action, "waits for" in waiting.reason, "quarantine" in waiting.reason) == ("skip", True, True)
        assert len(here.outcomes()) == 2
        mended = push("3", "sick", healthcheck=True)
        await here.look()
    assert (image_of(compose, "a"), image_of(compose, "b")) == (innocent.image_id, mended.image_id)
    assert compose.changes() == []


async def test_a_release_that_falls_while_it_bakes_takes_its_group_back_and_is_the_only_one_blamed(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    good, falls = push("1", "good"), push("1", "falls")
    compose.write(services(a=one(falls, labels=GROUP), b=one(good, labels=GROUP)))
    compose.up()
    broken = push("2", "falls")
    push("2", "good")
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="10s") as here:
        ends_at(here, "bake", f"{compose.project}-a-1")
        await here.look()
        assert here.outcomes() == ["rolled-back", "rolled-back"]
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [broken.digest]
    assert (image_of(compose, "a"), image_of(compose, "b")) == (falls.image_id, good.image_id)
    assert running(compose, "a")
    assert running(compose, "b")


async def test_three_containers_of_a_service_are_rolled_one_by_one(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1", healthcheck=True), deploy={"replicas": 3})))
    compose.up("--wait")
    names = {container["Name"] for container in compose.containers("web")}
    new = push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed"] * 3
    found = compose.containers("web")
    assert ({one["Image"] for one in found}, {one["Name"] for one in found}) == ({new.image_id}, names)
    assert compose.changes() == []


async def test_where_the_third_container_is_sick_all_three_are_put_back(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1", healthcheck=True)
    compose.write(services(web=one(old, deploy={"replicas": 3}, volumes=["marks:/marks"])) | {"volumes": {"marks": {}}})
    compose.up("--wait")
    # each boot leaves a mark; the third one of version 2 finds two and is sick
    boot = "echo x >>/marks/boots; [ $(wc -l </marks/boots) -lt 3 ] || export SICK=1; exec /app serve"
    broken = push("2", healthcheck=True, Entrypoint=["sh", "-c", boot], Cmd=None)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back"] * 3
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [broken.digest]
    found = compose.containers("web")
    assert [(one["Image"], one["State"]["Running"]) for one in found] == [(old.image_id, True)] * 3
    assert len(compose.ids()) == 3
    assert compose.changes() == []


async def test_what_a_cluster_has_on_one_tag_moves_as_one_so_that_compose_has_nothing_to_do_afterwards(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    fails = {"tidegate.probe.exec": "test $$VERSION != 2"}
    compose.write(services(web=one(old, labels={"tidegate.probe.exec": "true"}), worker=one(old, labels=fails)))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_HEALTH_TIMEOUT="3s") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back", "rolled-back"]
        assert [entry.service for entry in here.parts.state.quarantine.list()] == ["worker"]
        assert compose.changes() == []
        await here.look()
        assert len(here.outcomes()) == 2
        assert {image_of(compose, "web"), image_of(compose, "worker")} == {old.image_id}
        new = push("3")
        await here.look()
    assert {image_of(compose, "web"), image_of(compose, "worker")} == {new.image_id}
    assert compose.changes() == []
