"""What a service has written is there after an update and after a rollback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker, listed, remove


def wrote(compose: Compose, service: str = "web") -> str:
    return docker("exec", compose.container(service)["Id"], "cat", "/keep/note")


def write(compose: Compose, text: str) -> None:
    docker("exec", compose.container("web")["Id"], "sh", "-c", f"echo {text} > /keep/note")


@pytest.mark.parametrize(
    ("volumes", "overlap"),
    [([], False), (["/keep"], False), (["data:/keep"], False), (["data:/keep"], True), (["/keep"], True)],
)
async def test_data_is_there_after_an_update_and_after_a_rollback(
    compose: Compose, push: Push, tmp_path: Path, volumes: list[str], overlap: bool
) -> None:
    labels, strategy = ({"tidegate.overlap": "true"}, "swap") if overlap else ({}, "stop-first")
    options: dict[str, Any] = {"healthcheck": True} | ({} if volumes else {"volumes": ["/keep"]})
    web = {"image": push("1", **options).reference, "ports": ["8000"], "volumes": volumes, "labels": labels}
    compose.write({"services": {"web": web}, "volumes": {"data": {}}})
    compose.up("--wait")
    write(compose, "precious")
    mounts = [(mount["Name"], mount["Destination"]) for mount in compose.container("web")["Mounts"]]
    second = push("2", **options)
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert (agent.last()["outcome"], agent.last()["strategy"]) == ("committed", strategy), agent.last()
        assert wrote(compose) == "precious"
        write(compose, "newer")
        push("3", **options, env={"SICK": "1"})
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        assert compose.container("web")["Image"] == second.image_id
    assert wrote(compose) == "newer"
    tidegate(tmp_path / "state", "agent", "rollback", f"{compose.project}/web")
    assert wrote(compose) == "newer"
    after = compose.container("web")
    assert "VERSION=1" in after["Config"]["Env"]
    assert [(mount["Name"], mount["Destination"]) for mount in after["Mounts"]] == mounts
    compose.clean()
    # as after `docker compose up --force-recreate`: a volume that was handed on has a name from then on
    remove("volume", {name for name, _ in mounts})


@pytest.mark.parametrize("labels", [{}, {"tidegate.strategy": "stop-first"}])
async def test_a_broken_release_leaves_none_of_its_own_volumes(
    compose: Compose, push: Push, tmp_path: Path, labels: dict[str, str]
) -> None:
    compose.write({"services": {"web": {"image": push("1", healthcheck=True).reference, "labels": labels}}})
    compose.up("--wait")
    before = listed("volume")
    push("2", healthcheck=True, env={"SICK": "1"}, volumes=["/fresh"])
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
    assert listed("volume") == before
    assert compose.changes() == []
