"""The page's proxy in a folder of the deployment script: it stays there, and so does what the script has set."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.compose import Compose
from tests.support.deployment import EXAMPLE, Deployment
from tests.support.pages import blocks

from groundwork.registry import free_port

EDGE = "docker-compose.edge.yml"


def lines(folder: Path) -> None:
    """Play the page's lines there."""
    (block,) = [block for block in blocks("bash") if block.page == "zero-downtime.md"]
    text = block.text.replace("../examples/autonomy", str(EXAMPLE))
    done = subprocess.run(["bash", "-ec", text], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def networks(compose: Compose, service: str) -> set[str]:
    """Those that a service is on, without the project's name."""
    found = compose.container(service)["NetworkSettings"]["Networks"]
    return {name.removeprefix(f"{compose.project}_") for name in found}


def managed(compose: Compose) -> bool:
    """Whether the agent has its manager and its token."""
    agent = compose.container("watchtower")
    mounted = {mount["Destination"] for mount in agent["Mounts"]}
    named = any(line.startswith("TIDEGATE_MANAGER=http") for line in agent["Config"]["Env"])
    return named and "/run/secrets/enrol-token" in mounted


def test_with_the_proxy_the_agent_keeps_its_manager_and_over_another_run_both_stay(
    deployment: Deployment, manager: str, token: Path, compose: Compose
) -> None:
    proxy = ("--set", f"EDGE_IMAGE={deployment.consumer}", "--set", f"EDGE_PORT={free_port()}")
    deployment.first("--manager", manager, "--agent-name", "berlin1", "--enrolment-token-file", str(token), *proxy)
    lines(deployment.folder)
    before = deployment.ids("proxy")
    assert ("edge" in networks(compose, "orchestrator"), managed(compose)) == (True, True)
    deployment.run("--interval", "60")
    assert {name for name, one in deployment.ids("proxy").items() if before[name] != one} == {"watchtower"}
    assert networks(compose, "orchestrator") == {"edge", "vtuber_network"}
    assert (managed(compose), EDGE in deployment.env()["COMPOSE_FILE"].split(":")) == (True, True)
    assert "nothing to change" in deployment.run()
