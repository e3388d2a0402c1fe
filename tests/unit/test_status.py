"""What `status` makes of containers that come and go."""

from types import SimpleNamespace
from typing import Any

from tidegate.agent.commands import _status_row
from tidegate.agent.survey import Place, Survey
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.engine.errors import NotFoundError


async def gone(_: str) -> None:
    raise NotFoundError("no such container")


async def test_a_container_that_vanishes_meanwhile_is_left_out() -> None:
    chosen = select([Candidate("c", "web", "web:live", "running", {})], Filters())[0]
    place = Place("c", "web", "web:live", "sha256:1", "running", {}, chosen)
    parts: Any = SimpleNamespace(engine=SimpleNamespace(container=gone))
    assert await _status_row(parts, Survey((place,), {}), place, None) is None
