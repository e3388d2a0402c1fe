"""What the demo makes on an engine, known so well that nothing else is removed with it.

Images carry a label, containers and networks are of Compose projects of its own, and its agents' private networks are
of an address range that no other agent is likely to have.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from groundwork import base

PROJECT = "tidegate-demo"
SITES = ("rome", "paris", "oslo")
PROJECTS = (PROJECT, *(f"{PROJECT}-{site}" for site in SITES))
AGENT = "tidegate/agent:demo"
BUILD_STAGE = "tidegate/agent:demo-build"
MARK = {PROJECT: "true"}
SUBNETS = ipaddress.ip_network("10.215.0.0/16")


def shared() -> bool:
    """Whether the engine was there before the demo, and so may hold what is a person's."""
    return "GROUND_PRIVATE" not in os.environ


def others() -> list[str]:
    """Names of the containers that are not the demo's, for its agent to leave alone."""
    form = '{{.Label "com.docker.compose.project"}}\t{{.Names}}'
    rows = [line.split("\t") for line in docker("ps", "-a", "--format", form).splitlines()]
    return sorted(name for project, name in rows if project not in PROJECTS)


def on_shared_engine(document: dict[str, Any], leave_alone: list[str]) -> dict[str, Any]:
    """Return the example's Compose document for an engine that was there before.

    The registry is on loopback, which only the host's network has; and the agent has neighbours that are not its own.
    """
    agent = dict(document["services"]["watchtower"])
    agent.pop("networks", None)
    more = {"WATCHTOWER_DISABLE_CONTAINERS": ",".join(leave_alone), "TIDEGATE_PRIVATE_SUBNETS": str(SUBNETS)}
    agent |= {"network_mode": "host", "container_name": f"{PROJECT}-agent"}
    agent["environment"] = {**agent["environment"], **more}
    return {**document, "services": {**document["services"], "watchtower": agent}}


def has_base() -> bool:
    """Whether the agent's base image is on the engine."""
    return bool(docker("image", "ls", "--quiet", base.TAG))


def remove(*, with_base: bool) -> None:
    """Leave nothing of the demo on the engine, and what is not the demo's as it is."""
    for _ in range(3):  # an agent may be making one while it is removed
        if found := _ours("ps", "-a"):
            docker("rm", "--force", "--volumes", *found)
    for network in [*_ours("network", "ls"), *_private_networks()]:
        docker("network", "rm", network)
    for volume in _ours("volume", "ls"):
        docker("volume", "rm", volume)
    marked = [f"label={key}={value}" for key, value in MARK.items()]
    images = docker("image", "ls", "--quiet", "--no-trunc", *_filters(marked)).split()
    tags = [AGENT, BUILD_STAGE, *([base.TAG] if with_base else [])]
    for one in [*dict.fromkeys(images), *tags]:
        docker("image", "rm", "--force", one)


def _ours(*words: str) -> list[str]:
    """What a listing has of the demo's projects."""
    labels = [f"label=com.docker.compose.project={project}" for project in PROJECTS]
    return [one for label in labels for one in docker(*words, "--quiet", *_filters([label])).split()]


def _private_networks() -> list[str]:
    found = docker("network", "ls", "--quiet", *_filters(["label=tidegate.private-for"])).split()
    return [one for one in found if not shared() or _is_ours(one)]


def _is_ours(network: str) -> bool:
    ranges = json.loads(docker("network", "inspect", "--format", "{{json .IPAM.Config}}", network) or "[]")
    return any(ipaddress.ip_network(one["Subnet"]).overlaps(SUBNETS) for one in ranges)


def _filters(values: list[str]) -> list[str]:
    return [word for value in values for word in ("--filter", value)]


def docker(*words: str) -> str:
    """Run `docker WORDS...`; its standard output. What is gone already is no error."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False).stdout.strip()


def write(document: dict[str, Any], folder: Path) -> Path:
    """Write a Compose file; JSON is YAML too."""
    file = folder / "docker-compose.yml"
    file.write_text(json.dumps(document), encoding="utf-8")
    return file
