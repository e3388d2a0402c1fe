"""What agents see behind tags counts where they follow these, and where the manager cannot ask the registry itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy import update
from tests.support.bare_agent import NEW, OLD, OTHER, BareAgent, inventory, target
from tests.support.planted import alter, count, rows
from tests.support.real_manager import REPOSITORY, RealManager

from tidegate.manager.releases.sightings import REGISTRY, seen
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import channels

PROD = "registry.test/prod/app"


@pytest.fixture
def db(manager: RealManager) -> Database:
    return manager.parts.db


@pytest.fixture
async def lab(manager: RealManager, session: aiohttp.ClientSession) -> BareAgent:
    """Another agent, whose key is stolen."""
    return await BareAgent.enrolled(manager, session, "lab1")


def sighting(manager: RealManager, digest: str, *, after_s: float = 0, **more: Any) -> dict[str, Any]:
    at = manager.parts.clock() + timedelta(seconds=after_s)
    return {"kind": "sighting", "at": at.isoformat(), "repository": REPOSITORY, "tag": "1", "digest": digest} | more


def prod() -> dict[str, Any]:
    return inventory(target("shop/prod", repository=PROD, tag="stable", image=f"{PROD}:stable"))


async def answered(manager: RealManager, digest: str, *, ago_s: float = 60, trouble: str = "") -> None:
    """As if the registry of every channel had told the manager this a while ago; it is asked again much later."""
    now = manager.parts.clock()
    at = now - timedelta(seconds=ago_s)
    async with manager.parts.db.write() as conn:
        await seen(conn, REPOSITORY, "1", digest, at, REGISTRY, now)
        later = now + timedelta(hours=1)
        await conn.execute(update(channels).values(polled_at=at, poll_at=later, trouble=trouble))


async def is_asked_soon(manager: RealManager) -> bool:
    soon = manager.parts.clock() + timedelta(minutes=1)
    return all(at <= soon for at in await rows(manager.parts.db, "channels", "poll_at"))


async def test_an_agent_does_not_speak_for_a_channel_that_none_of_its_targets_follows(
    manager: RealManager, db: Database, agent: BareAgent, lab: BareAgent
) -> None:
    about: dict[str, Any] = {"repository": PROD, "tag": "stable"}
    await agent.events(1, prod(), sighting(manager, NEW, **about))
    await lab.events(1, inventory(target("lab/web")), sighting(manager, OLD, **about))
    assert await rows(db, "releases", "digest", "told_by") == [(NEW, "agent berlin1")]


async def test_a_sighting_of_what_nobody_follows_makes_no_channel(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    assert (await agent.events(1, sighting(manager, NEW))).body == {"applied": 1}
    assert (await count(db, "channels"), await count(db, "releases")) == (0, 0)


async def test_who_does_not_follow_a_channel_any_more_does_not_speak_for_it(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    await agent.events(2, inventory(), sighting(manager, NEW))
    await agent.events(4, inventory(target(tag="2")), sighting(manager, NEW))
    assert await count(db, "releases") == 0


@pytest.mark.parametrize("order", ["inventory first", "sighting first", "inventory before"])
async def test_an_agents_first_sighting_counts_with_the_inventory_that_tells_of_its_target(
    manager: RealManager, db: Database, agent: BareAgent, order: str
) -> None:
    events = [inventory(target()), sighting(manager, NEW)]
    if order == "inventory before":
        await agent.events(1, events[0])
        await agent.events(2, events[1])
    else:
        await agent.events(1, *(events if order == "inventory first" else events[::-1]))
    assert await rows(db, "releases", "digest") == [NEW]


async def test_what_contradicts_the_registrys_own_answer_has_it_asked_and_is_no_release(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    """A replica of the registry that lags behind, or somebody who has the key of an agent that follows the channel."""
    await agent.events(1, inventory(target()))
    await answered(manager, NEW)
    asked = list[str]()
    with db.bus.listening("polls", asked.extend):
        assert (await agent.events(2, sighting(manager, OLD))).body == {"applied": 2}
    assert await rows(db, "releases", "digest") == [NEW]
    assert await is_asked_soon(manager)


async def test_what_the_registry_has_said_already_has_nobody_asked(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    await answered(manager, NEW)
    await agent.events(2, sighting(manager, NEW), sighting(manager, OTHER, after_s=-120))
    assert await rows(db, "releases", "digest") == [NEW]
    assert not await is_asked_soon(manager)


async def test_however_much_agents_see_a_registry_is_left_alone_for_a_while_after_its_answer(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    await answered(manager, NEW, ago_s=0)
    await agent.events(2, sighting(manager, OLD, after_s=1), sighting(manager, OTHER, after_s=1))
    [polled] = await rows(db, "channels", "polled_at")
    [next_] = await rows(db, "channels", "poll_at")
    assert timedelta(seconds=1) < next_ - polled < timedelta(minutes=1)


async def test_where_the_registry_does_not_answer_the_manager_its_agents_tell_the_truth(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    await answered(manager, NEW, trouble="connection refused")
    await agent.events(2, sighting(manager, OTHER))
    await alter(db, "channels", polled_at=None)
    await agent.events(3, sighting(manager, OLD), sighting(manager, NEW, after_s=1), sighting(manager, OTHER, tag="2"))
    assert await rows(db, "releases", "digest", "told_by") == [
        (NEW, "registry"),
        (OTHER, "agent berlin1"),
        (OLD, "agent berlin1"),
    ]


async def test_a_channel_that_is_followed_again_is_asked_about_at_once(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    """Nobody has asked about it for long."""
    await agent.events(1, inventory(target()))
    await answered(manager, NEW)
    await alter(db, "channels", poll_at=manager.parts.clock() + timedelta(hours=20))
    await agent.events(2, inventory(target(), target("shop/other", tag=None)))
    assert not await is_asked_soon(manager)
    await agent.events(3, inventory())
    assert not await is_asked_soon(manager)
    await agent.events(4, inventory(target()))
    assert await is_asked_soon(manager)
