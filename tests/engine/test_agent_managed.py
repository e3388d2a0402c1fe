"""An agent with a manager does what it is assigned, once, and nothing else; what it did is told, whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support import strangers
from tests.support.agent import in_thread, tidegate
from tests.support.compose import Compose
from tests.support.fake_manager import FakeManager, fake_manager
from tests.support.features import image_of, one, running, services
from tests.support.images import Pushed
from tests.support.kills import agent_killed_at
from tests.support.managed import Fleet

from tidegate.protocol import keys


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as one_:
        yield one_


@pytest.fixture
async def fleet(manager: FakeManager, compose: Compose) -> Fleet:
    return await Fleet.of(manager, compose)


def up(compose: Compose, push: Push, **labels: str) -> Pushed:
    """A service `web` that runs the first release."""
    first = push("1", healthcheck=True)
    compose.write(services(web=one(first, labels={f"tidegate.{key}": value for key, value in labels.items()})))
    compose.up()
    return first


async def test_it_enrols_tells_what_runs_and_what_is_new_and_updates_nothing_by_itself(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    old = up(fleet.compose, push)
    new = push("2", healthcheck=True)
    async with fleet.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.inventory().get("health") == "healthy")
        await fleet.until(lambda: any(event["kind"] == "sighting" for event in fleet.agent.events))
        plan = await in_thread(lambda: tidegate(tmp_path / "state", "agent", "plan", "--json", **fleet.environ))
        assert here.outcomes() == []
    known = fleet.inventory()
    assert (known["digest"], known["state"], known["containers"], known["tag"]) == (old.digest, "running", 1, "latest")
    assert (known["platform"][:6], known["strategy"], known["held"]) == ("linux/", "start-first", False)
    name = fleet.compose.container("web")["Name"].lstrip("/")
    assert known["members"] == [{"name": name, "state": "running", "health": "healthy", "digest": old.digest}]
    kinds = [event["kind"] for event in fleet.agent.events]
    assert kinds.index("inventory") < kinds.index("sighting")  # else the manager cannot know that it is followed
    digests = {event["digest"] for event in fleet.agent.events if event["kind"] == "sighting"}
    assert digests == {new.digest}
    assert image_of(fleet.compose, "web") == old.image_id
    (row,) = [row for row in json.loads(plan.stdout) if row["cluster"] == fleet.compose.project]
    assert (row["action"], "it is for the manager to say" in row["reason"]) == ("skip", True)


async def test_it_moves_to_a_release_it_was_assigned_and_back_and_tells_so(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    old = up(fleet.compose, push, window=closed_now())
    new = push("2", healthcheck=True)
    async with fleet.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        await fleet.assign(new, forced=True)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
        assert image_of(fleet.compose, "web") == new.image_id
        assert fleet.last()["duration_s"] > 0
        steps = [one["step"] for one in fleet.last()["steps"]]
        assert (steps.count("prove"), steps[-1]) == (1, "bake")
        assert sum(one["took_s"] for one in fleet.last()["steps"]) <= fleet.last()["duration_s"]
        assert [one["step"] for one in here.last()["steps"]] == steps
        assert "\ntidegate_manager_connected 1\n" in here.parts.metrics.exposition()
        await fleet.until(lambda: fleet.inventory().get("digest") == new.digest)
        await fleet.assign(old, generation=2, back=True)
        await fleet.until(lambda: fleet.told(generation=2) == ["begun", "healthy"])
        await fleet.until(lambda: fleet.inventory().get("digest") == old.digest)
    assert (image_of(fleet.compose, "web"), fleet.compose.changes()) == (old.image_id, [])


async def test_what_is_foreign_stale_unsigned_or_not_let_in_is_refused_and_touches_nothing(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    old = up(fleet.compose, push)
    new = push("2", healthcheck=True)
    other = push("2", "elsewhere", healthcheck=True)
    past = datetime.now(UTC) - timedelta(minutes=20)
    refused: list[dict[str, Any]] = [
        {"sign_with": keys.load_key(keys.make_key())},
        {"agent_id": "f" * 32},
        {"issued_at": past, "expires_at": past + timedelta(minutes=5)},
        {"repository": "docker.io/library/evil"},
        {"service": "nowhere"},
    ]
    assert other.digest != old.digest
    async with fleet.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        for number, more in enumerate(refused, 1):
            await fleet.assign(new, generation=number, **more)
        await fleet.until(lambda: [e["kind"] for e in fleet.agent.events].count("refusal") == len(refused))
        assert here.outcomes() == []
    assert image_of(fleet.compose, "web") == old.image_id
    allowed = {"TIDEGATE_ALLOW_REPOSITORIES": "ghcr.io/acme/other"}
    async with fleet.at_work(tmp_path / "state", **allowed):
        await fleet.assign(new, generation=9)
        await fleet.until(lambda: fleet.told(generation=9) == ["refusal"])
        assert "not among the repositories" in fleet.last()["reason"]
    assert image_of(fleet.compose, "web") == old.image_id


async def test_a_bad_release_is_put_back_blamed_and_may_be_assigned_again(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    old = up(fleet.compose, push)
    bad = push("2", healthcheck=True, env={"SICK": "1"})
    async with fleet.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        await fleet.assign(bad)
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert (fleet.last()["blame"], image_of(fleet.compose, "web")) == (True, old.image_id)
        held = here.parts.state.quarantine.list()
        assert [entry.digest for entry in held] == [bad.digest]
        await fleet.assign(bad, generation=2, health_timeout_s=1.0)
        await fleet.until(lambda: fleet.told(generation=2) == ["begun", "failed"])
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [bad.digest]
    assert image_of(fleet.compose, "web") == old.image_id


async def test_a_busy_target_waits_until_it_is_withdrawn_or_forced(fleet: Fleet, push: Push, tmp_path: Path) -> None:
    old = up(fleet.compose, push, **{"hook.pre-update": '[ "$$VERSION" != 1 ] || exit 75'})
    new = push("2", healthcheck=True)
    async with fleet.at_work(tmp_path / "state"):
        await fleet.until(fleet.inventory)
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["busy"])
        await fleet.manager.withdraw(fleet.agent.id, f"{fleet.compose.project}/web", 1)
        await fleet.until(lambda: fleet.told() == ["busy", "withdrawn"])
        assert image_of(fleet.compose, "web") == old.image_id
        await fleet.assign(new, generation=2, forced=True)
        await fleet.until(lambda: fleet.told(generation=2) == ["begun", "healthy"])
    assert image_of(fleet.compose, "web") == new.image_id


async def test_a_closed_window_of_the_agents_own_is_told_as_busy(fleet: Fleet, push: Push, tmp_path: Path) -> None:
    up(fleet.compose, push, window=closed_now())
    new = push("2", healthcheck=True)
    async with fleet.at_work(tmp_path / "state"):
        await fleet.until(fleet.inventory)
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["busy"])
        assert "window" in fleet.last()["reason"]


async def test_what_moves_together_is_put_back_together_and_only_the_culprit_is_blamed(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    group = {"labels": {"tidegate.group": "both"}}
    olds = {name: push("1", name, healthcheck=True) for name in ("api", "web")}
    fleet.compose.write(services(**{name: one(image, **group) for name, image in olds.items()}))
    fleet.compose.up()
    good, bad = push("2", "api", healthcheck=True), push("2", "web", healthcheck=True, env={"SICK": "1"})
    async with fleet.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        await fleet.assign(good, "api")
        await fleet.assign(bad, "web")
        await fleet.until(lambda: fleet.told("api") == fleet.told("web") == ["begun", "failed"])
        assert (fleet.last("api")["blame"], fleet.last("web")["blame"]) == (False, True)
        ends = here.parts.state.history.tail(10)
        assert len({record["transaction"] for record in ends}) == 1
    assert {name: image_of(fleet.compose, name) for name in olds} == {n: i.image_id for n, i in olds.items()}


@pytest.mark.parametrize("point", ["at:begin", "in:begin", "in:step:start", "in:step:stop", "in:bake", "at:booked"])
async def test_an_assignment_that_was_cut_off_by_a_kill_is_carried_out_and_told_once(
    fleet: Fleet, push: Push, tmp_path: Path, point: str
) -> None:
    up(fleet.compose, push)
    new = push("2", healthcheck=True)
    state = tmp_path / "state"
    doomed = asyncio.create_task(in_thread(lambda: agent_killed_at(point, state, KEEPS_RUNNING="1", **fleet.environ)))
    await fleet.until(fleet.inventory)
    await fleet.assign(new)
    await doomed
    async with fleet.at_work(state) as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["healthy"])
        await fleet.assign(new, id=fleet.last()["assignment"])  # told again, it is answered with what is known
        await fleet.until(lambda: fleet.told()[-2:] == ["healthy", "healthy"])
        assert here.parts.state.journal.open_transactions() == []
    assert fleet.told() == ["begun", "healthy", "healthy"]
    assert (image_of(fleet.compose, "web"), running(fleet.compose, "web")) == (new.image_id, True)
    assert fleet.compose.changes() == []


async def test_without_its_manager_it_goes_on_with_what_it_was_told_and_tells_it_afterwards(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    old = up(fleet.compose, push, **{"hook.pre-update": "[ -e /tmp/idle ] || exit 75"})
    new = push("2", healthcheck=True)
    state = tmp_path / "state"
    async with fleet.at_work(state):
        await fleet.until(fleet.inventory)
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["busy"])
    await fleet.manager.stop()
    await in_thread(lambda: fleet.compose.run("exec", "web", "sh", "-c", "mkdir -p /tmp; : >/tmp/idle"))
    async with fleet.at_work(state) as here:
        await fleet.until(lambda: here.outcomes()[-1:] == ["committed"], "it is carried out")
        assert image_of(fleet.compose, "web") == new.image_id
        done = await in_thread(
            lambda: tidegate(state, "agent", "rollback", f"{fleet.compose.project}/web", **fleet.environ)
        )
        assert "again" in done.stdout
        await fleet.manager.start()
        await fleet.until(lambda: fleet.told() == ["busy", "begun", "healthy"])
        await fleet.until(lambda: fleet.inventory().get("digest") == old.digest)


def closed_now() -> str:
    """An update window that opens in about half a day."""
    return f"0 {(datetime.now(UTC).hour + 12) % 24} * * * 1h UTC"


def test_an_agent_without_a_manager_loads_nothing_of_the_link(tmp_path: Path, engine_url: str) -> None:
    program = (
        "import sys, asyncio, os\n"
        "from tidegate.agent import commands\n"
        "from tidegate.agent.settings import load_settings\n"
        "asyncio.run(commands.plan(load_settings([], os.environ)))\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'cryptography'"
        " or name.startswith(('tidegate.protocol', 'tidegate.agent.link'))])\n"
    )
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    env = {**os.environ, **strangers.shielded({}), "DOCKER_HOST": engine_url, "TIDEGATE_STATE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
