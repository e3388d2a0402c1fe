"""The manager's quick start, played line by line with the images and Compose files of deploy/."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.absent import PRIVATE, cannot
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.features import image_of, one, services
from tests.support.pages import ROOT, blocks
from tests.support.shell import Shell
from tests.support.waiting import wait_for

from groundwork import agent_image

PAGE = "manager-quick-start.md"
MANAGER, AGENT = "ghcr.io/tidegate/manager:latest", "ghcr.io/tidegate/agent:latest"
LIMIT_S = 180
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def _images(engine_url: str) -> Iterator[None]:
    assert engine_url
    if "GROUND_PRIVATE" not in os.environ:
        cannot(f"the names of images that people use are not ours to take: {PRIVATE}")
    agent_image.build(MANAGER, of=agent_image.MANAGER)
    agent_image.build(AGENT)
    yield
    docker("image", "rm", "--force", MANAGER, AGENT)


class Reader:
    """Does what the page says, a line after the other."""

    def __init__(self, shell: Shell, channel: str) -> None:
        self.shell = shell
        self._channel = channel
        self._lines = [line for block in blocks("sh") if block.page == PAGE for line in block.text.splitlines()]

    def goes_on_to(self, beginning: str) -> str:
        """Every line up to one that begins so; what that one printed."""
        while True:
            line = self._lines.pop(0)
            said = "" if line.startswith("docker build ") else self.shell.does(self._here(line))
            if line.startswith(beginning):
                return said

    def asks(self, words: str) -> Any:
        """What `tidegate WORDS --json` says."""
        return json.loads(self.shell.does(f"tidegate {words} --json"))

    def ended(self) -> bool:
        """Whether no line is left."""
        return not self._lines

    def _here(self, line: str) -> str:
        return line.replace("ghcr.io/acme/web:stable", self._channel).replace("soak=1m", "soak=1s healthy_for=1s")


def _deploy(folder: Path, project: str) -> dict[str, str]:
    """A copy of deploy/ whose projects are this test's own, and what else differs on a private engine."""
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    # without --label-enable: it may look after everything, the manager too
    socket = os.environ["DOCKER_HOST"].removeprefix("unix://")
    agent = {"volumes": [f"{socket}:/var/run/docker.sock"], "command": ["--interval", "1s"]}
    beside = folder / "deploy" / "beside-manager.yml"
    text = beside.read_text(encoding="utf-8") + f"services: {json.dumps({'tidegate': agent})}\n"
    beside.write_text(text, encoding="utf-8")
    (folder / "deploy" / "manager" / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}-manager\n", encoding="utf-8")
    (folder / "deploy" / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}-agent\n", encoding="utf-8")
    registry = os.environ["GROUND_REGISTRY_LAN"]
    return {"TIDEGATE_INSECURE_REGISTRIES": registry, "TIDEGATE_NETWORK": f"{project}-manager"}


@pytest.fixture
def reader(compose: Compose, repository: str, tmp_path: Path) -> Iterator[Reader]:
    folder = tmp_path / "checkout"
    environ = _deploy(folder, compose.project)
    shell = Shell(folder, environ)
    yield Reader(shell, f"{os.environ['GROUND_REGISTRY_LAN']}/{repository}:latest")
    shell.close()
    for part in ("agent", "manager"):
        Compose(tmp_path, f"{compose.project}-{part}").clean()


@pytest.mark.usefixtures("_images")
def test_the_managers_quick_start_is_played_to_its_end(
    reader: Reader, compose: Compose, push: Push, repository: str
) -> None:
    registry = os.environ["GROUND_REGISTRY_LAN"]
    first = push("1")
    compose.write(services(web=one(f"{registry}/{repository}:latest", labels={"tidegate.bake": "1s"})))
    compose.up()
    reader.goes_on_to("docker compose -f deploy/manager")
    _locked_up(f"{compose.project}-manager-manager-1")
    reader.goes_on_to("docker compose -f deploy/docker-compose.managed.yml")
    target = f"{compose.project}@berlin1/web"
    wait_for(lambda: target in [row["name"] for row in reader.asks("targets")], "it is known", limit_s=LIMIT_S)
    _takes_the_manager_for_no_updater(f"{compose.project}-agent-tidegate-1", f"{compose.project}-manager")
    assert "berlin1" in reader.goes_on_to("tidegate agents")
    reader.goes_on_to("tidegate policy set")
    second = push("2")
    wait_for(lambda: reader.asks("rollout list"), "the release waits", limit_s=LIMIT_S)
    assert "awaiting_approval" in reader.goes_on_to("tidegate rollout list")
    assert image_of(compose, "web") == first.image_id
    assert "completed" in reader.goes_on_to("tidegate rollout watch")
    assert image_of(compose, "web") == second.image_id
    reader.goes_on_to("tidegate rollback")
    reader.shell.does("tidegate rollout watch 2")
    assert image_of(compose, "web") == first.image_id
    assert reader.ended()


def _locked_up(container: str) -> None:
    document = inspect(container)
    assert document["State"]["Health"]["Status"] == "healthy"
    assert document["Config"]["User"] == "65532:65532"
    assert docker("exec", container, "sh", "-c", "touch /x 2>/dev/null || echo read-only") == "read-only"


def _takes_the_manager_for_no_updater(agent: str, project: str) -> None:
    plan = json.loads(docker("exec", agent, "tidegate", "agent", "plan", "--json"))
    (row,) = [row for row in plan if row["cluster"] == project]
    assert "updater" not in json.dumps(row)
    assert row["selected"] is True
