"""What an agent says when it starts."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.agent import commands
from tidegate.agent.settings import load_settings


def answers(value: Any) -> Callable[..., Any]:
    async def answer(*_: Any, **__: Any) -> Any:
        return value

    return answer


async def said_by_one_look(monkeypatch: pytest.MonkeyPatch, **environ: str) -> list[Any]:
    """What the log of an agent has that starts, looks once, and finds nothing to do."""
    engine = SimpleNamespace(version=answers(SimpleNamespace(engine="26.1", api_used="1.45")))
    state = SimpleNamespace(check_writable=lambda: None)
    parts = SimpleNamespace(state=state, own=None, engine=engine, close=answers(None))
    monkeypatch.setattr(commands, "assemble", answers(parts))
    monkeypatch.setattr(commands, "claim", answers(None))
    monkeypatch.setattr(commands, "Agent", lambda _: SimpleNamespace(once=answers(True)))
    with capture_logs() as logs:
        assert await commands.run(load_settings(["--run-once"], environ), pulls=None) == 0
    return list(logs)


async def test_an_agent_says_when_it_will_look_and_which_engine_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = await said_by_one_look(monkeypatch, WATCHTOWER_SCHEDULE="0 0 4 * * *")
    assert (said["event"], said["engine"], said["api"]) == ("agent started", "26.1", "1.45")
    assert "0 0 4 * * *" in said["schedule"]


async def test_an_agent_that_is_told_to_say_nothing_at_the_start_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await said_by_one_look(monkeypatch, WATCHTOWER_NO_STARTUP_MESSAGE="true") == []
