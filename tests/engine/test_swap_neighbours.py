"""A candidate is proved beside its database on a private network, and keeps its connection when it takes over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support import strangers
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.images import Pushed
from tests.support.waiting import get_json, wait_for

PRIVATE = "label=tidegate.private-for"


@pytest.fixture
def database(push: Push) -> Pushed:
    return push("db", tag="db")


def shop(web: Pushed, db: Pushed, **more: Any) -> dict[str, Any]:
    """The commonest Compose file: web with a published port, and a database, on one network."""
    return {
        "services": {
            "web": {"image": web.reference, "ports": ["8000"], "environment": {"DB": "db:5432"}, **more},
            "db": {"image": db.reference, "command": ["db"], "labels": {"tidegate.enable": "false"}},
        }
    }


def networks_of(container: str) -> set[str]:
    return set(inspect(container)["NetworkSettings"]["Networks"])


def lookups(container: str, name: str) -> set[str]:
    """Every address that `name` has, asked from inside a container."""
    said = docker("exec", container, "nslookup", name, "127.0.0.11", check=False).partition("Name:")[2]
    return {word for word in said.split() if word.count(".") == 3 and word != name}


def address_on(container: str, network: str) -> str:
    return str(inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"])


async def update(agent: AgentHere) -> None:
    await agent.look()
    assert agent.last()["outcome"] == "committed", agent.last()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"depends_on": ["db"]},
        {"labels": {"tidegate.cut": "fast"}},
        {"labels": {"tidegate.cut": "fast"}, "depends_on": ["db"]},
    ],
)
async def test_the_connection_to_the_database_survives_the_move(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path, more: dict[str, Any]
) -> None:
    compose.write(shop(push("1", healthcheck=True), database, **more))
    compose.up("--wait")
    db, default = compose.container("db"), f"{compose.project}_default"
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        await update(agent)
        assert agent.last()["strategy"] == "swap"
    now = get_json(compose.address("web"), "/db")
    assert (now["connected"], now["reconnects"]) == (True, 0)
    wait_for(lambda: get_json(compose.address("web"), "/db")["echoes"] > now["echoes"] + 2, "the pool goes on")
    assert get_json(compose.address("web"), "/db")["reconnects"] == 0
    after = compose.container("db")
    assert (after["Id"], after["State"]["StartedAt"], after["RestartCount"]) == (db["Id"], db["State"]["StartedAt"], 0)
    web = compose.container("web")["Id"]
    assert lookups(db["Id"], "web") == {address_on(web, default)}
    assert address_on(db["Id"], default) in lookups(web, "db")
    assert compose.changes() == []


async def test_only_the_newest_private_network_remains_and_none_after_compose_down(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path
) -> None:
    compose.write(shop(push("1", healthcheck=True), database))
    compose.up("--wait")
    seen = []
    async with agent_here(tmp_path / "state") as agent:
        for version in ("2", "3", "4"):
            push(version, healthcheck=True)
            await update(agent)
            await agent.collect()
            seen.append(strangers.private_networks())
            assert len(seen[-1]) == 1
            assert len(networks_of(compose.container("web")["Id"])) == 2
            assert len(networks_of(compose.container("db")["Id"])) == 2
        assert seen[0] != seen[1] != seen[2]
        compose.down()
        await agent.collect()
        assert strangers.private_networks() == set()


async def test_a_database_that_is_updated_itself_takes_no_private_network_along(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path
) -> None:
    document = shop(push("1", healthcheck=True), database)
    document["services"]["db"]["labels"] = {}
    compose.write(document)
    compose.up("--wait")
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        await update(agent)
        newer = push("db2", tag="db")
        await update(agent)
        db = compose.container("db")
        assert db["Image"] == newer.image_id
        assert networks_of(db["Id"]) == {f"{compose.project}_default"} | own(db["Id"])
        await agent.collect()
    assert compose.changes() == []


def own(container: str) -> set[str]:
    """The private networks that were made for this container's own update."""
    mine = inspect(container)["Config"]["Labels"].get("tidegate.transaction", "none")
    return {name for name in networks_of(container) if name.endswith(mine)}


async def test_what_depends_on_a_service_is_not_let_near_an_unproven_candidate(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path
) -> None:
    image = push("1", healthcheck=True)
    document = shop(image, database, depends_on=["db"])
    quiet = {"image": database.reference, "command": ["db"], "labels": {"tidegate.enable": "false"}}
    document["services"] |= {
        "worker": {**quiet, "depends_on": ["web"]},
        "report": {**quiet, "depends_on": ["worker"]},
        "cache": {**quiet, "networks": {"default": {"aliases": ["redis"]}, "deep": {}}},
    }
    document["networks"] = {"deep": {}}
    compose.write(document)
    compose.up("--wait")
    new = push("2", healthcheck=True, env={"DB_BOOT_S": "3"})
    async with agent_here(tmp_path / "state") as agent:
        await update(agent)
    default = f"{compose.project}_default"
    assert compose.container("web")["Image"] == new.image_id
    for service in ("worker", "report"):
        assert networks_of(compose.container(service)["Id"]) == {default}
    assert len(networks_of(compose.container("cache")["Id"])) == 3
    assert lookups(compose.container("worker")["Id"], "web") == {address_on(compose.container("web")["Id"], default)}
    assert lookups(compose.container("web")["Id"], "redis")
    assert compose.changes() == []


async def test_a_neighbour_that_was_stopped_meanwhile_starts_again_when_its_private_network_is_gone(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path
) -> None:
    document = shop(push("1", healthcheck=True), database)
    document["services"]["cache"] = {**document["services"]["db"]}
    compose.write(document)
    compose.up("--wait")
    async with agent_here(tmp_path / "state") as agent:
        push("2", healthcheck=True)
        await update(agent)
        compose.run("stop", "-t", "0", "cache")
        push("3", healthcheck=True)
        await update(agent)
        await agent.collect()
    assert len(strangers.private_networks()) == 1
    compose.run("start", "cache")
    assert compose.container("cache")["State"]["Running"]
    assert compose.changes() == []


async def test_ways_to_the_outside_do_not_move_while_connections_use_them(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path
) -> None:
    # the engine would give the neighbour the gateway of a network that is named so: it would come first
    assert compose.project > "tidegate-2"
    document = shop(push("1", healthcheck=True), database)
    del document["services"]["web"]["ports"]
    compose.write(document)
    compose.up("--wait")
    db = compose.container("db")["Id"]
    before = gateway(db)
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        await update(agent)
        assert agent.last()["strategy"] == "start-first"
        assert len(networks_of(db)) == 2
        assert gateway(db) == before
    web = inspect(compose.container("web")["Id"])
    (way_out,) = [name for name in networks_of(web["Id"]) if name.startswith("0-tidegate-")]
    assert gateway(web["Id"]) == web["NetworkSettings"]["Networks"][way_out]["Gateway"]


def gateway(container: str) -> str:
    """Where a container's default route leads."""
    return docker("exec", container, "ip", "route", "show", "default").split()[2]


async def test_links_to_a_neighbour_hold_while_the_candidate_is_proved(
    compose: Compose, push: Push, database: Pushed, tmp_path: Path
) -> None:
    document = shop(push("1", healthcheck=True), database, links=["db:store"], environment={"DB": "store:5432"})
    compose.write(document)
    compose.up("--wait")
    push("2", healthcheck=True)
    async with agent_here(tmp_path / "state") as agent:
        await update(agent)
        assert agent.last()["strategy"] == "swap"
    assert get_json(compose.address("web"), "/db")["reconnects"] == 0
    assert compose.changes() == []


async def test_a_container_without_compose_on_the_engines_own_bridge_is_swapped(push: Push, tmp_path: Path) -> None:
    old = push("1", healthcheck=True)
    docker("run", "-d", "--name", "tidegate-test-plain", "-p", "127.0.0.1::8000", old.reference)
    new = push("2", healthcheck=True)
    try:
        async with agent_here(tmp_path / "state") as agent:
            await update(agent)
            assert agent.last()["strategy"] == "swap"
            await agent.collect()
        container = inspect("tidegate-test-plain")
        assert container["Image"] == new.image_id
        address = docker("port", "tidegate-test-plain", "8000/tcp")
        assert get_json(address)["version"] == "2"
        assert "bridge" in container["NetworkSettings"]["Networks"]
    finally:
        docker("rm", "-f", "-v", "tidegate-test-plain")
        strangers.remove_private_networks()
