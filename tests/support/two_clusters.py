"""A manager and two clusters with an agent each, as programs: what a release goes through, canary first."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
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

LIMIT_S = 120
RULES = {
    "mode": "approval",
    "waves": [{"labels": {"ring": "canary"}}],
    "soak": "500ms",
    "healthy_for": "500ms",
    "healthy_deadline": "20s",
}


@dataclass
class Fleet:
    """A manager, ann who runs it, bob who approves, and two clusters with an agent each: the canary and the other."""

    manager: programs.ManagerProgram
    ann: Asker
    bob: Asker
    canary: Compose
    other: Compose

    def rollout(self, digest: str) -> dict[str, Any]:
        """The newest one of a release; nothing before there is one."""
        return self.ann.rollout(digest)

    def waits(self, digest: str) -> int:
        """Wait until a release waits for approval; the rollout's number."""
        wait_for(lambda: self.rollout(digest).get("state") == "awaiting_approval", "it waits", limit_s=LIMIT_S)
        return int(self.rollout(digest)["id"])

    def ends(self, rollout: int, state: str) -> None:
        """Wait until a rollout is in a state."""
        wait_for(lambda: self.ann("GET", f"/rollouts/{rollout}")["state"] == state, state, limit_s=LIMIT_S)

    def images(self) -> tuple[str, str]:
        """What the canary and the other run."""
        return image_of(self.canary, "web"), image_of(self.other, "web")


@pytest.fixture
def clusters(compose: Compose, push: Push, tmp_path: Path) -> Iterator[tuple[Compose, Compose, Pushed]]:
    """Two of them, at the same release of one channel."""
    folder = tmp_path / "other"
    folder.mkdir()
    other = Compose(folder, f"tidegate-test-{secrets.token_hex(4)}")
    first = push("1", healthcheck=True)
    for cluster in (compose, other):
        labels = {"tidegate.enable": "true", "tidegate.scope": cluster.project}
        cluster.write(services(web=one(first, labels=labels)))
        cluster.up()
    yield compose, other, first
    other.clean()


@pytest.fixture
def fleet(clusters: tuple[Compose, Compose, Pushed], tmp_path: Path) -> Iterator[Fleet]:
    canary, other, _ = clusters
    folder = tmp_path / "programs"
    folder.mkdir()
    manager = programs.ManagerProgram(folder, insecure_registry=os.environ["GROUND_REGISTRY"])
    manager.start()
    try:
        people = [manager.person("ann", "admin"), manager.person("bob", "approver")]
        ann, bob = (Asker(manager.url, person.token) for person in people)
        agents = [_agent(folder, ann, name, cluster) for name, cluster in (("canary", canary), ("other", other))]
        with programs.running(*agents):
            wait_for(lambda: len(ann.items("/targets")) == len(agents), "both clusters are known", limit_s=LIMIT_S)
            yield Fleet(manager, ann, bob, canary, other)
    finally:
        manager.program.stop()


def _agent(folder: Path, ann: Asker, name: str, cluster: Compose) -> programs.Program:
    made = ann("POST", "/agents/enrolments", {"name": name, "labels": {"ring": name}})
    token = folder / f"{name}.enrol"
    token.write_text(made["token"], encoding="utf-8")
    quick = {**QUICK, "WATCHTOWER_POLL_INTERVAL": "1"}
    words = ("--label-enable", "--scope", cluster.project)
    more = strangers.shielded(quick)
    return programs.agent_program(folder, name, *words, manager=ann.url, enrol_token=token, **more)
