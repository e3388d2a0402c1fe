"""What tests of the agent's features share: Compose documents, an agent that runs, requests it made."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.support.agent import AgentHere
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed

from tidegate.agent.loop import Agent


def services(**each: dict[str, Any]) -> dict[str, Any]:
    """A Compose document."""
    return {"services": each}


def one(image: Pushed | str, **more: Any) -> dict[str, Any]:
    """A service; `labels` as in a Compose file."""
    return {"image": image if isinstance(image, str) else image.reference, "init": False, **more}


def image_of(compose: Compose, service: str) -> str:
    """The image id that a service's only container runs."""
    return str(compose.container(service)["Image"])


def running(compose: Compose, service: str) -> bool:
    """Whether a service's only container runs."""
    return bool(compose.container(service)["State"]["Running"])


def forget(image: Pushed) -> None:
    """Take an image from the engine's store altogether."""
    docker("image", "rm", "--force", image.image_id, check=False)


def on_engine(image: Pushed) -> bool:
    """Whether the engine has the image."""
    return bool(docker("image", "inspect", "--format", "{{.Id}}", image.image_id, check=False))


@contextlib.asynccontextmanager
async def at_work(here: AgentHere, **how: Any) -> AsyncIterator[Agent]:
    """The agent as `tidegate agent run` has it, for as long as the block lasts."""
    here.agent = Agent(here.parts, **how)
    task = asyncio.create_task(here.agent.run())
    try:
        yield here.agent
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until_committed(here: AgentHere, *, limit_s: float = 120) -> None:
    """Wait until the newest update of a running agent is committed. AssertionError after the limit."""
    await until(lambda: here.outcomes()[-1:] == ["committed"], "the update is committed", limit_s=limit_s)


async def until(true: Callable[[], object], what: str, *, limit_s: float = 60) -> None:
    """Wait beside a running agent. AssertionError with `what` after the limit."""
    deadline = time.monotonic() + limit_s
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:g} s"
        await asyncio.sleep(0.1)
