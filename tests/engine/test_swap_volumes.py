"""What a service has written is there after an update and after a rollback, but for what it kept in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.conftest import Push
from tests.support.agent import agent_here, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker, listed, remove

KEPT = ("/named", "/anonymous", "/bound", "/declared")
"""A named volume, an anonymous one, a folder of the host, and a volume that the image asks for."""

LOST = ("/fast", "/quick")
VOLUMES = ["data:/named", "/anonymous", "./bound:/bound", {"type": "tmpfs", "target": "/fast"}]


def write(compose: Compose, text: str, *folders: str) -> None:
    notes = [f"{folder}/note" for folder in folders]
    docker("exec", compose.container("web")["Id"], "sh", "-c", f"for n in {' '.join(notes)}; do echo {text} > $n; done")


def wrote(compose: Compose) -> dict[str, str]:
    """What the notes say that are there, by folder."""
    script = f'for f in {" ".join((*KEPT, *LOST))}; do [ ! -e $f/note ] || echo "$f $(cat $f/note)"; done'
    lines = docker("exec", compose.container("web")["Id"], "sh", "-c", script).splitlines()
    return {folder: note for folder, _, note in (line.partition(" ") for line in lines)}


def everywhere(text: str) -> dict[str, str]:
    return dict.fromkeys(KEPT, text)


def mounts(compose: Compose) -> set[tuple[str, str]]:
    """The volumes and folders of the service's container, by name or source, and where they are."""
    found = [mount for mount in compose.container("web")["Mounts"] if mount["Type"] != "tmpfs"]
    return {(mount.get("Name") or mount["Source"], mount["Destination"]) for mount in found}


@pytest.mark.parametrize("overlap", [False, True], ids=["stop-first", "swap"])
async def test_data_is_there_after_an_update_and_after_a_rollback_and_what_is_in_memory_is_said_to_go(
    compose: Compose, push: Push, tmp_path: Path, *, overlap: bool
) -> None:
    labels, strategy = ({"tidegate.overlap": "true"}, "swap") if overlap else ({}, "stop-first")
    options: dict[str, Any] = {"healthcheck": True, "volumes": ["/declared"]}
    web = {"image": push("1", **options).reference, "ports": ["8000"], "volumes": VOLUMES, "tmpfs": ["/quick"]}
    compose.write({"services": {"web": {**web, "labels": labels}}, "volumes": {"data": {}}})
    (compose.folder / "bound").mkdir()
    compose.up("--wait")
    write(compose, "precious", *KEPT, *LOST)
    assert wrote(compose) == everywhere("precious") | dict.fromkeys(LOST, "precious")
    before = mounts(compose)
    assert {place for _, place in before} == set(KEPT)
    second = push("2", **options)
    rows = json.loads(tidegate(tmp_path / "state", "agent", "plan", "--json").stdout)
    assert [row["lost"] for row in rows if row["cluster"] == compose.project] == [list(LOST)]
    async with agent_here(tmp_path / "state") as agent:
        with capture_logs() as logs:
            await agent.look()
        assert (agent.last()["outcome"], agent.last()["strategy"]) == ("committed", strategy), agent.last()
        assert [line["paths"] for line in logs if "tmpfs" in line["event"]] == [LOST]
        assert wrote(compose) == everywhere("precious")
        write(compose, "newer", *KEPT)
        push("3", **options, env={"SICK": "1"})
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        assert compose.container("web")["Image"] == second.image_id
    assert wrote(compose) == everywhere("newer")
    tidegate(tmp_path / "state", "agent", "rollback", f"{compose.project}/web")
    assert wrote(compose) == everywhere("newer")
    assert "VERSION=1" in compose.container("web")["Config"]["Env"]
    assert mounts(compose) == before
    compose.clean()
    # as after `docker compose up --force-recreate`: a volume that was handed on has a name from then on
    remove("volume", {name for name, _ in before if not name.startswith("/")})


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
