"""Tokens that are remembered: forgotten as soon as one is revoked, and never longer than a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support import databases
from tests.support.manager import token

from tidegate.manager.parts import Clock, Parts, make_parts, now
from tidegate.manager.people import known_tokens
from tidegate.manager.people.known_tokens import KnownTokens, tell_revoked
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import TokenRefusedError, find
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store import schema, topics
from tidegate.manager.store.database import Database


@asynccontextmanager
async def replica(
    database_url: str, folder: Path, *, follows: bool = False, clock: Clock = now
) -> AsyncIterator[Parts]:
    settings = load_manager_settings({"TIDEGATE_DATA": str(folder), "TIDEGATE_DATABASE_URL": database_url})
    parts = make_parts(settings, clock)
    if follows:
        parts.db.follow()
    hearing = asyncio.create_task(parts.one(KnownTokens).run())
    await asyncio.sleep(0)
    try:
        yield parts
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await parts.db.close()


async def revoke(db: Database, *, tell: bool = True) -> None:
    """The token with number 1."""
    async with db.write() as conn:
        await conn.execute(update(schema.tokens).values(revoked_at=now()))
        if tell:
            tell_revoked(conn, 1)


async def made(db: Database, **more: Any) -> str:
    async with db.write() as conn:
        return await token(conn, Role.VIEWER, **more)


async def is_good(parts: Parts, text: str) -> bool:
    try:
        await parts.one(KnownTokens).who(text, "")
    except TokenRefusedError:
        return False
    return True


async def test_a_token_is_read_once_for_those_who_ask_often(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_tokens, "_KEPT_S", 60.0)
    text = await made(db)
    async with replica(database_url, tmp_path) as parts:
        assert await is_good(parts, text)
        await revoke(db, tell=False)  # as a replica that is not heard would
        assert await is_good(parts, text)


async def test_what_was_not_heard_of_counts_after_a_moment(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_tokens, "_KEPT_S", 0.0)
    text = await made(db)
    async with replica(database_url, tmp_path) as parts:
        assert await is_good(parts, text)
        await revoke(db, tell=False)
        assert not await is_good(parts, text)


async def test_what_is_revoked_here_is_refused_at_once(db: Database, database_url: str, tmp_path: Path) -> None:
    text = await made(db)
    async with replica(database_url, tmp_path) as parts:
        assert await is_good(parts, text)
        await revoke(parts.db)
        assert not await is_good(parts, text)


async def test_what_is_revoked_at_another_replica_is_refused(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url:
        async with replica(url, tmp_path, follows=True) as here, replica(url, tmp_path) as there:
            text, heard = await made(there.db), list[str]()
            with here.db.bus.listening(topics.TOKENS, heard.extend):
                async with asyncio.timeout(40):
                    while "2" not in heard:  # until it follows
                        await say(there.db, 2)
                        await asyncio.sleep(0.05)
                    while not here.one(KnownTokens)._known:  # what was said before may come late
                        assert await is_good(here, text)
                    await revoke(there.db)
                    while "1" not in heard:
                        await asyncio.sleep(0.01)
            assert not await is_good(here, text)


async def say(db: Database, number: int) -> None:
    """That the token with this number was revoked, as if it was."""
    async with db.write() as conn:
        tell_revoked(conn, number)


async def test_one_that_is_revoked_while_it_is_read_is_not_remembered(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await made(db)
    async with replica(database_url, tmp_path) as parts:

        async def slowly(conn: AsyncConnection, id_: int) -> object:
            found = await find(conn, id_)
            await revoke(parts.db)
            return found

        monkeypatch.setattr(known_tokens, "find", slowly)
        await is_good(parts, text)
        monkeypatch.undo()
        assert not await is_good(parts, text)


async def test_one_that_is_remembered_expires_all_the_same(db: Database, database_url: str, tmp_path: Path) -> None:
    text, times = await made(db, expires_at=now() + timedelta(hours=1)), [now()]
    async with replica(database_url, tmp_path, clock=lambda: times[-1]) as parts:
        assert await is_good(parts, text)
        assert parts.one(KnownTokens)._known
        times.append(now() + timedelta(hours=2))
        assert not await is_good(parts, text)


async def test_another_secret_with_a_number_that_is_remembered_is_refused(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    text = await made(db)
    async with replica(database_url, tmp_path) as parts:
        assert await is_good(parts, text)
        assert not await is_good(parts, text[:-4] + ("AAAA" if not text.endswith("AAAA") else "BBBB"))
