"""A release that is well until it serves, or until it has served for a while: the old one is put back.

What cannot run at all is in test_preflight.py and test_start_refused.py, what is sick at once in test_prove_health.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.dying import told_at
from tests.support.features import one, services
from tests.support.kills import Before, assert_at_rest
from tests.support.waiting import get_json

SUBNET = "10.198.9.0/24"
NETWORKS = {"edge": {"ipam": {"config": [{"subnet": SUBNET}]}}, "back": {}}
# with a drain it is seen while the old container still serves, without one in the bake
WAYS: dict[str, dict[str, Any]] = {
    "start-first": {"labels": {"tidegate.ingress-networks": "edge", "tidegate.drain": "12s"}},
    "swap": {"ports": ["8000"], "labels": {"tidegate.ingress-networks": "edge"}},
}


@pytest.mark.parametrize("way", ["start-first", pytest.param("swap", marks=pytest.mark.long)])
async def test_one_that_is_sick_only_on_the_network_that_it_serves_on_is_put_back(
    compose: Compose, push: Push, tmp_path: Path, way: str
) -> None:
    old = push("1", healthcheck=True)
    web = one(old, restart="unless-stopped", networks=["edge", "back"], **WAYS[way])
    compose.write(services(web=web) | {"networks": NETWORKS})
    compose.up("--wait")
    before, was = Before.of(compose, "web"), compose.container("web")
    new = push("2", healthcheck=True, env={"SICK_ON_NETWORK": SUBNET})
    async with agent_here(tmp_path / "state", TIDEGATE_HEALTH_TIMEOUT="6s", TIDEGATE_BAKE="30s") as here:
        await here.look()
        assert (here.last()["outcome"], here.last()["strategy"]) == ("rolled-back", way)
        await here.collect()
    now = compose.container("web")
    if way == "start-first":
        assert (now["Id"], now["State"]["StartedAt"]) == (was["Id"], was["State"]["StartedAt"])
    else:
        assert get_json(compose.address("web"))["version"] == "1"
    assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])


async def test_one_that_turns_sick_while_it_bakes_is_put_back(compose: Compose, push: Push, tmp_path: Path) -> None:
    old = push("1", healthcheck=True)
    compose.write(services(web=one(old, restart="unless-stopped", ports=["8000"])))
    compose.up("--wait")
    before, was = Before.of(compose, "web"), compose.container("web")["Id"]
    new = push("2", healthcheck=True)
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="30s") as here:
        told_at(here, "bake", f"{compose.project}-web-1", "sick")
        await here.look()
        assert here.last()["outcome"] == "rolled-back"
        assert "its health check fails" in here.last()["reason"]
        await here.collect()
    assert compose.container("web")["Id"] != was  # it had been removed, and was made anew
    assert_at_rest(compose, tmp_path / "state", before, old, blamed=[new.digest])
