"""The engine is stopped in good order in the middle of an update, and started again: that is nobody's wish to stop."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here, in_thread
from tests.support.compose import Compose
from tests.support.daemon import Daemon
from tests.support.features import at_work, until, until_committed
from tests.support.kills import SERVICES, Before, assert_at_rest

from tidegate.agent.guard import Guard

AT_ONCE, LATER = True, False
"""Whether the next engine is up before the agent looks at what has happened."""

POINTS: list[Any] = [
    ("stop-first", "prove", AT_ONCE),
    *(
        pytest.param(case, marks=pytest.mark.long)
        for case in [
            ("stop-first", "prove", LATER),
            ("swap", "prove", LATER),
            ("swap", "prove", AT_ONCE),
            ("start-first", "prove", AT_ONCE),
            ("start-first", "prove", LATER),
            ("swap", "stop", LATER),
            ("swap", "bake", AT_ONCE),
            ("swap", "bake", LATER),
        ]
    ),
]


def stop_at(agent: AgentHere, step: str, daemon: Daemon) -> threading.Thread:
    """Let the journal's record of a step stop the engine, beside the agent, as it acts."""
    append, stopping = agent.parts.state.journal.append, threading.Thread(target=daemon.stop)

    def write(txid: str, record: Mapping[str, Any]) -> None:
        append(txid, record)
        if stopping.ident is None and step in {record.get("doing"), record["kind"]}:
            stopping.start()

    agent.parts.state.journal.append = write  # type: ignore[method-assign]
    return stopping


def be_quiet_once(up: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the guard wait for the next engine before it settles, as it does where the engine is quick to come back."""
    quiet = Guard.quiet

    async def quiet_at_last(guard: Guard) -> None:
        await in_thread(up.wait, 60)
        await quiet(guard)

    monkeypatch.setattr(Guard, "quiet", quiet_at_last)


@pytest.mark.parametrize("case", POINTS)
async def test_a_service_runs_again_after_the_engine_was_restarted_amid_its_update(
    compose: Compose,
    push: Push,
    tmp_path: Path,
    daemon: Daemon,
    *,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, str, bool],
) -> None:
    (name, step, at_once), up = case, threading.Event()
    if at_once:
        be_quiet_once(up, monkeypatch)
    old = push("1")
    web = {"image": old.reference, "restart": "unless-stopped", **SERVICES[name]}
    compose.write({"services": {"web": web}, "networks": {"front": {}, "back": {}}})
    compose.up()
    before = Before.of(compose, "web")
    new = push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_SETTLE="4s", TIDEGATE_BAKE="4s") as agent:
        stopping = stop_at(agent, step, daemon)
        async with at_work(agent):
            await until(lambda: stopping.ident is not None, "the engine is stopped")
            await in_thread(stopping.join)
            await in_thread(daemon.start)
            up.set()
            await until_committed(agent)
    assert_at_rest(compose, tmp_path / "state", before, new)
