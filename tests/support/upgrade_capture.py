"""What `tests/manager/upgrades/REVISION.json` is made by: `python -m tests.support.upgrade_capture` writes the newest.

A manager is run with three simulated agents and people who use it; when a rollout is at its last wave it ends, and
every row of its database is written down. A file that is there stays as it was written at its time. (`0001` is
`0002` without the columns that came with that.)
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import insert, select
from tests.support.manager import Manager, People, people, serving
from tests.support.simulated_agents import Say, World
from tests.support.simulated_fleet import AT_ONCE, SimulatedFleet, fleet
from tests.support.visitor import visiting

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.migrate import migrate

FOLDER = Path(__file__).resolve().parents[1] / "manager" / "upgrades"
BAD, GOOD = (f"sha256:{digit * 64}" for digit in "ba")
_POLICY = {**AT_ONCE, "waves": ["1", "1"], "mode": "approval"}
_NOWHERE = "http://127.0.0.1:9/alerts"


def main() -> None:
    """Write the file of the newest revision, unless there is one."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/tidegate.db"
        revision = asyncio.run(_newest(url))
        path = FOLDER / f"{revision}.json"
        if path.exists():
            sys.exit(f"{path} is there: it stays as it is")
        with serving(url, Path(folder), TIDEGATE_ALERT_WEBHOOKS=_NOWHERE) as manager:
            token = asyncio.run(_live(manager))
        document = {"admin_token": token, "at": datetime.now(UTC).isoformat(), "tables": asyncio.run(_rows(url))}
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


async def _newest(url: str) -> str:
    db = Database.at(url)
    _, revision = await migrate(db)
    await db.close()
    return revision


async def _live(manager: Manager) -> str:
    """A bad release, which is rolled back, and a good one, of which the last target has heard nothing yet."""
    db, where = Database.at(manager.database_url), urlsplit(manager.url)
    world = World([(str(where.hostname), int(where.port or 0))], script=_script)
    async with people(manager, db) as who, fleet(db, world, 3, policy=_POLICY) as agents:
        await agents.join()
        await _set_rules(who)
        agents.sight(BAD)
        await _approve(agents, who, BAD)
        await agents.ended(BAD)
        agents._tasks.pop(2).cancel()  # it is there for a while yet, and hears of nothing any more
        agents.sight(GOOD)
        await _approve(agents, who, GOOD)
        await agents.until(lambda: _is_offered(agents))
        token = who.admin.token or ""
        async with visiting(manager.url, token):
            pass  # whose session stays
    await add_report(db, Outcome.BEGUN)  # which the rollout does not come to take in
    await db.close()
    return token


def _script(agent: str, it: Assignment) -> Sequence[Say]:
    del agent
    fails = it.digest == BAD and not it.back
    end = Say(0, Outcome.FAILED, "it is unhealthy", blame=True) if fails else Say(0, Outcome.HEALTHY)
    return Say(0, Outcome.BEGUN), end


async def _set_rules(who: People) -> None:
    span = {"starts_at": "2026-12-20T00:00:00Z", "ends_at": "2027-01-03T00:00:00Z"}
    scope = {"labels": {"ring": "none"}}
    freeze = {"name": "year end", "reason": "accounts are closed", "scope": scope} | span
    window = {"name": "nights", "window": "0 2 * * 1-5 4h Europe/Berlin", "scope": scope}
    made = [
        await who.operator.post("/freezes", freeze, headers={"Idempotency-Key": "year-end"}),
        await who.operator.post("/windows", window),
        await who.admin.post("/agents/enrolments", {"name": "late", "labels": {"ring": "late"}}),
    ]
    assert {one.status for one in made} == {201}, made


async def _approve(agents: SimulatedFleet, who: People, digest: str) -> None:
    async def approved() -> bool:
        items = (await who.approver.get("/rollouts?state=awaiting_approval")).json["items"]
        found = [one["id"] for one in items if one["digest"] == digest]
        return bool(found) and (await who.approver.post(f"/rollouts/{found[0]}/approve")).status == 200

    await agents.until(approved)


async def _is_offered(agents: SimulatedFleet) -> bool:
    statement = (
        select(schema.assignments.c.id)
        .join(schema.agents)
        .where(schema.assignments.c.digest == GOOD, schema.agents.c.name == "host2", schema.assignments.c.open)
    )
    waiting = select(schema.deliveries.c.id).where(schema.deliveries.c.attempts > 0)
    async with agents.db.read() as conn:
        return None not in [(await conn.execute(one)).first() for one in (statement, waiting)]


async def add_report(db: Database, outcome: Outcome) -> None:
    """Have the agent that has an assignment tell this of it."""
    of = schema.assignments
    async with db.write() as conn:
        (open_,) = (await conn.execute(select(of).where(of.c.open))).all()
        values = {name: getattr(open_, name) for name in ("rollout_id", "target_id", "generation")}
        said = {"outcome": str(outcome), "reason": "", "at": datetime.now(UTC)}
        await conn.execute(insert(schema.reports).values(values | said))


async def _rows(url: str) -> dict[str, list[dict[str, Any]]]:
    db = Database.at(url)
    try:
        return await rows_of(db)
    finally:
        await db.close()


async def rows_of(db: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that the code knows, as JSON values."""
    async with db.read() as conn:
        found = {}
        for table in schema.metadata.sorted_tables:
            rows = (await conn.execute(select(table).order_by(*table.primary_key))).mappings()
            found[table.name] = [{name: _plain(value) for name, value in row.items()} for row in rows]
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


if __name__ == "__main__":
    main()
