"""What happens on the engine, and what comes in over HTTP, is acted on at once; the poll interval is an hour here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import at_work, image_of, one, services, until
from tests.support.images import Pushed, build
from tests.support.registry import Registry
from tests.support.registry_fake import FakeRegistry

from tidegate.agent.loop import Agent

API = {
    "WATCHTOWER_HTTP_API_UPDATE": "true",
    "WATCHTOWER_HTTP_API_METRICS": "true",
    "WATCHTOWER_HTTP_API_TOKEN": "s3cret",
    "TIDEGATE_HTTP_LISTEN": "127.0.0.1:0",
}


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


async def pushed_to(fake: FakeRegistry, name: str, version: str) -> Pushed:
    """A release in a registry that counts what it is asked."""
    return await asyncio.to_thread(lambda: build(Registry(fake.address), f"{name}:latest", version=version))


def heads(fake: FakeRegistry, name: str) -> int:
    return fake.requests.count(f"HEAD /v2/{name}/manifests/latest")


async def test_an_outdated_container_that_appears_is_updated_at_once_and_no_other_is_asked_about(
    compose: Compose, fake: FakeRegistry, tmp_path: Path
) -> None:
    still, moving = await pushed_to(fake, "still", "1"), await pushed_to(fake, "moving", "1")
    await asyncio.to_thread(docker, "pull", "--quiet", moving.reference)
    compose.write(services(a=one(still)))
    await asyncio.to_thread(compose.up)
    fake.requests.clear()
    async with agent_here(tmp_path / "state") as here, at_work(here):
        await until(lambda: heads(fake, "still") == 1, "the first look")
        new = await pushed_to(fake, "moving", "2")
        compose.write(services(a=one(still), b=one(moving)))
        await asyncio.to_thread(compose.up)
        await until(lambda: here.outcomes() == ["committed"], "the container that appeared is updated", limit_s=120)
        assert image_of(compose, "b") == new.image_id
        assert heads(fake, "still") == 1
    docker("image", "rm", "--force", moving.image_id, new.image_id, still.image_id, check=False)


async def test_a_container_that_the_agent_once_made_is_looked_at_when_a_person_starts_it(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"))))
    await asyncio.to_thread(compose.up)
    push("2")
    async with agent_here(tmp_path / "state") as here, at_work(here):
        await until(lambda: here.outcomes() == ["committed"], "the first look updates it")
        await asyncio.to_thread(compose.run, "stop", "-t", "1")
        newest = push("3")
        await asyncio.to_thread(compose.run, "start")
        await until(lambda: here.outcomes() == ["committed"] * 2, "it is looked at again", limit_s=120)
    assert image_of(compose, "web") == newest.image_id


async def test_watchtowers_http_api_updates_the_named_images_only_and_counts(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    first, second = push("1", "first"), push("1", "second")
    compose.write(services(a=one(first), b=one(second)))
    compose.up()
    new = push("2", "first")
    # image filters ignore tags, so the other one is in another repository
    other = build(Registry(second.reference.split("/", maxsplit=1)[0]), f"{compose.project}/other:latest", version="1")
    compose.write(services(a=one(first), b=one(other)))
    compose.up()
    build(Registry(other.reference.split("/", maxsplit=1)[0]), f"{compose.project}/other:latest", version="2")
    repository = first.reference.rpartition(":")[0]
    async with agent_here(tmp_path / "state", **API) as here, at_work(here) as agent:
        base = await address(agent)
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer s3cret"}) as session:
            await asyncio.to_thread(docker, "restart", "-t", "0", compose.container("b")["Id"])
            async with session.post(f"{base}/v1/update", params={"image": repository}) as answer:
                assert answer.status == 200
            assert here.outcomes() == ["committed"]
            assert (image_of(compose, "a"), image_of(compose, "b")) == (new.image_id, other.image_id)
            async with session.get(f"{base}/v1/metrics") as answer:
                assert "\nwatchtower_containers_updated 1\n" in (await answer.text()).replace(".0\n", "\n")
        async with aiohttp.ClientSession() as stranger, stranger.post(f"{base}/v1/update") as answer:
            assert (answer.status, await answer.read()) == (401, b"")


async def address(agent: Agent) -> str:
    """Where the agent's HTTP API listens."""
    await until(lambda: agent._api is not None and agent._api.port, "the HTTP API listens")
    assert agent._api is not None
    return f"http://127.0.0.1:{agent._api.port}"
