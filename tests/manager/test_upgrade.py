"""A database of any earlier revision, with everything in it, is brought up to date and nothing of it is lost."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, update
from tests.support import databases, upgrades
from tests.support.manager import Caller, serving
from tests.support.manager_fleet import Sent
from tests.support.upgrade_capture import GOOD, add_report, rows_of

from tidegate.domain.audit import Entry, fault
from tidegate.domain.rollout import Progress, State
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.agents.newest_key import adopt, note
from tidegate.manager.rollouts.effects import Effects
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.migrate import migrate

_STREAM = "/api/v1/events"
"""It does not end."""


@dataclass(frozen=True)
class Upgraded:
    """A database that was migrated, and what was in it before."""

    url: str
    db: Database
    tables: dict[str, list[dict[str, Any]]]
    at: datetime
    admin_token: str


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """The address of a database without a table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tidegate.db"
        return
    with databases.postgres_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture(params=upgrades.revisions())
async def upgraded(request: pytest.FixtureRequest, empty_url: str) -> AsyncIterator[Upgraded]:
    """From each revision."""
    was, db = upgrades.recorded(request.param), Database.at(empty_url)
    await upgrades.make(db, request.param, was["tables"])
    assert await migrate(db) == (request.param, upgrades.revisions()[-1])
    yield Upgraded(empty_url, db, was["tables"], datetime.fromisoformat(was["at"]), was["admin_token"])
    await db.close()


async def test_every_row_is_there_with_what_it_said(upgraded: Upgraded) -> None:
    found = await rows_of(upgraded.db)
    there = {one["name"] for one in upgraded.tables["counters"]}
    found["counters"] = [one for one in found["counters"] if one["name"] in there]  # there may be more by now
    for table, rows in upgraded.tables.items():
        known = [{name: now[name] for name in was} for was, now in zip(rows, found[table], strict=True)]
        assert known == rows, table
    async with upgraded.db.read() as conn:
        entries = await conn.execute(select(schema.audit).order_by(schema.audit.c.number))
        assert fault(Entry(**row) for row in entries.mappings()) is None


async def test_a_manager_runs_on_it_and_knows_who_asks(upgraded: Upgraded, tmp_path: Path) -> None:
    async with upgraded.db.write() as conn:
        await adopt(conn, tmp_path / "signing.key", upgraded.at)  # that of a manager that was recorded is nowhere
    with serving(upgraded.url, tmp_path) as manager:
        async with aiohttp.ClientSession() as session:
            admin = Caller(session, manager.url, upgraded.admin_token)
            paths = (await admin.get("//openapi.json")).json["paths"]
            lists = [path for path, verbs in paths.items() if "get" in verbs and "{" not in path and path != _STREAM]
            answers = {path: (await admin.get(f"/{path}")).status for path in lists}
            assert "/api/v1/freezes" in answers
            assert set(answers.values()) == {200}, answers
            assert (await admin.get("/audit/verify")).json["fault"] is None
            (freeze,) = (await admin.get("/freezes")).json["items"]
            assert (freeze["name"], freeze["reason"]) == ("year end", "accounts are closed")
            made = await admin.post("/windows", {"name": "days", "window": "0 8 * * * 4h UTC"})
            assert (made.status, made.json["id"]) == (201, 2)


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_key_that_was_rotated_to_last_is_the_newest_if_agents_go_by_it(
    empty_url: str, is_known: bool
) -> None:
    was, db = upgrades.recorded("0002"), Database.at(empty_url)
    tables = was["tables"]
    for number, key in enumerate(["first", "second"], max(one["number"] for one in tables["audit"]) + 1):
        entry = {"number": number, "action": "key.rotate", "after": {"public_key": key}, "hash": str(number)}
        tables["audit"].append(tables["audit"][0] | entry)
    tables["agents"][0]["manager_key"] = "second" if is_known else "first"
    await upgrades.make(db, "0002", tables)
    await migrate(db)
    async with db.write() as conn:
        found = (await conn.execute(select(schema.signing_keys.c.public_key))).scalars().all()
        await note(conn, "third", was_at(was))  # numbers go on after it
    await db.close()
    assert found == (["second"] if is_known else [])


def was_at(was: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(was["at"])


async def test_a_rollout_that_was_under_way_comes_to_its_end(upgraded: Upgraded) -> None:
    db, now = upgraded.db, upgraded.at + timedelta(seconds=5)
    async with db.write() as conn:
        await conn.execute(update(schema.agents).values(online=True, last_seen_at=now))  # they are heard again
        (id_,) = (await conn.execute(select(schema.rollouts.c.id).where(schema.rollouts.c.digest == GOOD))).scalars()
    steps = Steps(db, Effects(Sent()), lambda: now)
    begun = await steps.take(id_)  # with what was told before, and not taken in
    assert begun is not None
    assert (begun.state, begun.targets["shop@host2/web"].progress) == (State.RUNNING, Progress.UPDATING)
    await add_report(db, Outcome.HEALTHY)
    for _ in range(3):
        ended = await steps.take(id_)
    assert ended is not None
    assert (ended.state, {one.progress for one in ended.targets.values()}) == (State.COMPLETED, {Progress.HEALTHY})
