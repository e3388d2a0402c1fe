"""What the steps of a replacement ask of an engine."""

from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.guard import Guard
from tidegate.agent.hands import Hands, Unhealthy
from tidegate.agent.tags import point_tag
from tidegate.domain.policy import PolicyDefaults, resolve_policy
from tidegate.domain.transaction import Strategy
from tidegate.engine.errors import AddressTakenError, EngineError, NoSpaceError, PortTakenError

IMAGE = "sha256:" + "0" * 64


class Engine:
    """Writes down which tags it was told to move."""

    def __init__(self) -> None:
        self.tags: list[tuple[str, str, str]] = []

    async def tag(self, image: str, repository: str, tag: str) -> None:
        self.tags.append((image, repository, tag))


class Refusing:
    """Starts nothing."""

    def __init__(self, error: EngineError) -> None:
        self._error = error

    async def start(self, _: str) -> None:
        raise self._error


async def why_not_started(error: EngineError) -> type[Exception]:
    engine, it = Refusing(error), SimpleNamespace(candidate="new", strategy=Strategy.START_FIRST)
    hands: Any = Hands(
        engine,  # type: ignore[arg-type]
        engine,  # type: ignore[arg-type]
        replacement=it,  # type: ignore[arg-type]
        policy=resolve_policy({}, PolicyDefaults()),
        guard=Guard(("", "", ""), "old", "tx.0"),
        prove=engine,  # type: ignore[arg-type]
        announce=engine,  # type: ignore[arg-type]
    )
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the answer
        await hands.start()
    return caught.type


@pytest.mark.parametrize("error", [AddressTakenError("taken"), NoSpaceError("full"), PortTakenError("taken")])
async def test_what_the_host_lacks_is_no_verdict_on_the_release(error: EngineError) -> None:
    assert await why_not_started(error) is type(error)


async def test_a_command_that_is_not_in_the_image_is_the_releases_fault() -> None:
    assert await why_not_started(EngineError("exec: no such file")) is Unhealthy


async def tags_of(reference: str) -> list[Any]:
    engine = Engine()
    await point_tag(engine, reference, IMAGE)  # type: ignore[arg-type]
    return engine.tags


async def test_a_tag_that_is_not_written_is_latest() -> None:
    assert await tags_of("registry.test:5000/web") == [(IMAGE, "registry.test:5000/web", "latest")]


@pytest.mark.parametrize("reference", ["sha256:" + "a" * 64, "a" * 64, "web@sha256:" + "a" * 64])
async def test_a_container_made_from_an_id_or_a_digest_has_no_tag_to_move(reference: str) -> None:
    assert await tags_of(reference) == []
