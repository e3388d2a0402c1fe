"""A rollout goes on over an agent, or its host, that is stopped in the middle; where that never ends, it goes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.asker import Asker
from tests.support.compose import Compose
from tests.support.features import image_of, one, services
from tests.support.images import Pushed
from tests.support.kills import start_doomed_agent
from tests.support.waiting import wait_for

import demo_programs as programs
from tidegate.agent.interrupted import MOST

LIMIT_S = 60
RULES = {"mode": "automatic", "waves": [], "soak": "500ms", "healthy_for": "500ms", "healthy_deadline": "20s"}
AMID, NEVER = "in:step:start", "in:nowhere"
pytestmark = pytest.mark.timeout(300)


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


@pytest.fixture
def site(compose: Compose, push: Push, tmp_path: Path) -> Iterator[Site]:
    first = push("1", healthcheck=True)
    labels = {"tidegate.enable": "true"}
    compose.write(services(web=one(first, labels=labels)))
    compose.up()
    manager = programs.ManagerProgram(tmp_path, insecure_registry=os.environ["GROUND_REGISTRY"])
    manager.start()
    try:
        ann = Asker(manager.url, manager.person("ann", "admin").token)
        token = ann("POST", "/agents/enrolments", {"name": "berlin1", "labels": {}})["token"]
        environ = {"TIDEGATE_MANAGER": manager.url, "TIDEGATE_ENROL_TOKEN": token, "TIDEGATE_AGENT_NAME": "berlin1"}
        yield Site(ann, compose, first, tmp_path / "state", environ)
    finally:
        manager.program.stop()


def ended(agent: Any) -> None:
    output, _ = agent.communicate(timeout=LIMIT_S)
    assert agent.returncode == -signal.SIGKILL, output


@pytest.mark.parametrize(("times", "ends"), [(MOST - 1, "completed"), (MOST, "rolled_back")])
def test_a_rollout_is_not_turned_round_by_an_agent_that_is_killed_midway_unless_it_always_is(
    site: Site, push: Push, times: int, ends: str
) -> None:
    agent = site.agent_until(AMID)
    wait_for(lambda: site.ann.items("/targets"), "the cluster is known", limit_s=LIMIT_S)
    site.ann.set_rules(site.ann.items("/channels")[0]["id"], RULES)
    release = push("2", healthcheck=True)
    ended(agent)
    for _ in range(times - 1):
        ended(site.agent_until(AMID))
        rollout = site.ann.rollout(release.digest)
        assert (rollout["state"], site.target(rollout["id"])["progress"]) == ("running", "updating")
    last = site.agent_until(NEVER)
    try:
        wait_for(lambda: site.ann.rollout(release.digest)["state"] == ends, ends, limit_s=LIMIT_S)
    finally:
        last.terminate()
        last.communicate(timeout=LIMIT_S)
    reason = site.target(site.ann.rollout(release.digest)["id"])["reason"] or ""
    assert (f"interrupted {MOST} times in a row" in reason) is (ends == "rolled_back")
    assert site.ann.items("/quarantine") == []
    assert image_of(site.cluster, "web") == (release if ends == "completed" else site.first).image_id
