"""What a rollback that a person asks for makes of their words, and when it is refused."""

from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent import commands
from tidegate.agent.command_rows import CommandOutcome
from tidegate.agent.rollback import Rollbacks
from tidegate.agent.settings import load_settings
from tidegate.agent.store.journal import JournalFile
from tidegate.agent.survey import Place, Survey
from tidegate.agent.unended import Unended
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.engine.errors import EngineUnavailableError

WEB = {"kind": "begin", "replacements": [{"name": "web"}]}


async def rolled_back(
    to: str | None, image: str = "web:live", unended: Unended | EngineUnavailableError | None = None
) -> CommandOutcome:
    """Ask for a release of a service that never ran another."""
    chosen = select([Candidate("c", "web", image, "running", {})], Filters())[0]
    survey = Survey((Place("c", "web", image, "sha256:1", "running", {}, chosen),), {})

    async def look() -> Survey:
        return survey

    async def recover() -> Unended:
        if isinstance(unended, EngineUnavailableError):
            raise unended
        return unended or Unended()

    parts: Any = SimpleNamespace(
        own=None,
        surveyor=lambda: SimpleNamespace(survey=look),
        state=SimpleNamespace(previous=SimpleNamespace(of=lambda *_: [])),
    )
    return await Rollbacks(parts, recover).serve({"cluster": "", "service": "web", "to": to})


async def test_what_only_looks_as_long_as_a_digest_is_told_to_be_none() -> None:
    outcome = await rolled_back("z" * 64)
    assert (outcome.ok, "is no digest that ran on web" in outcome.message) == (False, True)


async def test_a_container_whose_image_has_no_name_is_told_to_have_no_earlier_release() -> None:
    outcome = await rolled_back(None, "a" * 64)
    assert (outcome.ok, "web was not rolled back" in outcome.message) == (False, True)
    assert "it is an image id" in outcome.message


async def test_a_target_whose_update_could_not_be_ended_is_not_rolled_back_on_top_of_that() -> None:
    outcome = await rolled_back("a" * 64, unended=Unended([JournalFile("tx", (WEB,))]))
    assert outcome.message.startswith("web was not rolled back: an earlier update of it could not be ended yet")


async def test_an_engine_that_went_away_is_told_of_in_the_answer() -> None:
    outcome = await rolled_back("a" * 64, unended=EngineUnavailableError("it does not answer"))
    assert (outcome.ok, outcome.message) == (False, "web was not rolled back: it does not answer")


async def test_where_no_agent_runs_the_command_shows_its_own_pulls(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    done = CommandOutcome(ok=True, message="done")

    async def nothing(*_: Any, **__: Any) -> None:
        return

    async def assemble(_: Any, pulls: object) -> Any:
        given.append(pulls)
        lock = SimpleNamespace(acquire=nothing)
        state = SimpleNamespace(check_writable=lambda: None, lock=lock)
        return SimpleNamespace(state=state, hub=SimpleNamespace(start=lambda: None), close=nothing)

    async def roll_back(_: Any) -> CommandOutcome:
        return done

    monkeypatch.setattr(commands, "ask", nothing)
    monkeypatch.setattr(commands, "assemble", assemble)
    monkeypatch.setattr(commands, "Agent", lambda _: SimpleNamespace(roll_back=roll_back))
    bars: Any = object()
    assert await commands.rollback(load_settings([], {}), "shop", "web", to=None, pulls=bars) is done
    assert given == [bars]
