"""Pulls by a real engine from a real registry."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from aiohttp import web
from tests.support.docker import docker
from tests.support.engines import unique
from tests.support.images import Pushed, build
from tests.support.registry import MANIFEST, Registry
from tests.support.registry_fake import FakeRegistry, on, status

from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import (
    ImageMissingError,
    PlatformMissingError,
    PullBrokenError,
    PullDeniedError,
    PullError,
    PullLimitedError,
)
from tidegate.engine.model import PullProgress
from tidegate.engine.port import Engine
from tidegate.engine.pulls import pull
from tidegate.engine.transport import Transport

FOREIGN = "s390x"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    opened = await DockerEngine.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture
def shop(registry: Registry) -> Iterator[Pushed]:
    """A release that the engine does not have yet."""
    pushed = build(registry, f"{unique('shop')}:one", version=unique("v"))
    yield pushed
    docker("rmi", "-f", pushed.reference, pushed.pinned, check=False)


async def test_a_pull_by_tag_tells_its_progress(engine: Engine, shop: Pushed) -> None:
    seen: list[PullProgress] = []
    await engine.pull(shop.reference, auth=None, progress=seen.append)
    assert (await engine.image(shop.reference)).id == shop.image_id
    assert any(step.layer and step.status for step in seen)


async def test_a_pull_by_digest_leaves_the_digest_with_the_image(engine: Engine, shop: Pushed) -> None:
    await engine.pull(shop.pinned, auth=None)
    found = await engine.image(shop.pinned)
    assert (found.id, found.repo_digests, found.tags) == (shop.image_id, (shop.pinned,), ())


async def test_a_tag_that_the_registry_does_not_have_is_missing(engine: Engine, shop: Pushed) -> None:
    missing = shop.reference.replace(":one", ":none")
    with pytest.raises(ImageMissingError, match=missing):
        await engine.pull(missing, auth=None)


async def test_an_image_for_other_machines_only_is_told_as_such(engine: Engine, registry: Registry) -> None:
    name = unique("foreign")
    pushed = build(registry, f"{name}:{FOREIGN}", architecture=FOREIGN)
    answer = registry.request("HEAD", f"/v2/{name}/manifests/{pushed.digest}", headers={"Accept": MANIFEST})
    part = {"mediaType": MANIFEST, "digest": pushed.digest, "size": int(answer[1]["content-length"])}
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [{**part, "platform": {"os": "linux", "architecture": FOREIGN}}],
    }
    registry.put_manifest(name, "one", index)
    with pytest.raises(PlatformMissingError, match="not built for this platform"):
        await engine.pull(pushed.reference.replace(f":{FOREIGN}", ":one"), auth=None)


async def test_a_pull_without_the_password_is_denied_and_with_it_is_not(
    engine: Engine, password_registry: Registry
) -> None:
    pushed = build(password_registry, f"{unique('secret')}:one")
    with pytest.raises(PullDeniedError, match="check the credentials"):
        await engine.pull(pushed.reference, auth=None)
    login = {"username": password_registry.user, "password": password_registry.password}
    await engine.pull(pushed.reference, auth=base64.urlsafe_b64encode(json.dumps(login).encode()).decode())
    await engine.remove_image(pushed.reference)


async def test_a_pull_that_stalls_is_given_up_and_the_next_one_ends_it(engine_url: str) -> None:
    link = await Transport.open(engine_url, None)
    stalled = asyncio.Event()

    async def stall(_: web.Request) -> None:
        await stalled.wait()

    async with FakeRegistry() as fake:
        pushed = await asyncio.to_thread(build, Registry(fake.address), f"{unique('slow')}:one", version=unique("v"))
        fake.faults.append(on("GET", "/blobs/", stall))  # type: ignore[arg-type]
        with pytest.raises(PullError, match="no progress within 2 s"):
            await pull(link, pushed.reference, None, None, quiet_s=2)
        fake.faults.clear()
        stalled.set()
        await pull(link, pushed.reference, None, None, quiet_s=60)
    await link.close()
    assert docker("rmi", "-f", pushed.reference)


async def cut(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def other_content(_: web.Request) -> web.Response:
    return web.Response(body=b"something else")


async def asks_for_patience(_: web.Request) -> web.Response:
    return web.Response(status=429, text="Retry later")


@pytest.mark.parametrize(
    ("part", "answer", "kind"),
    [
        ("manifests", cut, PullBrokenError),
        ("manifests", status(502), PullBrokenError),
        ("manifests", status(429), PullLimitedError),
        ("manifests", asks_for_patience, PullLimitedError),
        ("/v2/", status(429), PullLimitedError),
        ("blobs", status(429), PullLimitedError),
        ("blobs", asks_for_patience, PullLimitedError),
        ("blobs", status(403), PullDeniedError),
        ("blobs", other_content, PullError),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_registry_in_trouble_is_told_by_what_it_means_for_the_next_try(
    engine: Engine, part: str, answer: Answer, kind: type[PullError]
) -> None:
    async with FakeRegistry() as fake:
        pushed = await asyncio.to_thread(build, Registry(fake.address), f"{unique('bad')}:one", version=unique("v"))
        fake.faults.append(on("", part, answer))
        with pytest.raises(PullError) as caught:
            await engine.pull(pushed.pinned, auth=None)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
