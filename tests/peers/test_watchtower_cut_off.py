"""An update by Watchtower, when that, the agent or the registry falls silent, or a person acts meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.agent import AgentHere, in_thread
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import image_of, running
from tests.support.images import HEALTHCHECK
from tests.support.watchtower_cluster import Cluster, free_port, rehearsals

from tidegate.engine.errors import PullError

AT_FIRST = ("in:begin", "amid:begin")
UNHEARD = [["committed"], ["interrupted", "committed"]]
"""Where Watchtower had not heard of it yet, it is decided anew."""
GOOD = ("in:begin", "amid:begin", "at:made", "in:made", "in:replaced", "in:bake", "at:end", "in:end")
BAD = (
    "in:begin",
    "at:made",
    "in:replaced",
    "in:verdict",
    "in:reverse",
    "in:step:create@0-back",
    "at:reversed",
    "in:end",
)


@pytest.mark.parametrize("point", GOOD)
async def test_an_agent_that_is_killed_while_watchtower_is_at_it_proves_what_it_made(
    cluster: Cluster, tmp_path: Path, point: str
) -> None:
    cluster.up()
    new = cluster.release("2")
    await cluster.killed_at(point, tmp_path / "state", new)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["healthy"])
        assert here.parts.state.journal.open_transactions() == []
        assert here.outcomes() in ([["committed"]] if point not in AT_FIRST else UNHEARD)
    assert fleet.told() == ["begun", "healthy"]
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (new.image_id, True)


async def test_an_agent_that_is_killed_in_a_rehearsal_leaves_none_of_it(cluster: Cluster, tmp_path: Path) -> None:
    old = cluster.up()
    new = cluster.release("2")
    await cluster.killed_at("in:rehearsed", tmp_path / "state", new)
    assert rehearsals(cluster.compose) == ["created"]
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
        assert here.outcomes() == ["interrupted", "committed"]
    assert rehearsals(cluster.compose) == []
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (new.image_id, True)


@pytest.mark.parametrize("point", BAD)
async def test_an_agent_that_is_killed_then_puts_a_sick_release_back_all_the_same(
    cluster: Cluster, tmp_path: Path, point: str
) -> None:
    old = cluster.up()
    bad = cluster.release("2", env={"SICK": "1"})
    await cluster.killed_at(point, tmp_path / "state", bad)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["failed"])
        assert here.parts.state.journal.open_transactions() == []
        assert fleet.last()["blame"] is True
    assert fleet.told() == ["begun", "failed"]
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (old.image_id, old.pinned)
    assert running(cluster.compose, "web")


@pytest.mark.parametrize("point", ["begin", "replaced"])
async def test_an_agent_that_is_told_to_stop_while_watchtower_is_at_it_proves_it_when_it_is_back(
    cluster: Cluster, tmp_path: Path, point: str
) -> None:
    cluster.up()
    new = cluster.release("2")
    await cluster.told_to_stop_at(point, tmp_path / "state", new)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["healthy"])
        assert here.outcomes()[-1] == "committed"
    assert fleet.told() == ["begun", "healthy"]
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (new.image_id, True)


async def test_a_release_that_was_found_broken_goes_back_though_nobody_would_find_it_so_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Its health stays undecided for as long as its start period lasts, which a second watch takes for no fault."""
    old = cluster.up()
    slow = {**HEALTHCHECK, "StartPeriod": 3600 * 10**9}
    bad = cluster.push("2", healthcheck=slow, env={"SICK": "1"})
    await cluster.killed_at("in:verdict", tmp_path / "state", bad, TIDEGATE_HEALTH_TIMEOUT="2s")
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert fleet.last()["blame"] is True
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)


async def test_after_a_kill_nothing_comes_that_was_not_assigned(cluster: Cluster, tmp_path: Path) -> None:
    """Watchtower would bring what its tag names by then."""
    cluster.up()
    new = cluster.release("2")
    await cluster.killed_at("in:replaced", tmp_path / "state", new)
    cluster.release("3")
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (new.image_id, True)


async def test_after_a_start_of_the_host_watchtower_may_come_later_than_the_agent(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.port = free_port()
    cluster.up()
    new = cluster.release("2")
    await cluster.killed_at("in:begin", tmp_path / "state", new)
    container = cluster.compose.container("web")["Id"]
    docker("kill", "--signal", "KILL", container)  # as it is when the host has gone down amid Watchtower's work
    settings = cluster.settings
    cluster.compose.run("stop", "watchtower")
    fleet = cluster.fleet
    async with fleet.at_work(tmp_path / "state", **settings):
        await asyncio.sleep(2)
        cluster.compose.run("start", "watchtower")
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (new.image_id, True)


async def test_a_service_that_a_dying_watchtower_has_stopped_is_started_again(cluster: Cluster, tmp_path: Path) -> None:
    old = cluster.up(more={"environment": {"IGNORE_TERM": "1"}})
    fleet = cluster.fleet
    web = cluster.compose.container("web")["Id"]
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        dying = asyncio.create_task(in_thread(_dies_amid_a_stop, cluster.compose, web, time.time()))
        await asyncio.sleep(0)
        await fleet.assign(cluster.release("2"))
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        await dying
        assert "was started again" in fleet.last()["reason"]
        assert (fleet.last()["blame"], here.outcomes()) == (False, ["failed"])
        assert here.parts.state.quarantine.list() == []
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)


async def test_what_a_dying_watchtower_made_and_never_started_goes_back_without_blame(
    cluster: Cluster, tmp_path: Path
) -> None:
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        new = cluster.release("2")

        async def and_dies(_: Any) -> None:
            docker("pull", "--quiet", new.reference)
            docker("rm", "-f", cluster.compose.container("web")["Id"])
            cluster.compose.run("create", "web")

        here.parts.watchtower.delegated._client.update = and_dies
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert "did not start it" in fleet.last()["reason"]
        assert (fleet.last()["blame"], here.parts.state.quarantine.list()) == (False, [])
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)


@pytest.mark.parametrize(("sick", "ends"), [("", ["begun", "healthy"]), ("1", ["begun", "failed"])])
async def test_a_registry_that_is_away_keeps_nobody_from_the_verdict(
    cluster: Cluster, tmp_path: Path, sick: str, ends: list[str]
) -> None:
    """Watchtower's cleanup has removed what ran before; only the way back needs it, and waits for it."""
    cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        delegated = here.parts.watchtower.delegated
        really, wanted = delegated._bring_back, 0

        async def away_until_it_is_wanted_twice(reference: str, digest: str) -> None:
            nonlocal wanted
            wanted += _noted(here, "verdict")
            if wanted <= 1:
                raise PullError("the registry is away")
            await really(reference, digest)

        delegated._bring_back = away_until_it_is_wanted_twice
        new = cluster.release("2", env={"SICK": sick} if sick else {})
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ends)
        assert (fleet.last().get("blame") is True) is bool(sick)
        assert here.parts.state.journal.open_transactions() == []
    assert running(cluster.compose, "web")
    assert (image_of(cluster.compose, "web") == new.image_id) is not bool(sick)


async def test_what_a_person_did_while_the_agent_was_away_stands(cluster: Cluster, tmp_path: Path) -> None:
    old = cluster.up()
    new = cluster.release("2")
    await cluster.killed_at("in:begin", tmp_path / "state", new)
    document = json.loads(cluster.compose.file.read_text(encoding="utf-8"))
    document["services"]["web"]["environment"] = {"COLOUR": "blue"}
    cluster.compose.write(document)
    cluster.compose.up("--no-deps", "web")
    made = cluster.compose.container("web")["Id"]
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told() == ["begun", "inconclusive"])
        assert here.outcomes() == ["gave-way"]
    assert (cluster.compose.container("web")["Id"], image_of(cluster.compose, "web")) == (made, old.image_id)


async def test_what_a_person_took_away_meanwhile_stays_away(cluster: Cluster, tmp_path: Path) -> None:
    cluster.up()
    new = cluster.release("2")
    await cluster.killed_at("in:begin", tmp_path / "state", new)
    cluster.compose.run("rm", "--stop", "--force", "web")
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told() == ["begun", "inconclusive"])
        assert here.outcomes() == ["gave-way"]
    assert cluster.compose.containers("web") == []


async def test_what_watchtower_lost_is_made_anew_also_where_it_is_the_updater_no_more(
    cluster: Cluster, tmp_path: Path
) -> None:
    old = cluster.up()
    new = cluster.release("2")
    await cluster.killed_at("in:begin", tmp_path / "state", new)
    docker("rm", "-f", cluster.compose.container("web")["Id"])
    fleet = cluster.fleet
    async with fleet.at_work(tmp_path / "state", WATCHTOWER_LABEL_ENABLE="true", WATCHTOWER_SCOPE=cluster.scope):
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)


async def test_one_of_several_that_a_person_stops_sends_all_of_them_back_without_blame(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Each is proved in its turn; what happens to the second while the first is proved is no verdict."""
    old = cluster.up(more={"deploy": {"replicas": 2}})
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        slow = {**HEALTHCHECK, "StartPeriod": 60 * 10**9}
        new = cluster.push("2", healthcheck=slow, env={"BOOT_S": "10"})
        await fleet.assign(new)
        await fleet.until(lambda: _images(cluster) == {new.image_id} and _noted(here, "replaced") == 2)
        journal = here.parts.state.journal.peek()[0]
        second = [row for row in journal.records if row["kind"] == "made"][1]["candidate"]
        docker("stop", "--time", "1", second)
        await fleet.until(lambda: fleet.told() == ["begun", "inconclusive"], limit_s=240)
        assert (here.outcomes()[-1], here.parts.state.quarantine.list()) == ("gave-way", [])
    assert _images(cluster) == {old.image_id}
    assert sorted(one["State"]["Running"] for one in cluster.compose.containers("web")) == [False, True]


def _images(cluster: Cluster) -> set[str]:
    return {str(one["Image"]) for one in cluster.compose.containers("web")}


def _noted(here: AgentHere, kind: str) -> int:
    return sum(row["kind"] == kind for journal in here.parts.state.journal.peek() for row in journal.records)


def _dies_amid_a_stop(compose: Compose, container: str, since: float) -> None:
    """Watchtower dies when it has told a container to end, after a moment, and that has ended."""
    process = compose.container("watchtower")["State"]["Pid"]
    words = ["docker", "events", "--filter", f"container={container}", "--filter", "event=kill"]
    words += ["--since", f"{since:.9f}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as events:
        assert events.stdout is not None
        assert events.stdout.readline()
        events.terminate()
    os.kill(process, signal.SIGSTOP)  # it looks once a second whether the container has ended
    docker("kill", "--signal", "KILL", container)
    os.kill(process, signal.SIGKILL)
