"""What is asked of registries, and what is remembered of their answers."""

import asyncio
from typing import Any

import pytest
from tests.support.registry_clock import Hands

from tidegate.agent.detect import RELEASES_KEPT, Detector
from tidegate.agent.patience import LeftAloneError, Patience
from tidegate.domain.reference import Reference
from tidegate.engine import parse
from tidegate.registry.errors import (
    ForbiddenError,
    RateLimitedError,
    RegistryError,
    RegistryUnavailableError,
)
from tidegate.registry.model import Head
from tidegate.registry.platform import Platform

IMAGE = parse.image({"Id": "sha256:1", "Os": "linux", "Architecture": "amd64"})
MANY = [f"reg.example/app{number}:live" for number in range(12)]
DIGEST = f"sha256:{0:064x}"


class Registry:
    """Knows every digest; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def resolve(self, reference: Reference, _: Platform) -> Any:
        self.asked.append(reference.digest)
        return reference.digest


async def test_a_release_is_asked_for_once_until_many_others_were() -> None:
    registry = Registry()
    detector = Detector(registry, Patience(Hands().clock))  # type: ignore[arg-type]
    digests = [f"sha256:{number:064x}" for number in range(RELEASES_KEPT + 1)]
    for digest in (digests[0], digests[0], *digests[1:], digests[0]):
        assert await detector.release("web:live", digest, IMAGE) == digest  # type: ignore[comparison-overlap]
    assert registry.asked == [*digests, digests[0]]


class Troubled:
    """Answers what is asked with an error, where there is one for it; `asked` counts the questions."""

    def __init__(self, *, head: type[RegistryError] | None = None, resolve: RegistryError | None = None) -> None:
        self.head_error, self.resolve_error = head, resolve
        self.asked: list[str] = []

    async def head(self, reference: Reference) -> Head:
        self.asked.append(f"head {reference.repository}")
        await asyncio.sleep(0)
        if self.head_error is not None:
            raise self.head_error(reference, "it is away", "wait")
        return Head(DIGEST, "")

    async def resolve(self, reference: Reference, _: Platform) -> Any:
        self.asked.append(f"resolve {reference.repository}")
        if self.resolve_error is not None:
            raise self.resolve_error
        return reference.digest


def limited(seconds: float | None = None) -> RateLimitedError:
    return RateLimitedError(Reference("reg.example", "app0"), "slower", "wait", 429, seconds)


async def test_a_look_at_a_registry_that_is_away_counts_as_one_failure_however_many_images_it_has() -> None:
    registry, hands = Troubled(head=RegistryUnavailableError), Hands()
    detector = Detector(registry, Patience(hands.clock))
    for _ in range(2):
        await detector.look(MANY)
        hands.now += 30
    registry.head_error = None
    hands.now += 30
    found = await detector.look(MANY)
    assert {each.digest for each in found.values()} == {DIGEST}


async def test_an_image_that_cannot_be_read_is_no_reason_to_leave_its_registry_alone() -> None:
    registry = Troubled(head=ForbiddenError)
    detector = Detector(registry, Patience(Hands().clock))
    await detector.look(MANY)
    await detector.look(MANY)
    assert len(registry.asked) == 2 * len(MANY)


async def test_an_image_that_is_pinned_to_a_digest_is_asked_about_nowhere() -> None:
    registry = Troubled()
    wanted = f"reg.example/app0:live@{DIGEST}"
    found = await Detector(registry, Patience(Hands().clock)).look([wanted])
    assert (found[wanted].pinned, registry.asked) == (True, [])


async def test_a_limit_on_releases_is_remembered_and_leaves_the_digests_to_be_asked_for() -> None:
    registry, hands = Troubled(resolve=limited(77)), Hands()
    detector = Detector(registry, Patience(hands.clock))
    with pytest.raises(RateLimitedError):
        await detector.release(MANY[0], DIGEST, IMAGE)
    hands.now += 76
    found = await detector.look(MANY[:1])
    with pytest.raises(LeftAloneError, match="left alone for another"):
        await detector.release(MANY[1], DIGEST, IMAGE)
    assert (found[MANY[0]].digest, registry.asked) == (DIGEST, ["resolve app0", "head app0"])


async def test_the_patience_with_releases_grows_though_digests_are_told() -> None:
    registry, hands = Troubled(resolve=limited()), Hands()
    detector = Detector(registry, Patience(hands.clock))
    for _ in range(3):
        await detector.look(MANY[:1])
        with pytest.raises(RateLimitedError):
            await detector.release(MANY[0], DIGEST, IMAGE)
        hands.now += 121
    hands.now += 60 - 121
    await detector.look(MANY[:1])
    with pytest.raises(LeftAloneError):
        await detector.release(MANY[0], DIGEST, IMAGE)


async def test_a_release_that_could_not_be_had_is_asked_for_once_in_a_look() -> None:
    registry = Troubled(resolve=ForbiddenError(Reference("reg.example", "app0"), "no", "ask"))
    detector = Detector(registry, Patience(Hands().clock))
    for _ in range(2):
        await detector.look(())
        for _ in range(100):
            with pytest.raises(ForbiddenError):
                await detector.release(MANY[0], DIGEST, IMAGE)
    assert registry.asked == ["resolve app0"] * 2


async def test_an_impatient_look_asks_for_releases_too() -> None:
    registry = Troubled(resolve=limited(77))
    detector = Detector(registry, Patience(Hands().clock))
    for _ in range(2):
        await detector.look((), patient=False)
        with pytest.raises(RateLimitedError):
            await detector.release(MANY[0], DIGEST, IMAGE)
