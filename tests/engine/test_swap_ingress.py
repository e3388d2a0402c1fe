"""Nobody who looks a service up by its name is ever sent to a container that has not been proved."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker, inspect, listed
from tests.support.images import HEALTHCHECK
from tests.support.waiting import wait_for

PATIENT = {**HEALTHCHECK, "StartPeriod": 10_000_000_000}
LINE = re.compile(r'\{"sent".*\}')


def told(client: str) -> list[tuple[str, int]]:
    """Every line that the client wrote: the version that answered last, and how many requests have failed."""
    lines = (json.loads(line) for line in LINE.findall(docker("logs", client)))
    return [(line["version"], line["failed"]) for line in lines]


def told_failed(client: str) -> int:
    return max((failed for _, failed in told(client)), default=0)


@pytest.mark.parametrize("labels", [{"tidegate.ingress-networks": "edge"}, {}])
async def test_a_name_leads_to_proven_containers_only(
    compose: Compose, push: Push, tmp_path: Path, labels: dict[str, str]
) -> None:
    first = push("1", healthcheck=True)
    document: dict[str, Any] = {
        "services": {
            "web": {"image": first.reference, "networks": ["edge", "back"], "labels": labels},
            "client": {
                "image": push("client", tag="client").reference,
                "command": ["ask", "web", "8000"],
                "networks": ["edge"],
                "depends_on": ["web"],
                "labels": {"tidegate.enable": "false"},
                "stop_grace_period": "0s",
            },
        },
        "networks": {"edge": {}, "back": {}},
    }
    compose.write(document)
    compose.up("--wait")
    old, client = compose.container("web")["Id"], compose.container("client")["Id"]
    wait_for(lambda: told(client)[-1:] == [("1", told_failed(client))], "the client is served")
    begun = told_failed(client)
    second = push("2", healthcheck=PATIENT, env={"BOOT_S": "2"})
    at_start: list[set[str]] = []
    async with agent_here(tmp_path / "state") as agent:

        def look_at_start(event: Any) -> None:
            if event.action == "start":
                at_start.append(set(inspect(event.id)["NetworkSettings"]["Networks"]))

        with agent.parts.hub.listening(look_at_start):
            await agent.look()
        assert (agent.last()["outcome"], agent.last()["strategy"]) == ("committed", "start-first")
        await agent.collect()
    wait_for(lambda: told(client)[-1][0] == "2", "the client is served by the new release")
    said = told(client)
    first_of_new = next(failed for version, failed in said if version == "2")
    # nothing went to the candidate while it booted; only the moment in which the old one ends may show
    assert first_of_new == begun
    assert told_failed(client) - begun <= 3
    assert compose.container("web")["Image"] == second.image_id
    assert (f"{compose.project}_back" in at_start[0]) == bool(labels)
    assert f"{compose.project}_edge" not in at_start[0]
    assert old not in listed("container")
    assert compose.changes() == []
