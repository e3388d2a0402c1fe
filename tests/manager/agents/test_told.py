"""What agents tell of their assignments: kept for the rollout, which is decided again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from tests.support.bare_agent import AT, NEW, OTHER, BareAgent, inventory, report, target
from tests.support.planted import LATER, alter, count, kinds, plant_assignment, plant_rollout, rows
from tests.support.real_manager import RealManager

from tidegate.manager.store.database import Database


@pytest.fixture
def db(manager: RealManager) -> Database:
    return manager.parts.db


@pytest.fixture
async def assigned(manager: RealManager, agent: BareAgent) -> str:
    """The agent has a target, and this assignment of it."""
    await agent.events(1, inventory(target()), stream="before")
    now = manager.parts.clock()
    return await plant_assignment(manager.parts.db, agent.id, await plant_rollout(manager.parts.db, now), now)


async def woken(db: Database) -> bool:
    """Whether every rollout is due now."""
    return LATER not in await rows(db, "rollouts", "wake_at")


async def is_woken(db: Database) -> None:
    """Wait until it is."""
    async with asyncio.timeout(40):
        while not await woken(db):
            await asyncio.sleep(0.01)


async def test_a_report_is_kept_and_wakes_its_rollout(db: Database, agent: BareAgent, assigned: str) -> None:
    heard: list[str] = []
    before = datetime.now(UTC)
    with db.bus.listening("rollouts", heard.extend):
        await agent.events(1, report(assigned, "failed", reason="no health", blame=True, duration_s=2.5))
        await is_woken(db)
        async with asyncio.timeout(40):  # the notice is on its way when the database has it already
            while not heard:
                await asyncio.sleep(0.01)
    [it] = await rows(db, "reports")
    assert (it.outcome, it.reason, it.blame, it.generation) == ("failed", "no health", True, 1)
    assert it.at >= before  # by the manager's own clock, whatever the agent's says
    assert await rows(db, "assignments", "outcome", "told_at", "duration_s") == [("failed", it.at, 2.5)]
    assert heard == [str(it.rollout_id)]


async def test_of_several_reports_the_last_is_how_the_assignment_stands(
    db: Database, agent: BareAgent, assigned: str
) -> None:
    await agent.events(1, report(assigned, "begun"), report(assigned, "busy"), report(assigned, "healthy"))
    assert await rows(db, "reports", "outcome") == ["begun", "busy", "healthy"]
    assert await rows(db, "assignments", "outcome") == ["healthy"]


async def test_what_a_failed_container_wrote_is_kept_with_its_assignment(
    db: Database, agent: BareAgent, assigned: str
) -> None:
    await agent.events(1, report(assigned, "begun"), report(assigned, "failed", output="it begins\nno <b>database</b>"))
    assert await rows(db, "assignments", "outcome", "output") == [("failed", "it begins\nno <b>database</b>")]


async def test_what_was_waited_for_is_kept_and_told_again_takes_its_own_place(
    db: Database, agent: BareAgent, assigned: str
) -> None:
    proved = {"step": "prove", "took_s": 6.25, "container": "shop-web-1", "back": False}
    baked = {"step": "bake", "took_s": 30.0, "container": "", "back": False}
    await agent.events(1, report(assigned, "begun"), report(assigned, "failed", steps=[proved]))
    assert await rows(db, "courses", "assignment_id", "steps") == [(assigned, [proved])]
    await agent.events(3, report(assigned, "failed", steps=[proved, baked]))
    await agent.events(4, report(assigned, "failed"))
    assert await rows(db, "courses", "assignment_id", "steps") == [(assigned, [proved, baked])]


@pytest.mark.parametrize(
    "wrong",
    [{"assignment": "a0g0"}, {"target": "shop/db"}, {"generation": 2}, {"digest": OTHER}],
    ids=["assignment", "target", "generation", "digest"],
)
async def test_a_report_of_what_was_not_assigned_is_counted_and_dropped(
    db: Database, agent: BareAgent, assigned: str, wrong: dict[str, Any]
) -> None:
    answer = await agent.events(1, report(assigned, "healthy") | wrong)
    assert answer.body == {"applied": 1}
    assert await count(db, "reports") == 0
    assert await rows(db, "assignments", "outcome") == [""]


async def test_an_agent_cannot_report_for_another_one(
    manager: RealManager, db: Database, assigned: str, session: aiohttp.ClientSession
) -> None:
    other = await BareAgent.enrolled(manager, session, "paris1")
    await other.events(1, inventory(target()), report(assigned, "healthy"))
    await other.events(3, refusal(assigned))
    assert await count(db, "reports") == 0
    assert await rows(db, "assignments", "outcome") == [""]


def refusal(assignment: str, **more: Any) -> dict[str, Any]:
    about = {"assignment": assignment, "target": "shop/web", "generation": 1, "reason": "its signature is not good"}
    return {"kind": "refusal", "at": AT, **about, **more}


async def test_a_refusal_is_told_to_people_and_to_its_rollout(db: Database, agent: BareAgent, assigned: str) -> None:
    await agent.events(1, refusal(assigned), refusal(assigned))
    told = [row for row in await rows(db, "feed") if row.kind == "agent.refused"]
    assert [(row.subject, row.data["assignment"], row.data["reason"]) for row in told] == [
        ("agent berlin1", assigned, "its signature is not good")
    ]
    assert (await rows(db, "reports", "outcome", "blame"))[0] == ("refused", False)
    assert "its signature is not good" in (await rows(db, "reports", "reason"))[0]
    await is_woken(db)


@pytest.mark.parametrize("how", ["report", "refusal"])
async def test_what_is_refused_after_its_time_is_over_was_not_begun_and_is_no_failure(
    manager: RealManager, db: Database, agent: BareAgent, assigned: str, how: str
) -> None:
    """Whatever version the agent has: none of them says that it is for the time."""
    await alter(db, "assignments", expires_at=manager.parts.clock())
    await agent.events(1, report(assigned, "refused") if how == "report" else refusal(assigned))
    assert await rows(db, "reports", "outcome") == ["expired"]
    assert await rows(db, "assignments", "outcome") == ["withdrawn"]


@pytest.mark.parametrize("outcome", ["expired", "gone"])
async def test_no_agent_says_by_itself_what_its_manager_makes_of_a_refusal(
    db: Database, agent: BareAgent, assigned: str, outcome: str
) -> None:
    assert (await agent.events(1, report(assigned, outcome))).status == 400
    assert await count(db, "reports") == 0


async def test_a_refusal_of_something_unknown_is_told_to_people_only(
    db: Database, agent: BareAgent, assigned: str
) -> None:
    await agent.events(1, refusal("", target="", generation=0), refusal(assigned, generation=9))
    assert (await kinds(db)).count("agent.refused") == 2
    assert await count(db, "reports") == 0


@pytest.mark.parametrize("progress", ["waiting", "offline"])
async def test_rollouts_hear_at_once_that_a_target_of_theirs_follows_something_else(
    manager: RealManager, db: Database, agent: BareAgent, progress: str
) -> None:
    await agent.events(1, inventory(target()))
    await plant_rollout(db, manager.parts.clock(), progress=progress, state="completed")
    await agent.events(2, inventory(target(digest=NEW)))
    assert not await woken(db)
    await agent.events(3, inventory(target(digest=NEW, tag="2")))
    await is_woken(db)


async def test_a_wake_up_that_was_lost_is_made_up_for(manager: RealManager, db: Database, agent: BareAgent) -> None:
    await agent.events(1, inventory(target()))
    now = manager.parts.clock()
    it = await plant_assignment(db, agent.id, await plant_rollout(db, now), now)
    await agent.events(2, report(it, "begun"))
    await is_woken(db)
    await alter(db, "rollouts", wake_at=None)  # as by who decided it meanwhile, without the report
    async with asyncio.timeout(60):
        while None in await rows(db, "rollouts", "wake_at"):
            await asyncio.sleep(0.05)


async def test_a_sighting_is_a_release_whatever_the_agents_clock_says(db: Database, agent: BareAgent) -> None:
    seen = {"kind": "sighting", "repository": "docker.io/library/web", "tag": "1", "digest": NEW}
    await agent.events(1, inventory(target()), seen | {"at": "2036-01-01T00:00:00Z"})
    [it] = await rows(db, "releases")
    assert (it.digest, it.told_by) == (NEW, "agent berlin1")
    assert it.seen_at < datetime(2036, 1, 1, tzinfo=UTC)
