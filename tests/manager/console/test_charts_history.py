"""Trends of a fleet with a long history: what is asked of the database is found by time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event
from tests.support import databases
from tests.support.manager_fleet import ManagerFleet

from tidegate.manager.console.trends import look
from tidegate.manager.store.database import Database


async def test_what_was_before_is_not_gone_through(sqlite_template: Path, tmp_path: Path) -> None:
    db = Database.at(databases.sqlite_copy(sqlite_template, tmp_path))
    await ManagerFleet(db).settle(1)
    asked: list[tuple[str, Any]] = []
    event.listen(db.engine.sync_engine, "before_cursor_execute", lambda _, __, *what: asked.append(what[:2]))
    async with db.read() as conn:
        await look(conn, datetime.now(UTC), 30, None, is_postgres=False)
        queries = [one for one in asked if one[0].startswith("SELECT")]
        plans = [await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values) for query, values in queries]
        steps = [str(row.detail) for plan in plans for row in plan]
    await db.close()
    found = {step for step in steps if {"assignments", "runs", "runs_1"} & set(step.split())}
    assert found
    assert [step for step in found if not any(bound in step for bound in ("told_at>", "since>", "since<"))] == []
