"""The guide of the autonomy cluster, played line by line: set up, looked at, updated, and back three ways."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import image_of
from tests.support.images import Pushed, build
from tests.support.pages import ROOT, blocks
from tests.support.registry import Registry
from tests.support.shell import Shell
from tests.support.waiting import wait_for

from groundwork import agent_image

PAGE, LIMIT_S = "ORCHESTRATOR_AUTOUPDATE.md", 90
AGENT, CHANNEL = "tidegate/agent:guide", "autonomy/orchestrator:autonomy-latest"
pytestmark = pytest.mark.timeout(400)


class Host:
    """A host with a checkout, and somebody with the page before them."""

    def __init__(self, folder: Path, compose: Compose, registry: Registry) -> None:
        self.compose = compose
        self._registry = Registry(registry.address, engine_address=os.environ["GROUND_REGISTRY_LAN"])
        consumer = build(self._registry, "autonomy/consumer:latest", version="consumer")
        lines = {"CONSUMER_IMAGE": consumer.reference, "BAKE": "1s", "INSECURE_REGISTRIES": self._lan}
        environ = {
            "TIDEGATE_CLUSTER_PROJECT": compose.project,
            "TIDEGATE_IMAGE": AGENT,
            "TIDEGATE_CLUSTER_SET": "\n".join(f"{name}={value}" for name, value in lines.items()),
        }
        self.shell = Shell(folder, environ)
        self._lines = [line for block in blocks("sh") if block.page == PAGE for line in block.text.splitlines()]
        self._digest = ""

    @property
    def _lan(self) -> str:
        return os.environ["GROUND_REGISTRY_LAN"]

    def release(self, version: str) -> Pushed:
        """Push one."""
        return build(self._registry, CHANNEL, version=version, healthcheck=True)

    def goes_on_to(self, beginning: str, digest: str = "sha256:...") -> str:
        """Every line up to one that begins so; what that one printed."""
        while True:
            line = self._lines.pop(0)
            said = self.shell.does(self._here(line).replace("sha256:...", digest))
            if line.startswith(beginning):
                return said

    def ended(self) -> bool:
        """Whether no line is left."""
        return not self._lines

    def _here(self, line: str) -> str:
        here = line.replace("ghcr.io/acme/orchestrator", f"{self._lan}/autonomy/orchestrator")
        return (
            here.replace("autonomy/orchestrator", f"{self.compose.project}/orchestrator")
            if " rollback " in here
            else here
        )


@pytest.fixture
def host(compose: Compose, registry: Registry, tmp_path: Path) -> Iterator[Host]:
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "orchestrator_cluster_autoupdate.sh", folder / "scripts")
    shutil.copytree(ROOT / "examples", folder / "examples")
    agent_image.build(AGENT)
    one = Host(folder, compose, registry)
    yield one
    one.shell.close()
    compose.clean()
    docker("image", "rm", "--force", AGENT)


def test_the_guide_is_played_from_set_up_to_the_way_back(host: Host) -> None:
    first = host.release("1")
    assert "+name: autonomy" in host.goes_on_to("scripts/orchestrator_cluster_autoupdate.sh")
    assert not host.compose.ids()
    host.goes_on_to("scripts/orchestrator_cluster_autoupdate.sh")
    assert "orchestrator" in host.goes_on_to("docker compose exec watchtower tidegate agent plan")
    assert image_of(host.compose, "orchestrator") == first.image_id
    assert "healthy" in host.goes_on_to("docker compose exec watchtower tidegate agent status")
    host.goes_on_to("docker compose logs")
    second = host.release("2")
    host.goes_on_to("docker compose restart watchtower")
    history = "docker compose exec watchtower tidegate agent history --json"
    wait_for(lambda: "committed" in host.shell.does(history), "the update is done", limit_s=LIMIT_S)
    assert image_of(host.compose, "orchestrator") == second.image_id
    assert "again" in host.goes_on_to("docker compose exec watchtower tidegate agent rollback")
    assert image_of(host.compose, "orchestrator") == first.image_id
    assert first.digest in host.goes_on_to("docker image ls")
    host.goes_on_to("ORCHESTRATOR_IMAGE=", digest=second.digest)
    assert image_of(host.compose, "orchestrator") == second.image_id
    assert host.goes_on_to("../scripts/orchestrator_cluster_autoupdate.sh list").strip()
    assert host.ended()
