"""The disk of the state folder fills up in the middle of an update: no service stays down for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.absent import need_root
from tests.support.agent import AgentHere, agent_here, tidegate
from tests.support.compose import Compose
from tests.support.daemon import mounted
from tests.support.features import one, services
from tests.support.images import Pushed
from tests.support.kills import Before, agent_killed_at, assert_at_rest
from tests.support.waiting import get_json, wait_for

STOP_FIRST = {"tidegate.strategy": "stop-first"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a small disk."""
    need_root("a disk is mounted")
    state = tmp_path / "state"
    state.mkdir()
    with mounted(state, 2):
        yield state


@pytest.fixture
def web(compose: Compose, push: Push) -> tuple[Before, Pushed, Pushed]:
    """A service at version 1 with version 2 on its channel: as it runs, and both."""
    old = push("1")
    compose.write(services(web=one(old, ports=["8000"], labels=STOP_FIRST, restart="unless-stopped")))
    compose.up()
    return Before.of(compose, "web"), old, push("2")


def fill(state: Path, *, reserve: bool = False) -> None:
    """Leave no room; nor what was put by, where somebody else's `reserve` is gone too."""
    if reserve:
        (state / "journal" / "reserve").unlink()
    for journal in (state / "journal").glob("*.jsonl"):
        with journal.open("ab") as file:  # blank lines, up to the end of what the disk has given it already
            file.write(b"\n" * (-journal.stat().st_size % os.sysconf("SC_PAGE_SIZE")))
    with (state / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(4096))


def when_written(agent: AgentHere, step: str, act: Callable[[], None]) -> None:
    """Do something as soon as a step's record is on disk, before it is taken."""
    append = agent.parts.state.journal.append

    def write(txid: str, record: Mapping[str, Any]) -> None:
        append(txid, record)
        if record.get("doing") == step:
            act()

    agent.parts.state.journal.append = write  # type: ignore[method-assign]


def served(compose: Compose) -> str:
    return str(wait_for(lambda: get_json(compose.address("web")), "the service answers")["version"])


async def test_an_update_goes_on_with_the_room_that_was_put_by(
    compose: Compose, small: Path, web: tuple[Before, Pushed, Pushed]
) -> None:
    before, _, new = web
    async with agent_here(small) as agent:
        when_written(agent, "stop", lambda: fill(small))
        await agent.look()
    assert served(compose) == "2"
    (small / "filler").unlink()
    async with agent_here(small) as agent:
        await agent.agent.recover()
    assert_at_rest(compose, small, before, new)


@pytest.mark.parametrize("step", ["stop", "start", "remove"])
async def test_without_any_room_the_service_comes_back_and_the_rest_is_noted_later(
    compose: Compose, small: Path, web: tuple[Before, Pushed, Pushed], step: str
) -> None:
    before, old, new = web
    async with agent_here(small) as agent:
        when_written(agent, step, lambda: fill(small, reserve=True))
        await agent.look()
    assert served(compose) == ("2" if step == "remove" else "1")
    (small / "filler").unlink()
    async with agent_here(small) as agent:
        await agent.agent.recover()
        assert_at_rest(compose, small, before, old, new)
        await agent.look()
    assert_at_rest(compose, small, before, new)


def test_an_agent_that_starts_on_a_full_disk_brings_a_service_back_before_it_refuses(
    compose: Compose, small: Path, web: tuple[Before, Pushed, Pushed]
) -> None:
    agent_killed_at("in:step:start", small)
    assert not [one for one in compose.containers("web") if one["State"]["Running"]]
    fill(small, reserve=True)
    done = tidegate(small, "agent", "run", "--run-once", check=False)
    assert (done.returncode, "disk is full" in done.stderr) == (1, True)
    assert served(compose) in {"1", "2"}
    (small / "filler").unlink()
    tidegate(small, "agent", "run", "--run-once")
    before, _, new = web
    assert_at_rest(compose, small, before, new)
