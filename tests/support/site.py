"""A manager as a program, somebody who asks it, and one cluster whose agent a test starts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.asker import Asker
from tests.support.compose import Compose
from tests.support.features import one, services
from tests.support.images import Pushed
from tests.support.kills import start_doomed_agent

import demo_programs as programs

NEVER = "in:nowhere"
"""A point that an agent does not come to."""


@dataclass
class Site:
    """A manager, ann who asks it, and one cluster at version 1, whose agent is started again and again."""

    ann: Asker
    cluster: Compose
    first: Pushed
    state: Path
    environ: dict[str, str]

    def agent_until(self, point: str) -> Any:
        """An agent that is killed there."""
        quick = {"KEEPS_RUNNING": "1", "WATCHTOWER_POLL_INTERVAL": "1", "WATCHTOWER_LABEL_ENABLE": "true"}
        return start_doomed_agent(point, self.state, **quick, **self.environ)

    def target(self, rollout: int) -> dict[str, Any]:
        """How far the cluster is."""
        (found,) = self.ann.items(f"/rollouts/{rollout}/targets")
        return found


@contextlib.contextmanager
def site_of(compose: Compose, first: Pushed, folder: Path, **labels: str) -> Iterator[Site]:
    """A service `web` at its first release, with these labels beside those that it needs, and its manager."""
    compose.write(services(web=one(first, labels={"tidegate.enable": "true"} | labels)))
    compose.up()
    manager = programs.ManagerProgram(folder, insecure_registry=os.environ["GROUND_REGISTRY"])
    manager.start()
    try:
        ann = Asker(manager.url, manager.person("ann", "admin").token)
        token = ann("POST", "/agents/enrolments", {"name": "berlin1", "labels": {}})["token"]
        environ = {"TIDEGATE_MANAGER": manager.url, "TIDEGATE_ENROL_TOKEN": token, "TIDEGATE_AGENT_NAME": "berlin1"}
        yield Site(ann, compose, first, folder / "state", environ)
    finally:
        manager.program.stop()
