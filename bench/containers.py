"""Many containers, made and removed several at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from tidegate.engine.docker import DockerEngine

_AT_ONCE = 6
_LABEL = "tidegate-bench"
T = TypeVar("T")


@asynccontextmanager
async def containers(images: Sequence[str], *, created: int = 0, running: int = 0) -> AsyncIterator[None]:
    """So many containers on the engine, over the images in turn, without a network. Gone when the block ends."""
    mark = secrets.token_hex(4)
    try:
        await _make(mark, images, created, running)
        yield
    finally:
        await _remove(mark)


async def _make(mark: str, images: Sequence[str], created: int, running: int) -> None:
    async with _engine() as engine:

        async def make(number: int) -> None:
            request = {"Image": images[number % len(images)], "Labels": {_LABEL: mark}}
            made = await engine.create(f"bench-{mark}-{number}", {**request, "HostConfig": {"NetworkMode": "none"}})
            if number < running:
                await engine.start(made)

        await _several_at_once(make, range(created + running))


async def _remove(mark: str) -> None:
    async with _engine() as engine:
        rows = await engine.containers(labels={_LABEL: mark})
        await _several_at_once(lambda row: engine.remove(row, force=True), [row.id for row in rows])


@asynccontextmanager
async def _engine() -> AsyncIterator[DockerEngine]:
    engine = await DockerEngine.open(os.environ.get("DOCKER_HOST"))
    try:
        yield engine
    finally:
        await engine.close()


async def _several_at_once(work: Callable[[T], Awaitable[None]], items: Sequence[T]) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    await asyncio.gather(*(one(item) for item in items))
