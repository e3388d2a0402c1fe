"""`GET /events` over HTTP: resumed by id, filtered, ended with its token and with the manager."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from sqlalchemy import update
from tests.support import databases
from tests.support.manager import Caller, Manager, People, people, serving

from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.feed import tell_all

LONG = aiohttp.ClientTimeout(total=120)


async def say(db: Database, *kinds: str) -> None:
    async with db.write() as conn:
        await tell_all(conn, [(kind, "rollout 1", {"text": "é\n"}) for kind in kinds], now())


class Events:
    """What a client has been sent: documents, in their order, and the id that it would resume from."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content
        self.id = ""
        self.documents: list[dict[str, Any]] = []

    async def next_line(self) -> bool:
        """Take one more line; False: it is over."""
        line = (await self._content.readline()).decode()
        if line.startswith("id: "):
            self.id = line[4:].strip()
        if line.startswith("data: "):
            self.documents.append(json.loads(line[6:]))
        return bool(line)

    async def until(self, count: int) -> list[Any]:
        while len(self.documents) < count:
            assert await self.next_line(), "the stream has ended"
        return [one["id"] for one in self.documents]

    async def stands(self, id_: int) -> None:
        while self.id != str(id_):
            assert await self.next_line(), "the stream has ended"

    async def end(self) -> None:
        while await self.next_line():
            pass


@asynccontextmanager
async def following(who: Caller, query: str = "", **headers: str) -> AsyncIterator[Events]:
    sent = {"Authorization": f"Bearer {who.token}"} | {key.replace("_", "-"): value for key, value in headers.items()}
    async with who.session.get(f"{who.url}/api/v1/events{query}", headers=sent, timeout=LONG) as got:
        assert (got.status, got.content_type) == (200, "text/event-stream")
        assert got.headers["cache-control"] == "no-store"
        yield Events(got.content)


async def test_who_is_cut_off_resumes_by_id_and_misses_nothing(people: People, manager_db: Database) -> None:
    await say(manager_db, *["rollout.state"] * 5)
    async with following(people.viewer, "?after=0") as events:
        assert await events.until(5) == [1, 2, 3, 4, 5]
        resume = events.id
    await say(manager_db, *["rollout.state"] * 700)
    async with following(people.viewer, "?after=0", last_event_id=resume) as events:
        await say(manager_db, "rollout.wave")
        assert await events.until(701) == list(range(6, 707))
    assert events.documents[-1]["kind"] == "rollout.wave"
    assert events.documents[-1]["data"] == {"text": "é\n"}


async def test_only_the_kinds_that_were_asked_for_are_sent(people: People, manager_db: Database) -> None:
    async with following(people.viewer, "?kinds=agent.,release.") as events:
        await events.stands(0)
        await say(manager_db, "rollout.state", "agent.online", "target.seen", "release.new")
        assert await events.until(2) == [2, 4]


async def test_an_id_that_never_was_is_answered_with_a_reset(people: People, manager_db: Database) -> None:
    await say(manager_db, "rollout.state")
    async with following(people.viewer, last_event_id="17") as events:
        assert await events.until(1) == [1]
    assert "load anew" in events.documents[0]["reason"]


@pytest.mark.parametrize("query", ["?after=-1", "?after=x", "?after=9999999999999999", "?after=%C2%B2", "?kins=a"])
async def test_what_is_no_id_is_refused(people: People, query: str) -> None:
    assert (await people.viewer.get(f"/events{query}")).status == 422


@pytest.mark.parametrize("kinds", ["nope", "*", "ROLLOUT.", "rollout.,rolout.", "rollout.states"])
async def test_a_kind_that_nothing_has_is_refused_with_those_that_there_are(people: People, kinds: str) -> None:
    refused = await people.viewer.get(f"/events?kinds={kinds}")
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "query.kinds")
    wrong = kinds.rpartition(",")[2]
    assert refused.json["detail"].startswith(f"query.kinds: no event is of a kind that begins with {wrong!r}")
    assert "rollout.state" in refused.json["accepted"]


async def test_nobody_follows_without_a_token(people: People) -> None:
    assert (await people.nobody.get("/events")).status == 401


async def test_a_stream_ends_when_its_token_is_revoked(people: People, manager_db: Database) -> None:
    async with following(people.operator) as events:
        await events.stands(0)
        async with manager_db.write() as conn:
            await conn.execute(update(schema.tokens).where(schema.tokens.c.role == "operator").values(revoked_at=now()))
        async with asyncio.timeout(60):
            await events.end()


async def test_a_token_follows_so_often_and_no_more_and_a_place_is_free_again(people: People) -> None:
    async with _many(people.viewer, 20):
        refused = await people.viewer.get("/events")
        assert (refused.status, refused.json["code"]) == (429, "too-many-streams")
        async with following(people.admin) as events:
            await events.stands(0)
    async with asyncio.timeout(40):
        while True:
            got = await people.viewer.session.get(
                f"{people.viewer.url}/api/v1/events", headers={"Authorization": f"Bearer {people.viewer.token}"}
            )
            got.close()
            if got.status == 200:
                break


@asynccontextmanager
async def _many(who: Caller, count: int) -> AsyncIterator[None]:
    """Streams of connections of their own, with the smallest buffers; nobody reads from them."""
    address = urlsplit(who.url)
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {who.token}\r\n\r\n".encode()
    socks = []
    for _ in range(count):
        sock = socket.create_connection((address.hostname, address.port or 0))
        sock.sendall(request)
        await asyncio.to_thread(sock.recv, 20)
        socks.append(sock)
    yield
    for sock in socks:
        sock.close()


async def test_the_manager_stops_at_once_though_somebody_follows(database_url: str, tmp_path: Path) -> None:
    db = Database.at(database_url)
    with serving(database_url, tmp_path, TIDEGATE_SHUTDOWN="60s") as manager:
        async with people(manager, db) as some, following(some.viewer, "?after=0") as events:
            await events.stands(0)
            _stop(manager)
            async with asyncio.timeout(40):
                await events.end()
    await db.close()


def _stop(manager: Manager) -> None:
    loop = manager.parts.stopping._loop  # type: ignore[attr-defined]
    loop.call_soon_threadsafe(manager.parts.stopping.set)


async def test_a_replica_tells_what_another_one_has_written(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url, serving(url, tmp_path) as manager:
        db = Database.at(url)
        async with people(manager, db) as some, following(some.viewer) as events:
            await events.stands(0)
            await say(db, "rollout.state")  # this test is the other replica
            assert await events.until(1) == [1]
        await db.close()


async def test_who_resumes_at_another_replica_by_the_id_of_the_first_misses_nothing(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    with (
        databases.postgres_database(postgres_server, postgres_template) as url,
        serving(url, tmp_path) as one,
        serving(url, tmp_path) as other,
    ):
        db = Database.at(url)
        async with people(one, db) as some:
            async with following(some.viewer) as events:
                await events.stands(0)
                await say(db, "rollout.state", "rollout.state")
                assert await events.until(2) == [1, 2]
            await say(db, "target.seen", "target.seen")
            elsewhere = Caller(some.viewer.session, other.url, some.viewer.token)
            async with following(elsewhere, last_event_id=events.id) as rest:
                await rest.until(2)
                await say(db, "rollout.state")
                assert await rest.until(3) == [3, 4, 5]
        await db.close()
