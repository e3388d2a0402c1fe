"""A real registry, set up as the page about releases says, tells a manager that runs of what is pushed to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from sqlalchemy import insert, select
from tests.manager.releases.conftest import NOON
from tests.support import images
from tests.support.manager import Caller, Manager, people, serving
from tests.support.pages import blocks
from tests.support.registry import MANIFEST, Registry
from tests.support.registry_server import registry_server
from tests.support.web_server import WebServer

from groundwork.registry import LOG, free_port
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

SECRET = "tide-and-time"
T = TypeVar("T")
(SECTION,) = [block.text for block in blocks("yaml") if block.page == "releases.md"]


def notifications(manager_url: str, secret: str = SECRET) -> str:
    """What the page has one add to a registry's configuration."""
    return SECTION.replace("https://tidegate.example.com", manager_url).replace("SECRET", secret)


@contextmanager
def telling(folder: Path, manager_url: str, secret: str = SECRET) -> Iterator[Registry]:
    """A registry that tells the manager at this address."""
    with registry_server(folder, more=notifications(manager_url, secret)) as address:
        yield Registry(address)


async def push(registry: Registry, version: str) -> images.Pushed:
    """Push as `acme/web:live`, in the steps and forms in which Docker pushes."""
    labels = {"org.opencontainers.image.version": version, "team": "tide"}
    layer = images.layer_of({"/version": version.encode()})
    return await asyncio.to_thread(
        images.push, registry, "acme/web:live", {"Labels": labels}, [layer], architecture=images.ARCHITECTURE
    )


async def follow(db: Database, registry: Registry) -> None:
    """A channel whose registry nobody asks before it is told of."""
    repository = f"{registry}/acme/web"
    row = {"name": f"{repository}:live", "repository": repository, "tag": "live", "created_at": NOON}
    async with db.write() as conn:
        await conn.execute(insert(schema.channels).values(row))


async def until(get: Callable[[], Awaitable[T]]) -> T:
    """The first true value; another process's database tells nobody here of what comes into it."""
    async with asyncio.timeout(60):
        while not (value := await get()):
            await asyncio.sleep(0.05)
        return value


@pytest.fixture
def manager(database_url: str, tmp_path: Path) -> Iterator[Manager]:
    with serving(database_url, tmp_path / "data", TIDEGATE_WEBHOOK_DISTRIBUTION=SECRET) as one:
        yield one


@pytest.fixture
async def viewer(manager: Manager, db: Database) -> AsyncIterator[Caller]:
    async with people(manager, db) as some:
        yield some.viewer


async def releases_of(viewer: Caller) -> list[dict[str, Any]]:
    """Those that were read from their registry, the newest first."""
    items = (await viewer.get("/releases")).json["items"]
    return [one for one in items if one["read_at"]]


async def test_what_is_pushed_to_a_registry_is_a_release_with_its_labels(
    viewer: Caller, manager: Manager, db: Database, tmp_path: Path
) -> None:
    with telling(tmp_path / "registry", manager.url) as registry:
        await follow(db, registry)
        pushed = await push(registry, "7.2.1")
        (found,) = await until(lambda: releases_of(viewer))
    assert (found["channel"]["name"], found["digest"]) == (pushed.reference, pushed.digest)
    assert (found["version"], found["told_by"], found["trouble"]) == ("7.2.1", "registry", "")
    assert (await viewer.get(f"/releases/{found['id']}")).json["labels"]["team"] == "tide"


async def test_what_is_pushed_twice_is_told_twice_and_is_one_release(
    viewer: Caller, manager: Manager, db: Database, tmp_path: Path
) -> None:
    with telling(tmp_path / "registry", manager.url) as registry:
        await follow(db, registry)
        first = await push(registry, "1")
        await until(lambda: releases_of(viewer))
        asked_at = await _asked_at(db)
        assert await push(registry, "1") == first

        async def asked_again() -> bool:
            return bool(await _asked_at(db) != asked_at)

        await until(asked_again)
    assert [one["digest"] for one in await releases_of(viewer)] == [first.digest]


async def _asked_at(db: Database) -> Any:
    """When the registry was last asked for the one channel."""
    async with db.read() as conn:
        return (await conn.execute(select(schema.channels.c.polled_at))).scalar_one()


async def test_a_registry_with_a_wrong_secret_is_refused_and_told_until_it_is_put_right(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    port = free_port()
    with telling(tmp_path / "registry", f"http://127.0.0.1:{port}") as registry:
        await follow(db, registry)
        with serving(database_url, tmp_path / "data", port=port, TIDEGATE_WEBHOOK_DISTRIBUTION="another"):
            pushed = await push(registry, "1")
            await until(lambda: _logged(tmp_path / "registry", "response status 401 Unauthorized unaccepted"))
            assert (await _asked_at(db), await _digests(db)) == (None, [])
        with serving(database_url, tmp_path / "data", port=port, TIDEGATE_WEBHOOK_DISTRIBUTION=SECRET):
            assert await until(lambda: _digests(db)) == [pushed.digest]


async def _digests(db: Database) -> list[str]:
    async with db.read() as conn:
        return list((await conn.execute(select(schema.releases.c.digest))).scalars())


async def _logged(folder: Path, words: str) -> bool:
    return words in (folder / LOG).read_text(encoding="utf-8")


async def test_of_a_push_one_notification_is_sent_and_of_layers_and_pulls_none(tmp_path: Path) -> None:
    taken: asyncio.Queue[tuple[str | None, Any]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        taken.put_nowait((request.headers.get("Authorization"), await request.json()))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/api/v1/webhooks/distribution", take)
    async with WebServer(app) as server:
        with telling(tmp_path / "registry", str(server.make_url("")).rstrip("/")) as registry:
            for version in ("1", "2"):  # of the first's pull it would be told before the second
                pushed = await push(registry, version)
                header, document = await asyncio.wait_for(taken.get(), 60)
                told = [(one["action"], one["target"]["digest"]) for one in document["events"]]
                assert (header, told) == (f"Bearer {SECRET}", [("push", pushed.digest)])
                await asyncio.to_thread(_pull, registry, pushed.digest)


def _pull(registry: Registry, digest: str) -> None:
    status, _, _ = registry.request("GET", f"/v2/acme/web/manifests/{digest}", headers={"Accept": MANIFEST})
    assert status == HTTPStatus.OK
