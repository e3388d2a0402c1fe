"""Reading what is on its way to agents."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.schema import outbox
from tidegate.protocol.messages import Item

MOST_ITEMS = 100
"""In one answer to an agent."""
MOST_ROWS = 4000
"""Read at once, for all agents."""


async def fetch(conn: AsyncConnection, cursors: Mapping[str, int]) -> dict[str, list[Item]]:
    """By agents' ids what each has after its cursor, oldest first; who is left out is to be asked for again."""
    if not cursors:
        return {}
    found: dict[str, list[Item]] = {id_: [] for id_ in cursors}
    rows = await _read(conn, cursors)
    for agent, *item in rows:
        if len(found[agent]) < MOST_ITEMS:
            found[agent].append(Item(*item))
    if len(rows) == MOST_ROWS:
        last = rows[-1][0]
        found = {id_: items for id_, items in found.items() if items or id_ < last}
    return found


async def latest(conn: AsyncConnection) -> dict[str, int]:
    """By agents' ids the last number that waits, where anything does."""
    statement = select(outbox.c.agent_id, func.max(outbox.c.seq)).group_by(outbox.c.agent_id)
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def _read(conn: AsyncConnection, cursors: Mapping[str, int]) -> Sequence[Any]:
    if conn.dialect.name == "postgresql":
        values = {"ids": list(cursors), "cursors": list(cursors.values())}
        rows = await conn.execute(_POSTGRES, values)
    else:
        rows = await conn.execute(_SQLITE, {"cursors": json.dumps(dict(cursors))})
    return rows.all()


_WHAT = "SELECT o.agent_id, o.seq, o.document, o.signature FROM outbox AS o JOIN"
_ORDER = f'ORDER BY o.agent_id COLLATE "C", o.seq LIMIT {MOST_ROWS}'
_POSTGRES = text(
    f"{_WHAT} unnest(CAST(:ids AS text[]), CAST(:cursors AS bigint[])) AS at(agent, seq) "
    f"ON o.agent_id = at.agent AND o.seq > at.seq {_ORDER}"
)
_SQLITE = text(
    f"{_WHAT} json_each(:cursors) AS at ON o.agent_id = at.key AND o.seq > at.value "
    f"ORDER BY o.agent_id, o.seq LIMIT {MOST_ROWS}"
)
