"""Several clusters on one agent, which updates one after another: those that wait longer than the deadline wait on."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support import strangers
from tests.support.agent import QUICK
from tests.support.asker import Asker
from tests.support.compose import Compose
from tests.support.features import image_of, one, services
from tests.support.images import Pushed
from tests.support.waiting import wait_for

import demo_programs as programs

LIMIT_S = 180
CLUSTERS = 4
BAKE_S, DEADLINE_S = 10, 25
RULES: dict[str, Any] = {
    "waves": [],
    "soak": "0s",
    "healthy_for": "0s",
    "healthy_deadline": "15s",
    "progress_deadline": f"{DEADLINE_S}s",
}
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture
def first(push: Push) -> Pushed:
    return push("1")


@pytest.fixture
def clusters(compose: Compose, first: Pushed, tmp_path: Path) -> Iterator[list[Compose]]:
    """So many projects of one scope, at one release of one channel."""
    others = []
    for _ in range(CLUSTERS - 1):
        project = f"tidegate-test-{secrets.token_hex(4)}"
        (tmp_path / project).mkdir()
        others.append(Compose(tmp_path / project, project))
    labels = {"tidegate.enable": "true", "tidegate.scope": compose.project, "tidegate.bake": f"{BAKE_S}s"}
    try:
        for cluster in (compose, *others):
            cluster.write(services(web=one(first, labels=labels)))
            cluster.up()
        yield [compose, *others]
    finally:
        for cluster in others:
            cluster.clean()


@pytest.fixture
def ann(clusters: list[Compose], tmp_path: Path) -> Iterator[Asker]:
    """Who runs a manager with one agent, which has all of the clusters."""
    manager = programs.ManagerProgram(tmp_path, insecure_registry=os.environ["GROUND_REGISTRY"])
    manager.start()
    try:
        ann = Asker(manager.url, manager.person("ann", "admin").token)
        token = tmp_path / "host.enrol"
        token.write_text(ann("POST", "/agents/enrolments", {"name": "host"})["token"], encoding="utf-8")
        more = strangers.shielded({**QUICK, "WATCHTOWER_POLL_INTERVAL": "1"})
        words = ("--label-enable", "--scope", clusters[0].project)
        agent = programs.agent_program(tmp_path, "host", *words, manager=ann.url, enrol_token=token, **more)
        with programs.running(agent):
            wait_for(lambda: len(ann.items("/targets")) == CLUSTERS, "all clusters are known", limit_s=LIMIT_S)
            yield ann
    finally:
        manager.program.stop()


def test_all_clusters_of_a_host_are_updated_though_the_last_waits_for_longer_than_the_deadline(
    ann: Asker, clusters: list[Compose], push: Push
) -> None:
    (channel,) = ann.items("/channels")
    ann.set_rules(channel["id"], RULES)
    second = push("2")
    ended = {"completed", "rolled_back", "rolling_back", "paused", "failed"}
    wait_for(lambda: ann.rollout(second.digest).get("state") in ended, "it is over", limit_s=LIMIT_S)
    assert ann.rollout(second.digest)["state"] == "completed"
    assert [image_of(one_, "web") for one_ in clusters] == [second.image_id] * CLUSTERS
