"""What a container that failed wrote last is kept, without secrets, though the container is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here, in_thread, tidegate
from tests.support.compose import Compose
from tests.support.fake_manager import FakeManager, fake_manager
from tests.support.features import one, services
from tests.support.images import HEALTHCHECK, Pushed
from tests.support.kills import agent_killed_at
from tests.support.managed import Fleet

PASSWORD = "hunter2-and-more"
SAYS = "echo it begins; echo cannot log in with $DB_PASSWORD as postgres://app:$DB_PASSWORD@db/app >&2; "
SAID = ["it begins", "cannot log in with *** as postgres://***@db/app"]
LONG = pytest.mark.long
PRE_UPDATE = "tidegate.hook.pre-update"
STOP_FIRST = {"tidegate.strategy": "stop-first"}
BAKES = {"tidegate.bake": "20s"}


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as it:
        yield it


def saying(push: Push, then: str, **more: Any) -> Pushed:
    """A release that says something of a password, and then does this in its shell."""
    return push("2", Entrypoint=["/bin/sh", "-c", SAYS + then], Cmd=[], **more)


def up(compose: Compose, push: Push, **more: Any) -> None:
    """A service that has a password, at version 1."""
    first = push("1", healthcheck=True)
    compose.write(services(web=one(first, environment={"DB_PASSWORD": PASSWORD}, **more)))
    compose.up("--wait")


def nowhere(state: Path) -> bool:
    """Whether the password is in nothing that the agent has written."""
    files = [path for path in state.rglob("*") if path.is_file()]
    assert any(b"it begins" in path.read_bytes() for path in files)
    # the saved create request is what a rollback is made of, and has all that the container was given
    return not any(PASSWORD.encode() in path.read_bytes() for path in files if path.name.startswith("history"))


@pytest.mark.parametrize("labels", [{}, pytest.param(STOP_FIRST, marks=LONG)], ids=["start-first", "stop-first"])
async def test_it_is_in_the_history_and_the_command_shows_it(
    compose: Compose, push: Push, tmp_path: Path, labels: dict[str, str]
) -> None:
    up(compose, push, labels=labels)
    saying(push, "exit 3")
    state = tmp_path / "state"
    async with agent_here(state) as here:
        await here.look()
        record = here.last()
        assert (record["outcome"], sorted(record["output"].splitlines())) == ("rolled-back", sorted(SAID))
        assert nowhere(state)
        plain = await in_thread(lambda: tidegate(state, "agent", "history"))
        shown = await in_thread(lambda: tidegate(state, "agent", "history", "--output"))
    assert SAID[0] not in plain.stdout
    assert all(f"  {line}\n" in shown.stdout for line in SAID)


@LONG
async def test_what_fails_only_while_it_serves_has_it_too(compose: Compose, push: Push, tmp_path: Path) -> None:
    up(compose, push, labels=BAKES)
    saying(push, "exec /app serve", env={"SICK_AFTER_S": "3"}, healthcheck=True)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        record = here.last()
    assert (record["outcome"], set(SAID) < set(record["output"].splitlines())) == ("rolled-back", True)


@pytest.mark.parametrize("labels", [{}, pytest.param(STOP_FIRST, marks=LONG)], ids=["start-first", "stop-first"])
@pytest.mark.parametrize("point", ["in:verdict", pytest.param("at:settling", marks=LONG)])
async def test_a_kill_after_the_verdict_does_not_lose_it(
    compose: Compose, push: Push, tmp_path: Path, point: str, labels: dict[str, str]
) -> None:
    up(compose, push, labels=labels)
    saying(push, "exit 3")
    agent_killed_at(point, tmp_path / "state")
    async with agent_here(tmp_path / "state") as here:
        await here.agent.recover()
        record = here.last()
    assert (record["outcome"], sorted(record["output"].splitlines())) == ("rolled-back", sorted(SAID))


@LONG
async def test_none_is_kept_where_none_is_wanted_or_nothing_failed(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    up(compose, push)
    saying(push, "exit 3")
    async with agent_here(tmp_path / "state", TIDEGATE_FAILED_OUTPUT="0") as here:
        await here.look()
        assert (here.last()["outcome"], "output" in here.last()) == ("rolled-back", False)
    push("3", healthcheck=True)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert (here.last()["outcome"], "output" in here.last()) == ("committed", False)


async def test_the_manager_is_told_it(manager: FakeManager, compose: Compose, push: Push, tmp_path: Path) -> None:
    fleet = await Fleet.of(manager, compose)
    up(compose, push)
    bad = saying(push, "exit 3")
    async with fleet.at_work(tmp_path / "state"):
        await fleet.until(fleet.inventory)
        await fleet.assign(bad)
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
    assert sorted(fleet.last()["output"].splitlines()) == sorted(SAID)


@LONG
@pytest.mark.parametrize("by", ["check", "probe", "hook"])
async def test_what_a_check_prints_is_a_reason_without_secrets(
    compose: Compose, push: Push, tmp_path: Path, by: str
) -> None:
    prints, bad = "echo no $DB_PASSWORD; exit 1", {**HEALTHCHECK, "Retries": 1}
    label = prints.replace("$", "$$")  # Compose has a meaning of its own for one
    kinds = {"probe": {"tidegate.probe.exec": label, "tidegate.health-timeout": "3s"}, "hook": {PRE_UPDATE: label}}
    up(compose, push, labels=kinds.get(by, {}))
    push("2", healthcheck=bad | {"Test": ["CMD-SHELL", prints]} if by == "check" else True)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        record = here.last()
    assert ("no ***" in record["reason"], PASSWORD in record["reason"]) == (True, False)
