"""What counts as healthy: Docker's health check, a probe label, or running on for the settle time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.dying import ends_at
from tests.support.images import HEALTHCHECK

HTTP = {"tidegate.probe.http": ":8000/healthz"}
TCP = {"tidegate.probe.tcp": ":8000"}
EXEC = {"tidegate.probe.exec": "/app health"}
LONG = pytest.mark.long
SOON = {"tidegate.health-timeout": "3s"}
PATIENT_CHECK = {**HEALTHCHECK, "Retries": 1, "StartPeriod": 5_000_000_000}


async def outcome(compose: Compose, push: Push, state: Path, labels: dict[str, str], release: dict[str, Any]) -> str:
    """Update a service with these labels to this release; how it ended. What serves then is checked here."""
    first = push("1")
    compose.write({"services": {"web": {"image": first.reference, "labels": {"tidegate.cut": "fast", **labels}}}})
    compose.up()
    before = compose.container("web")["Id"]
    second = push("2", **release)
    async with agent_here(state) as agent:
        await agent.look()
        ending = str(agent.last()["outcome"])
        quarantined = [entry.digest for entry in agent.parts.state.quarantine.list()]
        await agent.collect()
    after = compose.container("web")
    assert after["State"]["Running"]
    assert after["Image"] == (second if ending == "committed" else first).image_id
    assert (after["Id"] == before) == (ending != "committed")
    assert quarantined == ([second.digest] if ending == "rolled-back" else [])
    return ending


@pytest.mark.parametrize(
    ("labels", "release"),
    [
        pytest.param(HTTP, {}, marks=LONG),
        (HTTP, {"env": {"BOOT_S": "1.5"}}),
        (TCP, {"env": {"BOOT_S": "1"}}),
        (EXEC, {}),
        pytest.param({}, {}, marks=LONG),
        ({}, {"env": {"BOOT_S": "2"}, "healthcheck": PATIENT_CHECK}),
        pytest.param(HTTP, {"healthcheck": True}, marks=LONG),
    ],
)
async def test_a_release_that_is_well_is_kept(
    compose: Compose, push: Push, tmp_path: Path, labels: dict[str, str], release: dict[str, Any]
) -> None:
    assert await outcome(compose, push, tmp_path / "state", labels, release) == "committed"


@pytest.mark.parametrize(
    ("labels", "release"),
    [
        pytest.param(HTTP | SOON, {"env": {"SICK": "1"}}, marks=LONG),
        (HTTP | SOON, {"env": {"SICK": "1"}, "healthcheck": {**HEALTHCHECK, "Test": ["CMD", "true"]}}),
        pytest.param({"tidegate.probe.tcp": ":9"} | SOON, {}, marks=LONG),
        pytest.param(EXEC | SOON, {"env": {"SICK": "1"}}, marks=LONG),
        ({"tidegate.settle": "2s"}, {"env": {"EXIT": "0", "EXIT_AFTER_S": "1"}}),
        pytest.param(HTTP, {"env": {"EXIT": "1", "EXIT_AFTER_S": "0.2"}}, marks=LONG),
        ({}, {"env": {"SICK": "1"}, "healthcheck": {**HEALTHCHECK, "Retries": 1}}),
        (SOON, {"env": {"BOOT_S": "60"}, "healthcheck": {**HEALTHCHECK, "StartPeriod": 60_000_000_000}}),
    ],
)
async def test_a_release_that_is_not_well_is_not(
    compose: Compose, push: Push, tmp_path: Path, labels: dict[str, str], release: dict[str, Any]
) -> None:
    assert await outcome(compose, push, tmp_path / "state", labels, release) == "rolled-back"


async def test_a_compose_files_check_stays_where_the_image_had_the_same_and_has_none_now(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    check = {"test": ["CMD", "/app", "health"], "interval": "0.3s", "timeout": "1s", "retries": 2}
    service = {"labels": {"tidegate.cut": "fast"}, "healthcheck": check}
    first = push("1", healthcheck=HEALTHCHECK)
    compose.write({"services": {"web": {"image": first.reference, **service}}})
    compose.up()
    push("2", env={"SICK": "1"})
    async with agent_here(tmp_path / "state") as agent:
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back"
        await agent.collect()
    assert compose.container("web")["Image"] == first.image_id


async def test_a_probe_that_cannot_be_run_says_nothing_about_the_release(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    labels = {"tidegate.probe.exec": "/not-there"} | SOON
    assert await outcome(compose, push, tmp_path / "state", labels, {}) == "inconclusive"


async def test_a_release_that_restarts_once_it_serves_is_put_back(compose: Compose, push: Push, tmp_path: Path) -> None:
    first = push("1")
    compose.write({"services": {"web": {"image": first.reference, "restart": "always"}}})
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="6s") as agent:
        ends_at(agent, "bake", f"{compose.project}-web-1")
        await agent.look()
        assert agent.last()["outcome"] == "rolled-back", agent.last()
        await agent.collect()
    after = compose.container("web")
    assert (after["Image"], after["State"]["Running"]) == (first.image_id, True)
    assert after["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert compose.changes() == []


async def test_a_restart_while_others_of_the_same_transaction_were_on_their_way_is_held_against_the_release(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    group = {"tidegate.group": "both", "tidegate.bake": "1s"}
    first = {"image": push("1", "first").reference, "restart": "always", "labels": group}
    slow = {**first, "image": push("1", "slow").reference, "labels": {**group, "tidegate.settle": "6s"}}
    compose.write({"services": {"first": first, "slow": {**slow, "depends_on": ["first"]}}})
    compose.up()
    push("2", "first")
    push("2", "slow")
    async with agent_here(tmp_path / "state") as agent:
        ends_at(agent, "replaced", f"{compose.project}-first-1")
        await agent.look()
        told = {
            record["service"]: (record["outcome"], record["reason"]) for record in agent.parts.state.history.tail(9)
        }
    reason = f"{compose.project}-first-1: it restarted once; its last exit code was 0"
    assert told == {"first": ("rolled-back", reason), "slow": ("rolled-back", reason)}
    assert compose.changes() == []
