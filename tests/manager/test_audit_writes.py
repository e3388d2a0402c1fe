"""Every write by a person is in the audit log with what was so before and what is so after."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.support.manager import Caller, Manager, People
from tests.support.manager_fleet import ANN, BOB, NEW, OLD, ManagerFleet

from tidegate.domain.rollout import Progress
from tidegate.manager.api.app import create_app
from tidegate.manager.parts import now
from tidegate.manager.rollouts import rollback
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

Write = Callable[[ManagerFleet, People], Awaitable[None]]
ANY = {"If-Match": "*"}
WINDOW = {"name": "nights", "window": "0 2 * * * 4h"}
FREEZE = {"name": "year end", "starts_at": "2026-12-20T00:00:00Z", "ends_at": "2027-01-03T00:00:00Z"}
TARGET = "shop@host0/web"
MAKES = {
    "POST /agents/enrolments",
    "POST /windows",
    "POST /freezes",
    "POST /quarantine",
    "POST /tokens",
    "POST /rollouts",
}
"""What these are about was not there before."""
CHANGES: dict[str, Write] = {}


def changes(route: str) -> Callable[[Write], Write]:
    def kept(write: Write) -> Write:
        CHANGES[route] = write
        return write

    return kept


async def done(caller: Caller, method: str, path: str, json: Any = None) -> Any:
    answer = await caller(method, path, json, headers=ANY)
    assert answer.status < 300, answer.text
    return answer.json


async def made(caller: Caller, path: str, json: Any) -> str:
    return f"{path}/{(await done(caller, 'POST', path, json))['id']}"


@changes("DELETE /agents/enrolments/{id}")
async def _withdraw(_: ManagerFleet, people: People) -> None:
    await done(people.admin, "DELETE", await made(people.admin, "/agents/enrolments", {"name": "paris"}))


@changes("POST /agents/{name}/revoke")
async def _cut_off(_: ManagerFleet, people: People) -> None:
    await done(people.admin, "POST", "/agents/host0/revoke", {"reason": "stolen"})


@changes("PATCH /clusters/{name}")
async def _label(_: ManagerFleet, people: People) -> None:
    await done(people.operator, "PATCH", "/clusters/shop@host0", {"labels": {"site": "berlin"}})


@changes("POST /channels/{id}/poll")
async def _poll(fleet: ManagerFleet, people: People) -> None:
    await done(people.operator, "POST", f"/channels/{fleet.channel}/poll")


@changes("PUT /policies/{id}")
async def _policy(fleet: ManagerFleet, people: People) -> None:
    await done(people.admin, "PUT", f"/policies/{fleet.channel}", {"mode": "approval"})


@changes("DELETE /channels/{id}")
async def _delete_channel(fleet: ManagerFleet, people: People) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(gone_at=now()))
    await done(people.admin, "DELETE", f"/channels/{fleet.channel}")


@changes("PUT /windows/{id}")
async def _move_window(_: ManagerFleet, people: People) -> None:
    await done(people.operator, "PUT", await made(people.operator, "/windows", WINDOW), WINDOW | {"name": "later"})


@changes("DELETE /windows/{id}")
async def _drop_window(_: ManagerFleet, people: People) -> None:
    await done(people.operator, "DELETE", await made(people.operator, "/windows", WINDOW))


@changes("PUT /freezes/{id}")
async def _move_freeze(_: ManagerFleet, people: People) -> None:
    await done(people.operator, "PUT", await made(people.operator, "/freezes", FREEZE), FREEZE | {"reason": "why"})


@changes("DELETE /freezes/{id}")
async def _drop_freeze(_: ManagerFleet, people: People) -> None:
    await done(people.operator, "DELETE", await made(people.operator, "/freezes", FREEZE))


@changes("POST /quarantine/{id}/release")
async def _release(_: ManagerFleet, people: People) -> None:
    await done(people.admin, "POST", f"{await made(people.operator, '/quarantine', {'digest': NEW})}/release")


@changes("POST /alerts/{id}/acknowledge")
async def _acknowledge(fleet: ManagerFleet, people: People) -> None:
    alert = {"rule": "drift", "subject": TARGET, "severity": "warning", "text": "it differs", "opened_at": now()}
    async with fleet.db.write() as conn:
        added = insert(schema.alerts).values(alert).returning(schema.alerts.c.id)
        id_ = (await conn.execute(added)).scalar_one()
    await done(people.operator, "POST", f"/alerts/{id_}/acknowledge")


@changes("POST /tokens/{id}/revoke")
async def _revoke(_: ManagerFleet, people: People) -> None:
    token = await made(people.admin, "/tokens", {"user": "eve", "role": "viewer"})
    await done(people.admin, "POST", f"{token}/revoke")


async def _started(fleet: ManagerFleet, people: People) -> str:
    return await made(people.operator, "/rollouts", {"channel": fleet.channel, "digest": NEW})


async def _waiting(fleet: ManagerFleet, people: People) -> str:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(policy={"mode": "approval", "approvals": 2}))
    return await _started(fleet, people)


@changes("POST /rollouts/{id}/approve")
async def _approve(fleet: ManagerFleet, people: People) -> None:
    await done(people.approver, "POST", f"{await _waiting(fleet, people)}/approve")


@changes("POST /rollouts/{id}/reject")
async def _reject(fleet: ManagerFleet, people: People) -> None:
    await done(people.approver, "POST", f"{await _waiting(fleet, people)}/reject")


@changes("POST /rollouts/{id}/pause")
async def _pause(fleet: ManagerFleet, people: People) -> None:
    await done(people.operator, "POST", f"{await _started(fleet, people)}/pause")


@changes("POST /rollouts/{id}/resume")
async def _resume(fleet: ManagerFleet, people: People) -> None:
    started = await _started(fleet, people)
    await done(people.operator, "POST", f"{started}/pause")
    await done(people.operator, "POST", f"{started}/resume")


@changes("POST /rollouts/{id}/abort")
async def _abort(fleet: ManagerFleet, people: People) -> None:
    await done(people.operator, "POST", f"{await _started(fleet, people)}/abort")


@changes("POST /rollouts/{id}/retry")
async def _retry(fleet: ManagerFleet, people: People) -> None:
    """While it goes on, with nothing but one failure that a person had looked at."""
    started = await _started(fleet, people)
    async with fleet.db.write() as conn:
        this = schema.rollout_targets.c.target == TARGET
        await conn.execute(update(schema.rollout_targets).where(this).values(progress=Progress.FAILED))
    await done(people.operator, "POST", f"{started}/retry")


@changes("POST /rollouts/{id}/advance")
async def _advance(fleet: ManagerFleet, people: People) -> None:
    await done(people.operator, "POST", f"{await _started(fleet, people)}/advance")


@changes("POST /rollouts/{id}/rollback")
async def _turn(fleet: ManagerFleet, people: People) -> None:
    await done(people.operator, "POST", f"{await _started(fleet, people)}/rollback")


@changes("POST /channels/{id}/rollback")
async def _channel_back(fleet: ManagerFleet, people: People) -> None:
    await _started(fleet, people)
    await done(people.operator, "POST", f"/channels/{fleet.channel}/rollback", {"to": OLD})


@changes("POST /clusters/{name}/rollback")
async def _cluster_back(fleet: ManagerFleet, people: People) -> None:
    await _started(fleet, people)  # host1, which waits for its turn, leaves it
    await done(people.operator, "POST", "/clusters/shop@host1/rollback", {"to": OLD})


@changes("POST /targets/{cluster}/{service}/rollback")
async def _target_back(fleet: ManagerFleet, people: People) -> None:
    await _started(fleet, people)  # host1, which waits for its turn, leaves it
    await done(people.operator, "POST", "/targets/shop@host1/web/rollback", {"to": OLD})


def test_every_write_is_among_them(manager_running: Manager) -> None:
    paths = create_app(manager_running.parts).openapi()["paths"]
    writes = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, methods in paths.items()
        for method, it in methods.items()
        if method != "get" and "security" in it
    }
    assert writes == MAKES | set(CHANGES)


@pytest.mark.parametrize("route", CHANGES)
async def test_a_write_tells_what_was_before_and_what_is_after(
    manager_db: Database, people: People, route: str
) -> None:
    fleet = ManagerFleet(manager_db)
    fleet.now = now()
    await fleet.settle(2)
    await CHANGES[route](fleet, people)
    entry = (await people.viewer.get("/audit?limit=1")).json["items"][0]
    assert entry["before"], entry
    assert entry["before"] != entry["after"], entry
    shared = set(entry["before"]) & set(entry["after"] or entry["before"])
    assert shared, entry


async def test_a_target_that_leaves_a_rollout_is_told_and_by_whom(db: Database) -> None:
    fleet = await ManagerFleet(db).settle(3)
    started = await fleet.start()
    heard = list[Any]()
    with db.bus.listening("rollouts", heard.append):
        async with db.write() as conn:
            plan = await rollback.of_target(conn, fleet.targets["shop@host2/web"], OLD)
            went = await rollback.go_back(conn, plan, ANN, fleet.now)
    assert (went.rollouts, len(heard)) == ([], 1)
    async with db.read() as conn:
        entry = (await conn.execute(select(schema.audit).order_by(schema.audit.c.number.desc()).limit(1))).one()
        event = (await conn.execute(select(schema.feed).order_by(schema.feed.c.number.desc()).limit(1))).one()
    assert (entry.actor, entry.action, entry.subject) == ("ann", "rollout.leave", f"rollout {started}")
    assert (entry.before, entry.after) == (
        {"targets": {"shop@host2/web": "waiting"}},
        {"targets": {"shop@host2/web": "left_alone"}},
    )
    assert (event.kind, event.subject, event.data["targets"]) == (
        "rollout.leave",
        f"rollout {started}",
        ["shop@host2/web"],
    )


async def test_who_approved_is_told_before_and_after(db: Database) -> None:
    fleet = await ManagerFleet(db).settle(1, policy={"mode": "approval", "approvals": 2})
    started = await fleet.start()
    await fleet.order(started, "approve", by=BOB)
    async with db.read() as conn:
        entry = (await conn.execute(select(schema.audit).order_by(schema.audit.c.number.desc()).limit(1))).one()
    assert (entry.before["approvals"], entry.after["approvals"]) == ([], ["bob"])
    assert entry.after["counts"] == {"waiting": 1}
