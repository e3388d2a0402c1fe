"""What becomes of an agent's inventory: clusters, targets, channels, what ran when, and drift."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from tests.support.bare_agent import NEW, OLD, OTHER, BareAgent, inventory, report, target
from tests.support.manager import Caller
from tests.support.planted import alter, count, kinds, plant_assignment, plant_rollout, rows
from tests.support.real_manager import RealManager

from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.store.database import Database


@pytest.fixture
def db(manager: RealManager) -> Database:
    return manager.parts.db


async def test_an_inventory_makes_clusters_targets_and_channels(db: Database, agent: BareAgent) -> None:
    told = target("shop/web", strategy="swap", held=True, reason="a person said so", platform="linux/arm64")
    await agent.events(1, inventory(told, target("shop/db", None, tag=None), target("blog/web", NEW)))
    assert await rows(db, "clusters", "name", "project") == [("blog@berlin1", "blog"), ("shop@berlin1", "shop")]
    assert await rows(db, "channels", "name", "tag") == [("docker.io/library/web:1", "1")]
    found = {row.name: row for row in await rows(db, "targets")}
    web, without = found["shop@berlin1/web"], found["shop@berlin1/db"]
    assert (web.service, web.digest, web.strategy, web.held, web.platform) == ("web", OLD, "swap", True, "linux/arm64")
    assert (web.reason, web.state, web.health, web.containers) == ("a person said so", "running", "healthy", 1)
    assert (without.channel_id, without.digest, without.tag, without.digest_since) == (None, "", "", None)
    assert found["blog@berlin1/web"].channel_id == web.channel_id


async def test_containers_are_known_by_name_and_a_change_of_one_is_seen(db: Database, agent: BareAgent) -> None:
    well = {"name": "shop-web-1", "state": "running", "health": "healthy", "digest": OLD}
    await agent.events(1, inventory(target("shop/web", members=[well])))
    assert await rows(db, "targets", "members") == [[well]]
    sick = well | {"health": "unhealthy", "digest": None}
    await agent.events(2, inventory(target("shop/web", members=[sick])))
    assert await rows(db, "targets", "members") == [[sick]]
    await agent.events(3, inventory(target("shop/web")))
    assert await rows(db, "targets", "members") == [[]]


async def test_a_new_channel_is_asked_of_at_once_and_chosen_for(db: Database, agent: BareAgent) -> None:
    heard: list[str] = []
    with db.bus.listening("releases", heard.extend), db.bus.listening("polls", lambda _: heard.append("polls")):
        await agent.events(1, inventory(target()))
    [(id_, poll_at, plan_at, policy)] = await rows(db, "channels", "id", "poll_at", "plan_at", "policy")
    assert set(heard) == {str(id_), "polls"}
    assert (poll_at, policy) == (plan_at, {})


async def test_what_is_gone_is_marked_and_keeps_its_generation_when_it_returns(db: Database, agent: BareAgent) -> None:
    await agent.events(1, inventory(target("shop/web"), target("shop/db")))
    await alter(db, "targets", generation=7)
    await agent.events(2, inventory(target("shop/db")))
    gone = {row.service: row.gone_at is not None for row in await rows(db, "targets")}
    assert gone == {"web": True, "db": False}
    await agent.events(3, inventory(target("shop/web"), target("shop/db")))
    assert await rows(db, "targets", "generation", "gone_at") == [(7, None), (7, None)]


async def test_one_agent_says_nothing_of_anothers_targets(
    manager: RealManager, db: Database, agent: BareAgent, session: aiohttp.ClientSession
) -> None:
    await agent.events(1, inventory(target("shop/web")))
    other = await BareAgent.enrolled(manager, session, "paris1")
    await other.events(1, inventory())
    assert await rows(db, "targets", "name", "gone_at") == [("shop@berlin1/web", None)]


async def test_what_a_watchtower_counts_is_shown_with_its_cluster_and_its_agent_until_it_is_told_of_no_more(
    manager: RealManager, agent: BareAgent, session: aiohttp.ClientSession
) -> None:
    async with manager.parts.db.write() as conn:
        token = (await make_token(conn, "ann", Role.VIEWER, manager.parts.clock(), by="test"))[1]
    viewer = Caller(session, manager.url, token)

    async def shown() -> list[Any]:
        paths = ("/clusters/shop@berlin1", "/agents/berlin1")
        return [(await viewer.get(path)).json["updater"] for path in paths]

    counts = {"scanned": 5, "updated": 1, "failed": 2, "scans": 7}
    await agent.events(1, inventory(target()) | {"updater": counts})
    assert await shown() == [counts, counts]
    await agent.events(2, report("a1", "begun"))
    assert await shown() == [counts, counts]
    more = counts | {"failed": 0, "scans": 8}
    await agent.events(3, inventory(target()), inventory(target()) | {"updater": more})
    assert await shown() == [more, more]
    await agent.events(5, inventory(target()))
    assert await shown() == [None, None]


@pytest.mark.parametrize("wrong", [[], {"scanned": 1}, {"scanned": -1, "updated": 0, "failed": 0, "scans": 1}])
async def test_counts_that_are_none_are_refused(agent: BareAgent, wrong: Any) -> None:
    answer = await agent.events(1, inventory(target()) | {"updater": wrong})
    assert (answer.status, "events[0].updater" in answer.body["detail"]) == (400, True), answer


async def test_what_ran_is_history_and_the_same_is_no_news(db: Database, agent: BareAgent) -> None:
    for number, digest in enumerate([OLD, OLD, NEW, None, NEW, OLD], start=1):
        await agent.events(number, inventory(target(digest=digest)))
    assert await rows(db, "runs", "digest") == [OLD, NEW, OLD]


async def test_several_inventories_of_one_batch_count_in_their_order(db: Database, agent: BareAgent) -> None:
    await agent.events(1, *(inventory(target(digest=digest)) for digest in (OLD, NEW, OTHER)))
    assert await rows(db, "runs", "digest") == [OLD, NEW, OTHER]
    assert await rows(db, "targets", "digest") == [OTHER]


async def test_since_when_a_digest_runs_changes_with_it_only(db: Database, agent: BareAgent) -> None:
    await agent.events(1, inventory(target()))
    [first] = await rows(db, "targets", "digest_since")
    await agent.events(2, inventory(target(health="unhealthy")))
    assert await rows(db, "targets", "digest_since", "health") == [(first, "unhealthy")]
    await agent.events(3, inventory(target(digest=NEW)))
    assert (await rows(db, "targets", "digest_since"))[0] > first


async def test_a_run_that_an_assignment_explains_has_its_rollout(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    now = manager.parts.clock()
    rollout = await plant_rollout(db, now)
    await plant_assignment(db, agent.id, rollout, now)
    await agent.events(2, inventory(target(digest=NEW)), inventory(target(digest=OTHER)))
    assert await rows(db, "runs", "digest", "rollout_id") == [(OLD, None), (NEW, rollout), (OTHER, None)]


async def test_the_channel_is_looked_at_again_when_something_else_runs_on_it(db: Database, agent: BareAgent) -> None:
    await agent.events(1, inventory(target(), target("shop/db")))
    number = 2
    changes: list[list[dict[str, Any]]] = [
        [target(digest=NEW), target("shop/db")],
        [target(digest=NEW)],
        [target(digest=NEW, tag="2")],
    ]
    for has in changes:
        await alter(db, "channels", plan_at=None)
        await agent.events(number, inventory(*has))
        assert None not in await rows(db, "channels", "plan_at"), has
        number += 1
    await alter(db, "channels", plan_at=None)
    await agent.events(number, inventory(target(digest=NEW, tag="2", health="starting")))
    assert set(await rows(db, "channels", "plan_at")) == {None}


async def test_drift_is_what_was_not_wanted_until_it_is_gone(db: Database, agent: BareAgent) -> None:
    await agent.events(1, inventory(target()))
    await alter(db, "targets", wanted=OLD)
    await agent.events(2, inventory(target(digest=OTHER)))
    [since] = await rows(db, "targets", "drift_since")
    assert since is not None
    await agent.events(3, inventory(target(digest=OTHER, health="starting")))
    assert await rows(db, "targets", "drift_since") == [since]
    await agent.events(4, inventory(target(digest=OLD)))
    assert await rows(db, "targets", "drift_since") == [None]
    assert [kind for kind in await kinds(db) if "drift" in kind] == ["target.drift", "target.drift_over"]


async def test_nothing_drifts_while_an_assignment_is_under_way_and_it_is_found_afterwards(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    await alter(db, "targets", wanted=OLD)
    now = manager.parts.clock()
    await plant_assignment(db, agent.id, await plant_rollout(db, now), now)
    await agent.events(2, inventory(target(digest=OTHER)))
    await manager.link.check()
    assert await rows(db, "targets", "drift_since") == [None]
    await alter(db, "assignments", open=False)
    await manager.link.check()
    assert None not in await rows(db, "targets", "drift_since")


async def test_an_image_that_no_registry_has_follows_no_channel(db: Database, agent: BareAgent) -> None:
    odd = [
        target("shop/a", repository="Not A Repository"),
        target("shop/b", repository="web"),
        target("shop/c", tag=""),
    ]
    assert (await agent.events(1, inventory(*odd))).status == 200
    assert await count(db, "channels") == 0
    assert await rows(db, "targets", "channel_id") == [None] * 3


async def test_thousands_of_targets_are_taken_in(db: Database, agent: BareAgent) -> None:
    some = [target(f"shop/w{number}", tag=f"{number % 700}") for number in range(1500)]
    assert (await agent.events(1, inventory(*some))).status == 200
    assert (await agent.events(2, inventory(*[one | {"digest": NEW} for one in some[:1100]]))).status == 200
    assert (await count(db, "targets"), await count(db, "runs"), await count(db, "channels")) == (1500, 2600, 700)
    assert len([1 for at in await rows(db, "targets", "gone_at") if at is not None]) == 400
