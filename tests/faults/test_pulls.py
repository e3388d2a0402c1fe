"""A pull that the registry breaks off is tried again in the same look; one that it limits, not before it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.features import one, services
from tests.support.images import Pushed, build
from tests.support.kills import Before, assert_at_rest
from tests.support.registry import Registry
from tests.support.registry_clock import Hands
from tests.support.registry_fake import FakeRegistry, from_the_engine, on, passed_on_to, status, times

LONGEST_FIRST_S = 30


@pytest.fixture
async def front(registry: Registry) -> AsyncIterator[FakeRegistry]:
    """What stands before the real registry, and can be told to misbehave."""
    async with FakeRegistry(faults=[passed_on_to(registry)]) as fake:
        yield fake


@pytest.fixture
async def new(compose: Compose, registry: Registry, front: FakeRegistry, repository: str) -> Pushed:
    """A release for the service `web`, which runs the one before."""

    def pushed(version: str) -> Pushed:
        files = {"/release": f"{compose.project} {version}".encode()}  # its layers are not those of other images
        through = replace(registry, engine_address=front.address)
        return build(through, f"{repository}:latest", version=version, files=files)

    compose.write(services(web=one(pushed("1"), restart="unless-stopped")))
    await asyncio.to_thread(compose.up)
    return pushed("2")


def by_hand(here: AgentHere) -> Hands:
    """Take the agent's time with registries into the test's hands."""
    hands = Hands()
    here.parts.detector._patience._clock = hands.clock
    here.parts.preparer._pulls._sleep = hands.sleep  # type: ignore[attr-defined]
    return hands


async def test_a_pull_that_breaks_off_twice_is_ended_in_the_same_look(
    compose: Compose, front: FakeRegistry, new: Pushed, tmp_path: Path
) -> None:
    before = Before.of(compose, "web")
    front.faults.insert(0, times(2, from_the_engine(on("", "manifests", status(502)))))
    async with agent_here(tmp_path / "state") as here:
        hands = by_hand(here)
        with capture_logs() as logs:
            await here.look()
        assert (here.outcomes(), len(hands.slept)) == (["committed"], 2)
    assert_at_rest(compose, tmp_path / "state", before, new)
    told = [line["event"] for line in logs if "is tried again in" in line["event"]]
    assert len(told) == 2
    assert all("502 Bad Gateway" in line for line in told)


async def test_a_registry_that_limits_a_pull_is_left_alone_until_the_wait_is_over(
    compose: Compose, front: FakeRegistry, new: Pushed, tmp_path: Path
) -> None:
    before = Before.of(compose, "web")
    front.faults.insert(0, from_the_engine(on("", "manifests", status(429))))
    async with agent_here(tmp_path / "state") as here:
        hands = by_hand(here)
        await here.look()
        assert (here.outcomes(), hands.slept) == (["failed"], [])
        reason = here.last()["reason"]
        assert "the registry limits how often it is asked: log in for a higher limit" in reason
        assert f"; {front.address} is left alone for " in reason
        asked = len(front.requests)
        told = (await here.decided(compose.project))["web"].reason
        assert f"{front.address} is left alone for another" in told
        assert len(front.requests) == asked
        del front.faults[0]
        hands.now += LONGEST_FIRST_S
        await here.look()
        assert here.outcomes() == ["failed", "committed"]
    assert_at_rest(compose, tmp_path / "state", before, new)
