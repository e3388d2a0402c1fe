"""Which pulls are tried again, and which are not begun at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.registry_clock import Hands

from tidegate.agent.detect import Detector
from tidegate.agent.patience import Patience, Question
from tidegate.agent.pull_reporter import LoggedPulls
from tidegate.agent.pulling import RETRY_DELAYS_S, Puller, retry_delay_s
from tidegate.domain.reference import Reference, parse_reference
from tidegate.engine.errors import (
    EngineError,
    EngineUnavailableError,
    ImageMissingError,
    NoSpaceError,
    PlatformMissingError,
    PullBrokenError,
    PullDeniedError,
    PullError,
    PullLimitedError,
)
from tidegate.registry.errors import RateLimitedError, RegistryUnavailableError
from tidegate.registry.model import Head

APP, OTHER = "reg.example/app:live", "elsewhere.example/app:live"
DIGEST = f"sha256:{0:064x}"
WANTED = f"reg.example/app@{DIGEST}"
LONGEST_FIRST_S = 30
BROKE_OFF = PullBrokenError("Could not pull it: unexpected EOF", "unexpected EOF")
LIMITED = PullLimitedError("Could not pull it: the registry limits how often it is asked")


class Bench:
    """An engine whose pulls end as `ends` tells, one after the other, and then well, beside a registry that answers.

    Each pull lasts `lasts_s`.
    """

    def __init__(self, *ends: EngineError | None) -> None:
        self.ends = list(ends)
        self.lasts_s = 0.0
        self.hands = Hands()
        self.pulled: list[str] = []
        self.heads: list[str] = []
        self.said: list[str] = []
        self.patience = Patience(self.hands.clock)
        self.detector = Detector(self, self.patience)  # type: ignore[arg-type]
        self.puller = Puller(
            self, self.patience, LoggedPulls(self.said.append), sleep=self.hands.sleep, random=self.hands.random
        )

    async def pull(self, reference: str, **_: Any) -> None:
        self.pulled.append(reference)
        self.hands.now += self.lasts_s
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end

    async def head(self, reference: Reference) -> Head:
        self.heads.append(str(reference))
        return Head(DIGEST, "")

    async def begin(self, reference: str = APP) -> EngineError | None:
        """Pull what a reference names; how it failed, if it did."""
        try:
            await self.puller.pull(WANTED, reference, None)
        except EngineError as error:
            return error
        return None

    async def look(self, reference: str = APP) -> str | None:
        """The digest behind a reference, or None where its registry is left alone."""
        return (await self.detector.look([reference]))[reference].digest


async def test_a_pull_that_breaks_off_is_tried_again_after_a_pause_that_grows_and_people_are_told_each_time() -> None:
    bench = Bench(BROKE_OFF, BROKE_OFF)
    assert await bench.begin() is None
    assert (bench.pulled, bench.hands.slept) == ([WANTED] * 3, [1.5, 3.0])
    assert bench.said == [
        f"pulling {APP}",
        f"pull of {APP} broke off and is tried again in 2 s: unexpected EOF",
        f"pull of {APP} broke off and is tried again in 3 s: unexpected EOF",
        f"pulled {APP}",
    ]


async def test_a_pull_that_keeps_breaking_off_is_given_up_after_a_few_times() -> None:
    bench = Bench(*[BROKE_OFF] * 9)
    assert await bench.begin() is BROKE_OFF
    assert (len(bench.pulled), bench.hands.slept) == (4, [1.5, 3.0, 6.0])
    assert bench.said[-1] == f"pull of {APP} failed: {BROKE_OFF}"


@pytest.mark.parametrize(
    "end",
    [
        PullDeniedError("denied"),
        ImageMissingError("manifest unknown"),
        NoSpaceError("no space left"),
        PlatformMissingError("not for this one"),
        PullError("verification failed for digest"),
        EngineUnavailableError("the engine is away"),
    ],
    ids=lambda end: type(end).__name__,
)
async def test_what_another_try_would_not_change_is_told_at_once(end: EngineError) -> None:
    bench = Bench(end)
    assert await bench.begin() is end
    assert (bench.pulled, bench.hands.slept) == ([WANTED], [])


async def test_a_pull_that_takes_minutes_to_break_off_is_not_begun_again_and_again() -> None:
    bench = Bench(*[BROKE_OFF] * 9)
    bench.lasts_s = 75
    assert await bench.begin() is BROKE_OFF
    assert (len(bench.pulled), bench.hands.slept) == (2, [1.5])


@given(st.floats(0, 1, exclude_max=True))
def test_all_the_pauses_of_a_pull_together_are_some_seconds(jitter: float) -> None:
    pauses = [retry_delay_s(retries, 0.0, jitter) or 0.0 for retries in range(len(RETRY_DELAYS_S) + 1)]
    assert 7 <= sum(pauses) <= 14
    assert pauses[-1] == 0


async def test_an_agent_that_is_told_to_stop_does_not_wait_for_the_next_try() -> None:
    bench, pausing = Bench(BROKE_OFF), asyncio.Event()

    async def pause(_: float) -> None:
        pausing.set()
        await asyncio.Event().wait()

    bench.puller = Puller(bench, bench.patience, LoggedPulls(bench.said.append), sleep=pause)
    pulling = asyncio.create_task(bench.begin())
    async with asyncio.timeout(20):
        await pausing.wait()
    pulling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulling
    assert bench.pulled == [WANTED]


async def test_after_a_pull_that_was_limited_nothing_is_asked_or_pulled_there_until_the_wait_is_over() -> None:
    bench = Bench(LIMITED)
    told = str(await bench.begin())
    assert told.startswith(f"{LIMITED}; reg.example is left alone for ")
    assert bench.said[-1] == f"pull of {APP} failed: {told}"
    held = await bench.begin()
    assert isinstance(held, PullLimitedError)
    assert str(held).startswith(f"{APP} was not pulled: reg.example is left alone for another ")
    assert (await bench.look(), bench.pulled, bench.heads) == (None, [WANTED], [])
    bench.hands.now += LONGEST_FIRST_S
    assert (await bench.look(), await bench.begin(), bench.hands.slept) == (DIGEST, None, [])


async def test_other_registries_are_pulled_from_meanwhile() -> None:
    bench = Bench(LIMITED)
    await bench.begin()
    assert (await bench.begin(OTHER), await bench.look(OTHER)) == (None, DIGEST)


async def test_the_wait_grows_with_each_pull_that_is_limited_though_digests_are_told_between() -> None:
    bench = Bench(LIMITED, LIMITED, LIMITED)
    for wait_s in (30, 60, 120):
        await bench.begin()
        bench.hands.now += wait_s / 2 - 1
        assert await bench.look() is None
        bench.hands.now += wait_s / 2 + 1
        assert await bench.look() == DIGEST
    assert len(bench.pulled) == 3


async def test_a_pull_that_succeeds_lets_the_next_wait_be_short_again() -> None:
    bench = Bench(LIMITED, None, LIMITED)
    for _ in range(3):
        await bench.begin()
        bench.hands.now += LONGEST_FIRST_S
    assert (await bench.begin(), len(bench.pulled)) == (None, 4)


@pytest.mark.parametrize("question", [Question.DIGEST, Question.RELEASE])
async def test_a_registry_that_asked_for_patience_is_not_pulled_from_either(question: Question) -> None:
    bench = Bench()
    asked = parse_reference(APP)
    bench.patience.failed(question, RateLimitedError(asked, "slower", "wait", 429, 77), bench.patience.now())
    assert isinstance(await bench.begin(), PullLimitedError)
    bench.hands.now += 77 * 1.1
    assert (await bench.begin(), bench.pulled) == (None, [WANTED])


async def test_one_image_that_its_registry_fails_to_tell_of_keeps_no_other_from_being_pulled() -> None:
    bench = Bench()
    broken = parse_reference("reg.example/broken:live")
    error = RegistryUnavailableError(broken, "it has a failure of its own", "wait", 500)
    bench.patience.failed(Question.DIGEST, error, bench.patience.now())
    assert (await bench.begin(), bench.pulled) == (None, [WANTED])
