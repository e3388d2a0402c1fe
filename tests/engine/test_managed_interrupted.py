"""A rollout goes on over an agent, or its host, that is stopped in the middle; where that never ends, it goes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.compose import Compose
from tests.support.features import image_of
from tests.support.site import NEVER, Site, site_of
from tests.support.waiting import wait_for

from tidegate.agent.interrupted import MOST

LIMIT_S = 120
RULES = {"mode": "automatic", "waves": [], "soak": "500ms", "healthy_for": "500ms", "healthy_deadline": "20s"}
AMID = "in:step:start"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def site(compose: Compose, push: Push, tmp_path: Path) -> Iterator[Site]:
    with site_of(compose, push("1", healthcheck=True), tmp_path) as one_:
        yield one_


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
