"""A pipeline's word to a manager that runs: signed, taken, refused, repeated."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.support.manager import serving
from tests.support.registry_push import Pusher
from tests.support.releasing import CHANNEL, NEW, Ended, publish, push_release

from groundwork.registry import free_port
from tidegate.domain.webhook import Kind, is_signed, sign
from tidegate.manager.releases.authentic import is_authentic
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

SECRET = "tide-and-time"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def repository() -> str:
    return f"acme/{secrets.token_hex(4)}"


@pytest.fixture
async def image(real: Pusher, real_registry: str, repository: str) -> str:
    return f"{real_registry}/{repository}@{await push_release(real, repository, NEW)}"


@pytest.fixture
def manager_url(database_url: str, tmp_path: Path) -> Iterator[str]:
    with serving(database_url, tmp_path / "data", TIDEGATE_WEBHOOK_GENERIC=SECRET) as one:
        yield one.url


async def follow(db: Database, name: str) -> None:
    repository, _, tag = name.rpartition(":")
    row = {"name": name, "repository": repository, "tag": tag, "created_at": NOON}
    async with db.write() as conn:
        await conn.execute(insert(schema.channels).values(row))


async def tell(image: str, url: str, secret: str = SECRET, *more: str) -> Ended:
    return await publish(image, NEW, "--webhook", url, *more, TIDEGATE_WEBHOOK_SECRET=secret)


async def test_the_manager_asks_the_registry_and_has_the_release_with_its_fixed_tag(
    image: str, manager_url: str, db: Database
) -> None:
    name, _, digest = image.partition("@")
    await follow(db, f"{name}:{CHANNEL}")
    ended = await tell(image, manager_url)
    assert (ended.code, ended.json["webhook"]["asked"]) == (0, [f"{name}:{CHANNEL}"])
    wanted = select(schema.releases.c.digest, schema.releases.c.fixed_tag).where(schema.releases.c.read_at.is_not(None))
    async with asyncio.timeout(60):
        while not (rows := await read(db, wanted)):
            await asyncio.sleep(0.05)  # another process's feed cannot be listened to in SQLite
    assert rows == [(digest, f"autonomy-{NEW}")]


async def read(db: Database, wanted: object) -> list[tuple[object, ...]]:
    async with db.read() as conn:
        return [tuple(row) for row in await conn.execute(wanted)]  # type: ignore[call-overload]


async def test_a_manager_that_follows_no_such_channel_is_no_failure(image: str, manager_url: str) -> None:
    ended = await tell(image, f"{manager_url}/api/v1/webhooks/generic")
    assert (ended.code, ended.json["webhook"]["asked"]) == (0, [])


async def test_a_wrong_secret_is_told_after_the_tags_are_set_and_is_not_shown(image: str, manager_url: str) -> None:
    ended = await tell(image, manager_url, "guess-work")
    assert (ended.code, ended.what()) == (1, {f"autonomy-{NEW}": "set", CHANNEL: "set"})
    assert "it answered 401" in ended.err
    assert "TIDEGATE_WEBHOOK_GENERIC" in ended.err
    assert "guess-work" not in ended.err + ended.out


async def test_a_manager_that_is_away_fails_after_the_tags_are_set_and_is_told_by_repeating(
    image: str, manager_url: str, tmp_path: Path
) -> None:
    away = await tell(image, f"http://127.0.0.1:{free_port()}")
    assert (away.code, "The tags are set" in away.err, "Connection refused" in away.err) == (1, True, True)
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    again = await publish(image, NEW, "--webhook", manager_url, TIDEGATE_WEBHOOK_SECRET_FILE=str(tmp_path / "secret"))
    assert (again.code, again.what()) == (0, {f"autonomy-{NEW}": "kept", CHANNEL: "kept"})
    assert again.json["webhook"]["asked"] == []


def test_a_plain_webhook_is_signed_or_shows_its_secret_and_a_wrong_signature_is_not_made_up_for() -> None:
    body = b'{"image": "reg.test/web:live"}'
    good, wrong = sign(body, SECRET), sign(body + b" ", SECRET)
    assert is_signed(body, good, SECRET)
    assert is_authentic(Kind.GENERIC, {"x-hub-signature-256": good}, body, SECRET)
    assert not is_authentic(Kind.GENERIC, {"x-hub-signature-256": wrong}, body, SECRET)
    shown = {"x-hub-signature-256": wrong, "authorization": f"Bearer {SECRET}"}
    assert not is_authentic(Kind.GENERIC, shown, body, SECRET)
    assert not is_authentic(Kind.HARBOR, {"x-hub-signature-256": good}, body, SECRET)
