"""Restarts of dependants, also after a kill: what a person has stopped stays stopped, and nothing is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tidegate.agent.restarts import Restart, Restarts, stopped_by_somebody
from tidegate.engine import parse
from tidegate.engine.model import Container, Event

ALWAYS = {"Name": "always", "MaximumRetryCount": 0}
NEVER = {"Name": "no", "MaximumRetryCount": 0}
RESTART = Restart("web", "shop-web-1", "then", None, None, ALWAYS, 5)


def event(action: str, signal: str = "", container: str = "web") -> Event:
    return Event("container", action, container, {"signal": signal} if signal else {}, 7)


TERM, KILL, STOP = event("kill", "15"), event("kill", "9"), event("stop")


@pytest.mark.parametrize(
    ("events", "stops", "theirs"),
    [
        ([], 0, False),
        ([TERM, STOP], 1, False),
        ([TERM, KILL, STOP], 1, False),
        ([TERM, TERM, STOP], 2, False),
        ([TERM, STOP], 0, True),
        ([TERM, TERM, STOP, STOP], 1, True),
        ([TERM, TERM, event("die")], 1, True),
        ([KILL], 0, True),
        ([event("kill", "1")], 0, False),
        ([event("kill", "28"), STOP], 0, True),
        ([event("kill", "15", "db"), event("die")], 0, False),
    ],
)
def test_what_a_stop_of_ours_does_not_explain_is_somebody_s_doing(
    events: list[Event], stops: int, *, theirs: bool
) -> None:
    assert stopped_by_somebody(events, "web", stops) is theirs


class Engine:
    """Has one container; writes down what it is told to do."""

    def __init__(self, *, running: bool, policy: Mapping[str, Any]) -> None:
        self.running, self.policy = running, policy
        self.told: list[str] = []

    async def container(self, _: str) -> Container:
        state = {"Status": "running" if self.running else "exited", "Running": self.running, "StartedAt": "then"}
        host = {"RestartPolicy": self.policy}
        return parse.container({"Id": "web", "Name": "/w", "Config": {}, "State": state, "HostConfig": host})

    async def stop(self, *_: Any, **__: Any) -> None:
        self.running = False
        self.told.append("stop")

    async def start(self, _: str) -> None:
        self.told.append("start")

    async def set_restart_policy(self, _: str, policy: Mapping[str, Any]) -> None:
        self.told.append(f"restart {policy['Name']}")


class Journal:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    def append(self, _: str, record: Mapping[str, Any]) -> None:
        self.kinds.append(record["kind"])

    def close(self, _: str) -> None:
        self.kinds.append("closed")


async def finished(engine: Engine, *events: Event, signal: str | None = None, stops: int = 0) -> list[str]:
    async def past(_: int) -> list[Event]:
        return list(events)

    journal = Journal()
    restarts = Restarts(engine, journal, past)  # type: ignore[arg-type]
    await restarts.finish("tx", Restart("web", "shop-web-1", "then", signal, None, ALWAYS, 5), stops)
    assert journal.kinds[-1] == "closed"
    return engine.told


async def test_what_runs_is_stopped_and_started_again() -> None:
    assert await finished(Engine(running=True, policy=ALWAYS), TERM, STOP) == ["stop", "start"]


async def test_what_a_person_stops_in_the_same_moment_stays_stopped() -> None:
    assert await finished(Engine(running=True, policy=ALWAYS), TERM, TERM, STOP, STOP) == ["stop"]


async def test_what_a_person_stopped_after_the_agent_was_killed_stays_stopped() -> None:
    assert await finished(Engine(running=False, policy=ALWAYS), TERM, STOP) == []


async def test_what_the_agent_had_stopped_when_it_was_killed_is_started() -> None:
    assert await finished(Engine(running=False, policy=ALWAYS), TERM, STOP, stops=1) == ["start"]


@pytest.mark.parametrize("events", [(TERM, STOP), ()])
async def test_a_restart_policy_that_the_kill_left_away_is_put_back(events: tuple[Event, ...]) -> None:
    told = await finished(Engine(running=False, policy=NEVER), *events, signal="SIGQUIT")
    assert told[0] == "restart always"


async def test_a_restart_policy_that_the_agent_does_not_touch_stays_as_it_is() -> None:
    assert await finished(Engine(running=False, policy=NEVER), stops=1) == ["start"]


async def test_what_ended_before_the_agent_stopped_it_is_left_as_it_is_though_nobody_remembers_why() -> None:
    assert await finished(Engine(running=False, policy=ALWAYS)) == []


def test_a_restart_of_an_earlier_version_can_be_read() -> None:
    record = {"kind": "restart", "container": "c", "name": "n", "started_at": "t", "signal": None, "timeout_s": None}
    assert Restart.from_record(record) == Restart("c", "n", "t", None, None)
