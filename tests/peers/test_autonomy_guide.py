"""The guide of the autonomy cluster with the real Watchtower: the script, the agent beside it, and a manager."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support import guide, watchtower
from tests.support.agent import in_thread
from tests.support.compose import Compose
from tests.support.fake_manager import fake_manager
from tests.support.features import image_of, running
from tests.support.images import Pushed
from tests.support.managed import NAME, Fleet
from tests.support.registry import Registry

pytestmark = pytest.mark.timeout(1200)


async def test_the_guide_is_played_with_watchtower_too(compose: Compose, registry: Registry, tmp_path: Path) -> None:
    lan = os.environ["GROUND_REGISTRY_LAN"]
    theirs = watchtower.image(Registry(registry.address, engine_address=lan))
    async with fake_manager(host=lan.partition(":")[0]) as manager:
        fleet = await Fleet.of(manager, compose)
        token = tmp_path / "token"
        token.write_text(fleet.environ["TIDEGATE_ENROL_TOKEN"], encoding="ascii")
        asked = ["--engine", "watchtower", "--manager", manager.url, "--agent-name", NAME]
        asked += ["--enrolment-token-file", str(token), "--manager-network", "none"]
        with guide.host(tmp_path, compose, registry, asked, WATCHTOWER_IMAGE=theirs.reference) as host:
            await _played(host, fleet)


def test_watchtower_alone_is_told_to_look_now(compose: Compose, registry: Registry, tmp_path: Path) -> None:
    theirs = watchtower.image(Registry(registry.address, engine_address=os.environ["GROUND_REGISTRY_LAN"]))
    with guide.host(tmp_path, compose, registry, ["--engine", "watchtower"], WATCHTOWER_IMAGE=theirs.reference) as host:
        first = host.release("1")
        host.goes_on_to("docker compose ps")
        assert image_of(host.compose, "orchestrator") == first.image_id
        second = host.release("2")
        host.has_watchtower_look()
        assert image_of(host.compose, "orchestrator") == second.image_id
        host.says("docker compose stop watchtower")
        assert (running(host.compose, "watchtower"), running(host.compose, "orchestrator")) == (False, True)


async def _played(host: guide.Host, fleet: Fleet) -> None:
    host.release("1")
    await in_thread(lambda: host.says("export AGENT="))
    await in_thread(lambda: host.goes_on_to("docker compose exec AGENT tidegate agent plan"))
    await fleet.until(lambda: fleet.inventory("orchestrator").get("health") == "healthy", limit_s=240)
    assert "healthy" in await in_thread(lambda: host.goes_on_to("docker compose exec AGENT tidegate agent status"))
    await in_thread(lambda: host.goes_on_to("docker compose logs"))
    second = host.release("2")
    await in_thread(lambda: host.goes_on_to("docker compose restart AGENT"))
    await fleet.assign(second, service="orchestrator")
    await fleet.until(lambda: fleet.told("orchestrator") == ["begun", "healthy"], limit_s=240)
    assert image_of(host.compose, "orchestrator") == second.image_id
    assert await in_thread(lambda: _found_by_watchtower(host)) == 1
    third = await _held(host, fleet)
    assert "again" in await in_thread(lambda: host.goes_on_to("docker compose exec AGENT tidegate agent rollback"))
    assert image_of(host.compose, "orchestrator") == second.image_id
    await in_thread(lambda: host.says("docker compose stop agent"))
    assert [running(host.compose, one) for one in ("agent", "watchtower")] == [False, True]
    await in_thread(lambda: host.goes_on_to("ORCHESTRATOR_IMAGE=", digest=third.digest))
    assert image_of(host.compose, "orchestrator") == third.image_id
    assert await in_thread(lambda: host.goes_on_to("../scripts/orchestrator_cluster_autoupdate.sh list"))
    assert host.ended()


async def _held(host: guide.Host, fleet: Fleet) -> Pushed:
    """A release that is pushed, and assigned, while the page has the host on hold; it moves when that is over."""
    before = image_of(host.compose, "orchestrator")
    await in_thread(lambda: host.says("docker compose stop agent"))
    release = host.release("3")
    await fleet.assign(release, service="orchestrator", generation=2)
    assert [running(host.compose, one) for one in ("agent", "watchtower")] == [False, True]
    assert (await in_thread(lambda: _found_by_watchtower(host)), image_of(host.compose, "orchestrator")) == (1, before)
    await in_thread(lambda: host.says("docker compose start agent"))
    await fleet.until(lambda: fleet.told("orchestrator", 2) == ["begun", "healthy"], limit_s=240)
    assert image_of(host.compose, "orchestrator") == release.image_id
    return release


def _found_by_watchtower(host: guide.Host) -> int:
    """How many releases it has brought."""
    return host.shell.does("docker compose logs watchtower").count("Found new")
