"""A manager that answers over HTTP, in a thread of its own, and people who ask it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDict
from sqlalchemy import delete, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support import loops

from tidegate.manager.agents.newest_key import claim
from tidegate.manager.parts import Parts, make_parts, now
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.serve import listening, run
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store.counters import change_world
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import counters, metadata


@dataclass(frozen=True)
class Answer:
    """What was answered. `json` is the body decoded, None where there is none."""

    status: int
    json: Any
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False, default="")


@dataclass(frozen=True)
class Caller:
    """Somebody with a token; paths are without `/api/v1` unless they begin with `//`."""

    session: aiohttp.ClientSession
    url: str
    token: str | None = None

    async def __call__(
        self, method: str, path: str, json: Any = None, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Answer:
        where = path[1:] if path.startswith("//") else f"/api/v1{path}"
        sent = CIMultiDict({"Authorization": f"Bearer {self.token}"} if self.token else {})
        sent.extend(headers or {})
        async with self.session.request(method, self.url + where, json=json, headers=sent, **more) as got:
            text = await got.text()
            decoded = await got.json(content_type=None) if "json" in got.content_type else None
            return Answer(got.status, decoded, got.headers, text)

    async def get(self, path: str, **more: Any) -> Answer:
        """GET."""
        return await self("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> Answer:
        """POST."""
        return await self("POST", path, json, **more)


@dataclass(frozen=True)
class Manager:
    """One that runs: its address, its parts (which belong to its own event loop) and the address of its database."""

    url: str
    parts: Parts
    database_url: str


@contextmanager
def serving(
    database_url: str, folder: Path, *, host: str = "127.0.0.1", port: int | str = 0, **environ: str
) -> Iterator[Manager]:
    """Run a manager on a migrated database, with these settings, until the block ends.

    `host` "": at all addresses; `port` 0: at one that is free.
    """
    given = {"TIDEGATE_DATA": str(folder), "TIDEGATE_DATABASE_URL": database_url, "TIDEGATE_RATE": "100000/s"}
    settings = load_manager_settings(given | {"TIDEGATE_RATE_ADDRESS": "100000/s"} | environ)
    started: list[tuple[asyncio.AbstractEventLoop, Parts]] = []
    ready = threading.Event()
    with listening(host, int(port)) as sock:

        async def work() -> None:
            parts = make_parts(settings)
            started.append((asyncio.get_running_loop(), parts))
            async with parts.db.write() as conn:
                await claim(conn, settings.signing_key_file, parts.clock())
            ready.set()
            await run(parts, sock)
            await parts.db.close()
            await loops.let_go()

        thread = threading.Thread(target=lambda: asyncio.run(work()), daemon=True)
        thread.start()
        assert ready.wait(60), "it does not start"
        loop, parts = started[0]
        try:
            scheme = "http" if settings.tls_cert is None else "https"
            yield Manager(f"{scheme}://127.0.0.1:{sock.getsockname()[1]}", parts, database_url)
        finally:
            asyncio.run_coroutine_threadsafe(_end(parts, sock), loop)
            thread.join(60)
            assert not thread.is_alive()


async def _end(parts: Parts, sock: socket.socket) -> None:
    await loops.accept_no_more(sock)
    parts.stopping.set()


async def empty(db: Database) -> None:
    """Take away everything, whatever a manager is at; where the two meet, once more. Ids begin with 1 again."""
    for last in (False, False, False, False, True):
        try:
            await _empty(db)
        except StoreUnavailableError:
            if last:
                raise
        else:
            return


async def _empty(db: Database) -> None:
    gone = [table for table in reversed(metadata.sorted_tables) if table is not counters]
    async with db.write() as conn:
        if db.is_postgres:
            await conn.execute(text(f"TRUNCATE {', '.join(table.name for table in gone)} RESTART IDENTITY"))
        else:
            for table in gone:
                await conn.execute(delete(table))
            await conn.execute(text("DELETE FROM sqlite_sequence"))
        await conn.execute(update(counters).where(counters.c.name != "world").values(value=0))
        await change_world(conn)  # what is decided now, of a rollout that had the number of one to come, does not count


async def token(conn: AsyncConnection, role: Role, user: str = "", **more: Any) -> str:
    """A new token of a user named after the role."""
    return (await make_token(conn, user or f"a-{role}", role, now(), by="test", **more))[1]


@dataclass(frozen=True)
class People:
    """One caller for each role, and one without a token."""

    viewer: Caller
    operator: Caller
    approver: Caller
    admin: Caller
    nobody: Caller


@asynccontextmanager
async def people(manager: Manager, db: Database) -> AsyncIterator[People]:
    """Somebody of each role."""
    async with db.write() as conn:
        tokens = [await token(conn, role) for role in Role]
    async with aiohttp.ClientSession() as session:
        yield People(*(Caller(session, manager.url, one) for one in [*tokens, None]))


@asynccontextmanager
async def asked(manager: Manager) -> AsyncIterator[People]:
    """People of every role who ask a manager that runs."""
    db = Database.at(manager.database_url)
    async with people(manager, db) as some:
        yield some
    await db.close()
