"""The deployment script with the agent's real image and a real manager, and the lines of its page."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.compose import Compose
from tests.support.deployment import Deployment
from tests.support.docker import docker
from tests.support.pages import ROOT, blocks
from tests.support.registry import Registry
from tests.support.waiting import wait_for

from groundwork import agent_image

MANAGER, AGENT = "tidegate/manager:deployed", "tidegate/agent:deployed"
LIMIT_S = 180
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def real(deployment: Deployment, registry: Registry, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment by the agent's real image, with a registry that containers reach."""
    reached = Registry(registry.address, engine_address=os.environ["GROUND_REGISTRY_LAN"])
    folder = tmp_path / "real"
    folder.mkdir()
    agent_image.build(AGENT)
    one = Deployment(folder, deployment.compose, reached, f"{deployment.compose.project}-real")
    one.agent = AGENT
    yield one
    docker("rm", "-f", *sorted(one.compose.ids("watchtower")), check=False)
    docker("image", "rm", "--force", AGENT)


def updater(deployment: Deployment) -> str:
    """The id of the updater's container."""
    return str(deployment.compose.container("watchtower")["Id"])


def history(deployment: Deployment) -> str:
    """What the agent says it has done."""
    return docker("exec", updater(deployment), "tidegate", "agent", "history", "--json")


def test_the_cluster_updates_itself_and_the_script_has_nothing_to_change_afterwards(real: Deployment) -> None:
    real.first("--interval", "1", "--set", f"INSECURE_REGISTRIES={os.environ['GROUND_REGISTRY_LAN']}")
    before = real.compose.container("orchestrator")["Image"]
    real.image("autonomy-latest", env={"NEWER": "1"})
    wait_for(lambda: "committed" in history(real), "the update is done", limit_s=LIMIT_S)
    newer = real.compose.container("orchestrator")
    assert newer["Image"] != before
    assert "nothing to change" in real.run()
    real.run("--interval", "5")
    assert real.compose.container("orchestrator")["Id"] == newer["Id"]
    assert "committed" in history(real)  # which lies in its volume


def test_a_variable_that_the_agent_refuses_is_put_back_with_its_words(real: Deployment) -> None:
    real.first()
    before, files = updater(real), real.files()
    told = real.run("--settle", "10", "--set", "INSECURE_REGISTRIES=http://one/two", code=1)
    assert ("TIDEGATE_INSECURE_REGISTRIES" in told, "watchtower does not stay up" in told) == (True, True)
    assert (real.files(), updater(real) != before) == (files, True)
    assert "nothing to change" in real.run()


@pytest.fixture
def network(compose: Compose, tmp_path: Path) -> Iterator[str]:
    """The network of a real manager, which is the container PROJECT-manager-manager-1."""
    folder, project = tmp_path / "manager", f"{compose.project}-manager"
    shutil.copytree(ROOT / "deploy" / "manager", folder)
    agent_image.build(MANAGER, of=agent_image.MANAGER)
    env = os.environ | {"TIDEGATE_NETWORK": project, "COMPOSE_PROJECT_NAME": project, "TIDEGATE_MANAGER_IMAGE": MANAGER}
    up = ["docker", "compose", "-f", str(folder / "docker-compose.yml"), "up", "-d", "--wait"]
    subprocess.run(up, env=env, check=True, capture_output=True)
    yield project
    compose.clean()  # the agent is on that network
    Compose(tmp_path, project).clean()
    docker("image", "rm", "--force", MANAGER)


def test_the_agent_enrols_with_the_manager_that_is_named(real: Deployment, network: str, tmp_path: Path) -> None:
    manager = f"{network}-manager-1"
    admin = docker("exec", manager, "tidegate", "manager", "create-token", "ann", "--role", "admin")
    asks = ["exec", "-e", f"TIDEGATE_TOKEN={admin}", manager, "tidegate", "agents"]
    token = tmp_path / "token"
    token.write_text(docker(*asks, "enrol", "berlin1"), encoding="utf-8")
    words = ["--manager", "http://manager:8080", "--manager-network", network, "--agent-name", "berlin1"]
    real.first(*words, "--enrolment-token-file", str(token))
    wait_for(lambda: "connected to the manager" in logs(real), "it is connected", limit_s=LIMIT_S)
    assert "berlin1" in docker(*asks, "list", check=False) + docker(*asks)
    token.unlink()
    assert "nothing to change" in real.run()
    real.run("--interval", "60")
    wait_for(lambda: "connected to the manager" in logs(real), "it is connected again", limit_s=LIMIT_S)
    assert "enrolled with the manager" not in logs(real)  # who it is lies in its volume
    for engine, agent in (("watchtower", "agent"), ("tidegate", "watchtower")):
        real.run("--engine", engine)
        connected = f"it is connected with {engine}"
        wait_for(lambda name=agent: "connected to the manager" in logs(real, name), connected, limit_s=LIMIT_S)  # type: ignore[misc]
        assert "enrolled with the manager" not in logs(real, agent)


def logs(deployment: Deployment, agent: str = "watchtower") -> str:
    """Everything that the service that is the agent has printed."""
    name = str(deployment.compose.container(agent)["Id"])
    done = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_the_lines_of_the_page_do_what_is_said(deployment: Deployment, tmp_path: Path, manager: str) -> None:
    lines = [line for block in blocks("sh") if block.page == "deployment-script.md" for line in block.text.splitlines()]
    (tmp_path / "token").write_text("once", encoding="utf-8")
    env = os.environ | {
        "TIDEGATE_CLUSTER_PROJECT": deployment.compose.project,
        "TIDEGATE_IMAGE": deployment.agent,
        "TIDEGATE_CLUSTER_SET": f"CONSUMER_IMAGE={deployment.consumer}",
    }
    here = {
        "scripts/orchestrator": f"{ROOT}/scripts/orchestrator",
        "/srv/autonomy": str(deployment.folder),
        "ghcr.io/acme/orchestrator:autonomy-latest": deployment.channel,
        "https://tidegate.example.com": manager,
    }
    told = []
    for line in lines:
        meant = line
        for shown, real_one in here.items():
            meant = meant.replace(shown, real_one)
        done = subprocess.run(["bash", "-c", meant], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (meant, done.stdout, done.stderr)
        told.append(done.stdout)
    assert ["+name: autonomy" in told[0], *("done:" in one for one in told[1:3])] == [True, True, True]
    assert "interval   60 s" in told[3]
    assert "TIDEGATE_AGENT_NAME=berlin1" in deployment.compose.container("watchtower")["Config"]["Env"]
