"""What is to be done about each container, and why."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.registry_clock import Hands

from tidegate.agent import detect
from tidegate.agent.decide import Decider
from tidegate.agent.patience import Patience
from tidegate.agent.plan_row import Action
from tidegate.agent.survey import Place, Survey
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.engine.errors import EngineError, NotFoundError

NOW = datetime(2026, 11, 25, tzinfo=UTC)
LABELS = {"tidegate.no-pull": "true"}
PINNED = f"web:live@sha256:{'a' * 64}"


class Detector:
    """There is nothing to ask a registry about."""

    async def look(self, references: set[str], *, patient: bool) -> dict[str, Any]:
        assert patient
        assert not references
        return {}


class Engine:
    """Cannot tell what its own tag names."""

    def __init__(self, error: EngineError) -> None:
        self._error = error

    async def image(self, _: str) -> None:
        raise self._error


def place(name: str, image: str = "web", labels: Mapping[str, str] = LABELS) -> Place:
    chosen = select([Candidate(name, name, image, "running", labels)], Filters())[0]
    return Place(name, name, image, "sha256:1", "running", labels, chosen)


@pytest.mark.parametrize("error", [EngineError("invalid reference format"), NotFoundError("no such image")])
async def test_an_image_that_the_engine_cannot_tell_of_holds_up_its_own_container_only(error: EngineError) -> None:
    decider = Decider(Engine(error), Detector(), object())  # type: ignore[arg-type]
    found = await decider.decide(Survey((place("web"), place("db")), {}), NOW)
    assert [(one.action, one.trouble) for one in found] == [(Action.SKIP, True)] * 2


@pytest.mark.parametrize(
    ("image", "action", "says"),
    [
        ("localhost:99999/web", Action.SKIP, "beyond 65535; correct `image:`"),
        (f"sha256:{'a' * 64}", Action.NONE, "started from an image id"),
        (PINNED, Action.NONE, "pinned to a digest"),
    ],
)
async def test_without_pulls_an_image_that_can_have_no_newer_one_is_told_and_left(
    image: str, action: Action, says: str
) -> None:
    decider = Decider(Engine(EngineError("not asked")), Detector(), object())  # type: ignore[arg-type]
    (found,) = await decider.decide(Survey((place("web", image),), {}), NOW)
    assert (found.action, says in found.reason) == (action, True)


async def test_an_image_that_is_pinned_to_a_digest_is_left_and_no_registry_is_asked() -> None:
    detector = detect.Detector(object(), Patience(Hands().clock))  # type: ignore[arg-type]
    decider = Decider(Engine(EngineError("not asked")), detector, object())  # type: ignore[arg-type]
    (found,) = await decider.decide(Survey((place("web", PINNED, {}),), {}), NOW)
    assert (found.action, found.trouble, found.reason) == (Action.NONE, False, "it is pinned to a digest")
