"""With Watchtower's labels, flags and variables the agent touches what Watchtower would, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.conftest import Push
from tests.support.agent import agent_here, in_thread, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import at_work, image_of, one, running, services, until
from tests.support.waiting import wait_for

from tidegate.engine.model import Event

PREFIX = "com.centurylinklabs.watchtower"
OURS = {f"{PREFIX}.enable": "true", f"{PREFIX}.scope": "autonomy-cluster"}
# the environment of a Compose service as people have it; its interval has no say in a single run
AS_FOUND = {
    "WATCHTOWER_LABEL_ENABLE": "true",
    "WATCHTOWER_INTERVAL": "300",
    "WATCHTOWER_CLEANUP": "true",
    "WATCHTOWER_ROLLING_RESTART": "true",
    "WATCHTOWER_INCLUDE_STOPPED": "false",
    "WATCHTOWER_INCLUDE_RESTARTING": "false",
}


def watch(**labels: str) -> dict[str, str]:
    return {f"{PREFIX}.{key.replace('_', '-')}": value for key, value in labels.items()}


def versions(compose: Compose, *names: str) -> dict[str, str]:
    """Which release each service's only container runs."""
    return {name: compose.container(name)["Config"]["Labels"]["org.opencontainers.image.version"] for name in names}


async def test_a_compose_service_made_for_watchtower_touches_its_own_cluster_only(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    image = push("1")
    each: dict[str, Any] = {
        "ours": one(image, labels=OURS),
        "unlabelled": one(image),
        "unscoped": one(image, labels=watch(enable="true")),
        "elsewhere": one(image, labels=watch(enable="true", scope="other")),
        "refused": one(image, labels=watch(enable="false", scope="autonomy-cluster")),
    }
    compose.write(services(**each))
    compose.up()
    push("2")
    settings: Any = AS_FOUND
    words = ("agent", "run", "--label-enable", "--scope", "autonomy-cluster", "--run-once")
    await in_thread(lambda: tidegate(tmp_path / "state", *words, WATCHTOWER_POLL_INTERVAL="", **settings))
    assert versions(compose, *each) == dict.fromkeys(each, "1") | {"ours": "2"}


async def test_an_agent_leaves_other_updaters_alone(compose: Compose, push: Push, tmp_path: Path) -> None:
    image = push("1")
    each: dict[str, Any] = {
        "plain": one(image, labels=watch(scope="some")),
        "updater": one(image, labels={PREFIX: "true", **watch(scope="some")}),
        "unscoped": one(image, labels={PREFIX: "true"}),
    }
    compose.write(services(**each))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
    assert versions(compose, *each) == {"plain": "2", "updater": "1", "unscoped": "1"}


async def test_another_image_may_be_followed_than_the_compose_files_and_compose_agrees(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    label = "com.centurylinklabs.zodiac.original-image"
    compose.write(services(web=one(push("1"), labels={label: push("2", "web-next").reference})))
    compose.up()
    async with agent_here(tmp_path / "state") as here:
        for version in ("2", "3"):
            release = push(version, "web-next")
            await here.look()
            container = compose.container("web")
            assert (container["Image"], container["Config"]["Image"]) == (release.image_id, release.reference)
            assert compose.changes() == []


async def test_monitored_and_disabled_containers_are_not_touched_and_no_pull_takes_the_engines_tag(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    image = push("1")
    each: dict[str, Any] = {
        "monitored": one(image, labels=watch(monitor_only="true")),
        "disabled": one(image),
        "local": one(image, labels=watch(no_pull="true")),
    }
    compose.write(services(**each))
    compose.up()
    push("2")
    off = {"WATCHTOWER_DISABLE_CONTAINERS": f"{compose.project}-disabled-1"}
    async with agent_here(tmp_path / "state", **off) as here:
        actions = {service: told.action for service, told in (await here.decided(compose.project)).items()}
        assert actions == {"monitored": "monitor", "disabled": "none", "local": "none"}
        assert versions(compose, *each) == dict.fromkeys(each, "1")
        docker("pull", "--quiet", image.reference)
        await here.look()
    assert versions(compose, *each) == {"monitored": "1", "disabled": "1", "local": "2"}


@pytest.mark.parametrize(("revive", "runs"), [({}, False), ({"WATCHTOWER_REVIVE_STOPPED": "true"}, True)])
async def test_a_stopped_container_is_made_anew_and_started_only_where_that_is_asked_for(
    compose: Compose, push: Push, tmp_path: Path, revive: dict[str, str], runs: bool
) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    compose.run("stop", "-t", "1")
    new = push("2")
    async with agent_here(tmp_path / "without") as here:
        assert (await here.look()).tally.scanned == 0
    async with agent_here(tmp_path / "state", WATCHTOWER_INCLUDE_STOPPED="true", **revive) as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    assert (image_of(compose, "web"), running(compose, "web")) == (new.image_id, runs)


def waits_for_its_next_start(compose: Compose) -> bool:
    web = compose.container("web")
    return bool(web["State"]["Restarting"]) and web["RestartCount"] > 4


@pytest.mark.parametrize(
    ("strategy", "labels"), [("start-first", {}), ("stop-first", {"tidegate.strategy": "stop-first"})]
)
async def test_a_container_that_keeps_ending_is_replaced_although_the_engine_starts_it_again_meanwhile(
    compose: Compose, push: Push, tmp_path: Path, strategy: str, labels: dict[str, str]
) -> None:
    ending = push("1", env={"EXIT": "1"})
    compose.write(services(web=one(ending, restart="always", labels=labels)))
    compose.up()
    wait_for(lambda: waits_for_its_next_start(compose), "the engine's pause before the next start has become seconds")
    new = push("2")
    settings = {"WATCHTOWER_INCLUDE_RESTARTING": "true", "TIDEGATE_SETTLE": "4s"}
    async with agent_here(tmp_path / "state", **settings) as here:
        await here.look()
        assert (here.last()["outcome"], here.last()["strategy"]) == ("committed", strategy), here.last()
    assert (image_of(compose, "web"), running(compose, "web"), compose.changes()) == (new.image_id, True, [])


async def test_the_stop_signal_label_and_the_timeout_are_used(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write(services(web=one(push("1", env={"IGNORE_TERM": "1"}), labels=watch(stop_signal="SIGHUP"))))
    compose.up()
    old = compose.container("web")["Id"]
    push("2")
    seen: list[Event] = []
    async with agent_here(tmp_path / "state", WATCHTOWER_TIMEOUT="1s") as here:
        with here.parts.hub.listening(seen.append):
            await here.look()
            assert here.outcomes() == ["committed"]
            await until(lambda: any(one.action == "rename" for one in seen), "the last event of the update")
    asked, killed = (one for one in seen if one.action == "kill" and one.id == old)
    assert [one.attributes["signal"] for one in (asked, killed)] == ["1", "9"]
    assert 0.9 < (killed.time_ns - asked.time_ns) / 1e9 < 9  # the engine's own grace is 10 s


async def test_positional_names_are_exact_or_match_as_a_whole(compose: Compose, push: Push, tmp_path: Path) -> None:
    image = push("1")
    named = {
        "ball": one(image, container_name=f"{compose.project}-balloon"),
        "long": one(image, container_name=f"{compose.project}-balloonish"),
    }
    compose.write(services(**named))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state", f"{compose.project}-ba(b|ll)oon") as here:
        await here.look()
    assert versions(compose, *named) == {"ball": "2", "long": "1"}


API = {
    "WATCHTOWER_HTTP_API_UPDATE": "true",
    "WATCHTOWER_HTTP_API_TOKEN": "s3cret",
    "TIDEGATE_HTTP_LISTEN": "127.0.0.1:0",
    "WATCHTOWER_POLL_INTERVAL": "1",
}


async def test_an_agent_that_serves_the_update_api_looks_only_when_it_is_asked_to(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    compose.write(services(web=one(old)))
    compose.up()
    new = push("2")
    async with agent_here(tmp_path / "state", **API) as here, at_work(here) as agent:
        await until(lambda: agent._api is not None and agent._api.port, "the API is served")
        await in_thread(compose.run, "restart", "-t", "0")
        await asyncio.sleep(4)
        assert (agent.metrics.scans_total, image_of(compose, "web")) == (0, old.image_id)
        assert agent._api is not None
        update, token = f"http://127.0.0.1:{agent._api.port}/v1/update", {"Authorization": "Bearer s3cret"}
        async with aiohttp.ClientSession() as session, session.post(update, headers=token) as answer:
            assert answer.status == 200
        assert (agent.metrics.scans_total, image_of(compose, "web")) == (1, new.image_id)


async def test_an_agent_that_serves_the_update_api_polls_as_well_where_that_is_asked_for(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    polls = {**API, "WATCHTOWER_HTTP_API_PERIODIC_POLLS": "true"}
    async with agent_here(tmp_path / "state", **polls) as here, at_work(here):
        new = await in_thread(push, "2")
        await until(lambda: here.outcomes() == ["committed"], "the release is found without being asked for")
        assert image_of(compose, "web") == new.image_id
