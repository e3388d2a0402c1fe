"""The example with the real Watchtower, an agent in a container and a manager, as its page says."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import watchtower
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.fake_manager import fake_manager
from tests.support.features import image_of
from tests.support.images import build
from tests.support.managed import NAME, Fleet
from tests.support.pages import blocks
from tests.support.registry import Registry

from groundwork import agent_image

ORCHESTRATOR = "autonomy/orchestrator:autonomy-latest"
LINE = next(
    line
    for block in blocks("sh")
    if block.page == "watchtower.md"
    for line in block.text.splitlines()
    if "watchtower-managed.yml" in line
)

STATUS = ("tidegate", "agent", "status")
METRICS = """
import urllib.request
asked = urllib.request.Request("http://agent:8080/v1/metrics", headers={"Authorization": "Bearer metrics-token"})
print(urllib.request.urlopen(asked, timeout=10).read().decode())
"""


@pytest.fixture
def agents_image(engine_url: str) -> Iterator[str]:
    """The agent's image, by a name of this test's own."""
    assert engine_url
    tag = f"tidegate-test-{secrets.token_hex(4)}/agent:latest"
    agent_image.build(tag)
    yield tag
    docker("image", "rm", "--force", tag)


async def _ran(command: list[str], folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    return told.decode()


async def _told_in_metrics(wanted: str, agent: str, folder: Path) -> None:
    """Wait for what is wanted: the agent looks at Watchtower every half a minute."""
    async with asyncio.timeout(90):
        while wanted not in await _ran(["docker", "exec", agent, "python3", "-c", METRICS], folder):
            await asyncio.sleep(0.5)


@pytest.mark.timeout(900)
async def test_the_example_is_updated_by_watchtower_when_the_manager_says_so(
    registry: Registry, compose: Compose, agents_image: str, tmp_path: Path
) -> None:
    lan = os.environ["GROUND_REGISTRY_LAN"]
    here = Registry(registry.address, engine_address=lan)
    docker("image", "rm", "--force", f"{lan}/{ORCHESTRATOR}", check=False)  # another test may have left it
    first = build(here, ORCHESTRATOR, version="1", healthcheck=True)
    consumer = build(here, "autonomy/consumer:latest", version="consumer")
    theirs = watchtower.image(here)
    folder = tmp_path / "autonomy"
    shutil.copytree(watchtower.EXAMPLE, folder)
    async with fake_manager(host=lan.partition(":")[0]) as manager:
        fleet = await Fleet.of(manager, compose)
        (folder / "watchtower-token").write_text(secrets.token_hex(32), encoding="ascii")
        (folder / "enrol-token").write_text(fleet.environ["TIDEGATE_ENROL_TOKEN"], encoding="ascii")
        settings = {
            "ORCHESTRATOR_IMAGE": first.reference,
            "CONSUMER_IMAGE": consumer.reference,
            "WATCHTOWER_IMAGE": theirs.reference,
            "TIDEGATE_IMAGE": agents_image,
            "DOCKER_SOCKET": watchtower.socket(),
            "INSECURE_REGISTRIES": lan,
            "TIDEGATE_MANAGER": manager.url,
            "TIDEGATE_AGENT_NAME": NAME,
            "BAKE": "1s",
            "AGENT_METRICS_TOKEN": "metrics-token",
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (folder / ".env").write_text(lines, encoding="utf-8")
        words = shlex.split(LINE)
        await _ran([*words[:2], "-p", compose.project, *words[2:]], folder)
        await fleet.until(lambda: fleet.inventory("orchestrator").get("health") == "healthy", limit_s=240)
        second = build(here, ORCHESTRATOR, version="2", healthcheck=True)
        await fleet.assign(second, service="orchestrator")
        await fleet.until(lambda: fleet.told("orchestrator") == ["begun", "healthy"], limit_s=240)
        assert image_of(compose, "orchestrator") == second.image_id
        assert "Found new" in await _ran(["docker", "logs", "watchtower_orchestrator"], folder)
        (settings,) = [one for one in compose.container("orchestrator")["Mounts"] if one["Destination"] == "/settings"]
        assert (settings["Name"], settings["RW"]) == (f"{compose.project}_settings", False)
        agent = compose.container("agent")["Id"]
        assert "Updater: Watchtower, last scan:" in await _ran(["docker", "exec", agent, *STATUS], folder)
        await _told_in_metrics("\ntidegate_watchtower_containers_failed 0\n", agent, folder)
