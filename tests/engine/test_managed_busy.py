"""A rollout meets a cluster that is at work: it is waited for, and then its channel's rules say what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.compose import Compose
from tests.support.features import image_of
from tests.support.site import NEVER, Site, site_of
from tests.support.waiting import wait_for

LIMIT_S = 120
RULES = {"mode": "automatic", "waves": [], "soak": "500ms", "healthy_for": "500ms", "healthy_deadline": "20s"}
BUSY = {"tidegate.hook.pre-update": '[ "$$VERSION" != 1 ] || exit 75'}
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def site(compose: Compose, push: Push, tmp_path: Path) -> Iterator[Site]:
    with site_of(compose, push("1", healthcheck=True), tmp_path, **BUSY) as one_:
        yield one_


@pytest.mark.parametrize(
    ("then", "progress", "state", "moves"),
    [
        ("skip", "skipped", "paused", False),
        ("force", "healthy", "completed", True),
        ("fail", "failed", "rolled_back", False),
    ],
)
def test_what_is_busy_for_longer_than_it_is_waited_for_is_skipped_forced_or_failed(
    site: Site, push: Push, then: str, progress: str, *, state: str, moves: bool
) -> None:
    agent = site.agent_until(NEVER)
    try:
        wait_for(lambda: site.ann.items("/targets"), "the cluster is known", limit_s=LIMIT_S)
        rules = RULES | {"busy_wait": "15s", "busy_then": then}
        site.ann.set_rules(site.ann.items("/channels")[0]["id"], rules)
        before = site.cluster.container("web")
        release = push("2", healthcheck=True)
        wait_for(lambda: site.ann.rollout(release.digest), "there is a rollout", limit_s=LIMIT_S)
        rollout = site.ann.rollout(release.digest)["id"]
        wait_for(lambda: site.target(rollout)["progress"] == "busy", "it is busy", limit_s=LIMIT_S)
        assert site.cluster.container("web")["State"]["StartedAt"] == before["State"]["StartedAt"]
        wait_for(lambda: site.target(rollout)["progress"] == progress, progress, limit_s=LIMIT_S)
        wait_for(lambda: site.ann.rollout(release.digest)["state"] == state, state, limit_s=LIMIT_S)
    finally:
        agent.terminate()
        agent.communicate(timeout=LIMIT_S)
    assert image_of(site.cluster, "web") == (release if moves else site.first).image_id
    assert (site.cluster.container("web")["Id"] == before["Id"]) is not moves
    assert site.ann.items("/quarantine") == []
