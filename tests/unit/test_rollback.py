"""What a rollback that a person asks for makes of their words."""

import asyncio
from types import SimpleNamespace
from typing import Any

from tidegate.agent.command_rows import CommandOutcome
from tidegate.agent.rollback import Rollbacks
from tidegate.agent.survey import Place, Survey
from tidegate.domain.selection import Candidate, Filters, select


async def rolled_back(to: str | None, image: str = "web:live") -> CommandOutcome:
    """Ask for a release of a service that never ran another."""
    chosen = select([Candidate("c", "web", image, "running", {})], Filters())[0]
    survey = Survey((Place("c", "web", image, "sha256:1", "running", {}, chosen),), {})

    async def look() -> Survey:
        return survey

    parts: Any = SimpleNamespace(
        own=None,
        surveyor=lambda: SimpleNamespace(survey=look),
        state=SimpleNamespace(previous=SimpleNamespace(of=lambda *_: [])),
    )
    return await Rollbacks(parts, asyncio.Lock()).roll_back("", "web", to)


async def test_what_only_looks_as_long_as_a_digest_is_told_to_be_none() -> None:
    outcome = await rolled_back("z" * 64)
    assert (outcome.ok, "is no digest that ran on web" in outcome.message) == (False, True)


async def test_a_container_whose_image_has_no_name_is_told_to_have_no_earlier_release() -> None:
    outcome = await rolled_back(None, "a" * 64)
    assert (outcome.ok, "web was not rolled back" in outcome.message) == (False, True)
    assert "it is an image id" in outcome.message
