"""After an update and after a rollback Compose finds everything as it would have left it itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.docker import docker, inspect, listed, remove
from tests.support.images import Pushed
from tests.support.people import KINDS, made_for_updates

WAYS = ("update", "broken release", "rollback by hand")
QUICK = {
    ("start-first", "rollback by hand"),
    ("swap", "update"),
    ("swap-fast", "broken release"),
    ("stop-first", "rollback by hand"),
}
CASES = [
    pytest.param(kind, way, marks=() if (kind, way) in QUICK else (pytest.mark.long,)) for kind in KINDS for way in WAYS
]


async def go(way: str, agent: AgentHere, compose: Compose, push: Push) -> Pushed | None:
    """Let the service be updated, or put back; the release that serves then, None for the first."""
    if way == "broken release":
        push("2", env={"EXIT": "1", "EXIT_AFTER_S": "0.1"})
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        return None
    new = push("2")
    await agent.look()
    assert agent.last()["outcome"] == "committed", agent.last()
    if way == "rollback by hand":
        outcome = await agent.agent.roll_back({"cluster": compose.project, "service": "web"})
        assert outcome.ok, outcome.message
        return None
    return new


@pytest.mark.parametrize(("kind", "way"), CASES)
async def test_compose_works_as_before(compose: Compose, push: Push, tmp_path: Path, kind: str, way: str) -> None:
    old = push("1")
    compose.write({"services": {"web": {"image": old.reference, **KINDS[kind][1]}}})
    compose.up()
    name = compose.container("web")["Name"].lstrip("/")
    async with agent_here(tmp_path / "state") as agent:
        serves = await go(way, agent, compose, push) or old
        assert compose.changes() == []
        assert [(row["Name"], row["Service"], row["State"]) for row in compose.ps()] == [(name, "web", "running")]
        assert compose.container("web")["Image"] == serves.image_id
        docker("exec", name, "sh", "-c", "echo said by $VERSION >/proc/1/fd/1")
        version = "2" if serves is not old else "1"
        assert f"said by {version}" in compose.run("logs", "web").stdout
        compose.down()
        await agent.agent.recover()
        assert compose.ids() == set()
        assert listed("network", f"label=com.docker.compose.project={compose.project}") == set()
        assert made_for_updates() == set()


def rich(web: Pushed, db: Pushed, folder: Path) -> dict[str, Any]:
    """A Compose file with much in it."""
    (folder / "web.env").write_text("COLOUR=blue\n")
    (folder / "web.conf").write_text("answer = 42\n")
    (folder / "password").write_text("hush\n")
    check = {"test": ["CMD", "/app", "health"], "interval": "500ms", "retries": 10}
    return {
        "services": {
            "db": {"image": db.pinned, "healthcheck": check, "networks": ["back"]},
            "web": {
                "image": web.reference,
                "depends_on": {"db": {"condition": "service_healthy"}},
                "deploy": {"replicas": 2},
                "env_file": ["web.env"],
                "healthcheck": check,
                "networks": {"front": {"aliases": ["shop"]}, "back": {}},
                "configs": [{"source": "web", "target": "/etc/web.conf"}],
                "secrets": ["password"],
            },
            "worker": {"image": db.pinned, "depends_on": {"web": {"condition": "service_healthy"}}},
        },
        "networks": {"front": {}, "back": {"internal": True}},
        "configs": {"web": {"file": "./web.conf"}},
        "secrets": {"password": {"file": "./password"}},
    }


async def test_a_rich_file_is_left_as_compose_made_it(compose: Compose, push: Push, tmp_path: Path) -> None:
    web, db = push("1", volumes=["/data"]), push("1", tag="db")
    compose.write(rich(web, db, tmp_path))
    compose.up("--wait")
    before = {one["Name"]: one for one in compose.containers("web")}
    for one in before:
        docker("exec", one.lstrip("/"), "sh", "-c", "hostname >/data/mine")
    others = {compose.container(service)["Id"] for service in ("db", "worker")}
    new = push("2", volumes=["/data"])
    async with agent_here(tmp_path / "state", TIDEGATE_STRATEGY="start-first") as agent:
        await agent.look()
        assert {record["outcome"] for record in agent.parts.state.history.tail(9)} == {"committed"}
        after = {one["Name"]: one for one in compose.containers("web")}
        assert after.keys() == before.keys()
        assert {one["Image"] for one in after.values()} == {new.image_id}
        assert {compose.container(service)["Id"] for service in ("db", "worker")} == others
        assert compose.changes() == []
        for name, one in after.items():
            read = docker("exec", name.lstrip("/"), "cat", "/etc/web.conf", "/run/secrets/password", "/data/mine")
            assert read.split("\n") == ["answer = 42", "hush", before[name]["Config"]["Hostname"]]
            assert "COLOUR=blue" in one["Config"]["Env"]
            assert "shop" in one["NetworkSettings"]["Networks"][f"{compose.project}_front"]["Aliases"]
        compose.down()
        # by now they are volumes with a name, as after every recreation by Compose
        remove("volume", {mount["Name"] for one in after.values() for mount in one["Mounts"] if "Name" in mount})
        await agent.agent.recover()
        assert compose.ids() == set()
        assert made_for_updates() == set()


async def test_a_scaled_service_stays_scaled(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write({"services": {"web": {"image": push("1").reference}}})
    compose.up("--scale", "web=2")
    new = push("2")
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
    assert {one["Image"] for one in compose.containers("web")} == {new.image_id}
    lines = compose.up("--scale", "web=2").stderr.split("\n")
    assert [line for line in lines if line.strip() and not line.strip().endswith("Running")] == []
    compose.up("--scale", "web=1")
    assert inspect(compose.container("web")["Id"])["State"]["Running"]
