"""From what happens to who is told, through a whole manager."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.support.fleet_rows import add, digest
from tests.support.manager import people, serving
from tests.support.web_server import WebServer

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.feed import tell


async def test_what_happens_is_told_and_when_it_is_over_so_is_that(database_url: str, tmp_path: Path) -> None:
    taken: asyncio.Queue[Any] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await taken.put(json.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    receiver = WebServer(app)
    await receiver.start_server()
    given = {"TIDEGATE_ALERT_WEBHOOKS": str(receiver.make_url("/hook")), "TIDEGATE_PUBLIC_URL": "https://manager.test"}
    db = Database.at(database_url)
    with serving(database_url, tmp_path, **given) as manager:
        async with asyncio.timeout(60), people(manager, db) as some:
            async with db.write() as conn:
                entry = await add(conn, schema.quarantine, digest=digest("b"), by="tidegate", at=now(), reason="bad")
                await tell(conn, "quarantine.add", f"quarantine {entry}", now())
            opened = await taken.get()
            assert (opened["event"], opened["manager"]) == ("alert.opened", "https://manager.test")
            alert = opened["alert"]["id"]
            assert (await some.operator.post(f"/alerts/{alert}/acknowledge", {})).status == 200
            closed = await taken.get()
            assert (closed["event"], closed["alert"]["id"]) == ("alert.closed", alert)
            assert closed["alert"]["close_reason"] == "acknowledged by a-operator"
            assert taken.empty()
    await receiver.close()
    await db.close()
