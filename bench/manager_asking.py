"""People who ask the manager at a steady pace while something else goes on, and how long they wait."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

PACE_S = 0.05
"""A request each, whether or not those before have been answered."""
_LIMIT_S = 60.0


class Asking:
    """Latencies by what was asked. What is not answered as it should be counts in `failed`."""

    def __init__(self, url: str, token: str, paths: Sequence[str]) -> None:
        self._url, self._token, self._paths = url, token, paths
        self._took: dict[str, list[float]] = {path: [] for path in paths}
        self._failed = 0
        self._answered = asyncio.Event()

    @asynccontextmanager
    async def meanwhile(self) -> AsyncIterator[None]:
        """Ask for as long as the block lasts, and until something was answered, however short that is."""
        headers = {"Authorization": f"Bearer {self._token}"}
        limit = aiohttp.ClientTimeout(total=_LIMIT_S)
        async with aiohttp.ClientSession(headers=headers, timeout=limit) as session:
            asking = asyncio.create_task(self._ask_on(session))
            try:
                yield
                await self._answered.wait()
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _ask_on(self, session: aiohttp.ClientSession) -> None:
        due = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for path in itertools.cycle(self._paths):
                tasks.create_task(self._ask(session, path))
                due += PACE_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, session: aiohttp.ClientSession, path: str) -> None:
        began = time.monotonic()
        try:
            async with session.get(f"{self._url}/api/v1{path}") as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        if status not in {200, 404}:  # the rollout is not there from the beginning
            self._failed += 1
        self._took[path].append(time.monotonic() - began)
        self._answered.set()

    def summary(self) -> dict[str, Any]:
        """p50, p99 and the worst in ms, of all and of each path."""
        everything = [took for some in self._took.values() for took in some]
        each = {path.partition("?")[0]: _percentiles(some) for path, some in self._took.items()}
        return {**_percentiles(everything), "failed": self._failed, "each": each}


def _percentiles(took: Sequence[float]) -> dict[str, Any]:
    ordered = sorted(took)
    if not ordered:
        return {"n": 0}
    p50, p99 = (round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1) for part in (0.5, 0.99))
    return {"n": len(ordered), "p50_ms": p50, "p99_ms": p99, "max_ms": round(1000 * ordered[-1], 1)}
