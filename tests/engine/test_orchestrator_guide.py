"""The guide of the autonomy cluster, played line by line: set up, looked at, updated, held, and back three ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support import guide
from tests.support.compose import Compose
from tests.support.features import image_of, running
from tests.support.images import Pushed
from tests.support.registry import Registry
from tests.support.waiting import wait_for

LIMIT_S = 240  # the agent looks every minute, and what it finds it has to prove
pytestmark = pytest.mark.timeout(1200)


def test_the_guide_is_played_from_set_up_to_the_way_back(compose: Compose, registry: Registry, tmp_path: Path) -> None:
    with guide.host(tmp_path, compose, registry) as host:
        first = host.release("1")
        assert "+name: autonomy" in host.goes_on_to("scripts/orchestrator_cluster_autoupdate.sh")
        assert not host.compose.ids()
        host.goes_on_to("scripts/orchestrator_cluster_autoupdate.sh")
        assert "orchestrator" in host.goes_on_to("docker compose exec AGENT tidegate agent plan")
        assert _settings(host) == (f"{compose.project}_settings", False)
        assert _strategy(host) == "start-first"
        assert image_of(host.compose, "orchestrator") == first.image_id
        assert "healthy" in host.goes_on_to("docker compose exec AGENT tidegate agent status")
        host.goes_on_to("docker compose logs")
        second = host.release("2")
        host.goes_on_to("docker compose restart AGENT")
        history = "docker compose exec watchtower tidegate agent history --json"
        wait_for(lambda: "committed" in host.shell.does(history), "the update is done", limit_s=LIMIT_S)
        assert image_of(host.compose, "orchestrator") == second.image_id
        assert _settings(host) == (f"{compose.project}_settings", False)
        host.says("docker compose stop watchtower")
        third = host.release("3")
        assert (running(host.compose, "watchtower"), image_of(host.compose, "orchestrator")) == (False, second.image_id)
        host.says("docker compose start watchtower")
        wait_for(lambda: host.shell.does(history).count("committed") == 2, "it goes on", limit_s=LIMIT_S)
        assert image_of(host.compose, "orchestrator") == third.image_id
        assert "again" in host.goes_on_to("docker compose exec AGENT tidegate agent rollback")
        assert image_of(host.compose, "orchestrator") == second.image_id
        assert second.digest in host.goes_on_to("docker image ls")
        host.goes_on_to("ORCHESTRATOR_IMAGE=", digest=third.digest)
        assert image_of(host.compose, "orchestrator") == third.image_id
        _the_agent_is_started_and_the_tag_followed_again(host, third)
        assert host.goes_on_to("../scripts/orchestrator_cluster_autoupdate.sh list").strip()
        assert host.ended()


def _the_agent_is_started_and_the_tag_followed_again(host: guide.Host, pinned: Pushed) -> None:
    """Held by the label at first, which is taken away again."""
    newest = host.release("4")
    host.says("docker compose start ${AGENT:-watchtower}")
    assert "it is pinned to a digest" in host.shell.does("docker compose exec watchtower tidegate agent plan --json")
    assert image_of(host.compose, "orchestrator") == pinned.image_id
    label = host.words("tidegate.monitor-only")
    host.shell.does(f"sed -i '/tidegate.bake/i \\      - \"{label}\"' docker-compose.yml")
    host.says("docker compose up -d")
    log = "docker compose logs watchtower"
    wait_for(lambda: "it is monitored only" in host.shell.does(log), "the agent has looked", limit_s=LIMIT_S)
    assert image_of(host.compose, "orchestrator") != newest.image_id
    host.shell.does(f"sed -i '/{label}/d' docker-compose.yml")
    up = host.words("docker compose up -d")
    host.shell.does(f"{up} || {up}")  # the agent may replace what Compose waits for
    wait_for(lambda: _runs(host) == [newest.image_id], "the tag is followed again", limit_s=LIMIT_S)


def _runs(host: guide.Host) -> list[str]:
    """The images of the orchestrator's containers; while it is replaced there are two."""
    return [str(one["Image"]) for one in host.compose.containers("orchestrator")]


def _settings(host: guide.Host) -> tuple[str, bool]:
    """The volume that the orchestrator has its settings in, and whether it may write there."""
    mounts = host.compose.container("orchestrator")["Mounts"]
    (found,) = [one for one in mounts if one["Destination"] == "/settings"]
    return found["Name"], found["RW"]


def _strategy(host: guide.Host) -> str:
    """How the agent would replace the orchestrator."""
    plan = json.loads(host.shell.does("docker compose exec watchtower tidegate agent plan --json"))
    return str(next(row["strategy"] for row in plan if row["service"] == "orchestrator"))
