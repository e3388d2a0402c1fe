"""Simulated agents in a process of their own, told what to do by lines of JSON: see `bench/manager.py`.

bench/manager_agents.py: reads {"do": NAME, ...} and answers each with one line.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

from tests.support.simulated_agents import (  # noqa: E402 - the path comes first
    REPOSITORY,
    TAG,
    Patience,
    Say,
    SimulatedAgent,
    World,
)
from tests.support.simulated_http import Lines  # noqa: E402 - as above

from tidegate.domain.assignment import Assignment  # noqa: E402 - as above
from tidegate.domain.rollout_apply import Outcome  # noqa: E402 - as above
from tidegate.manager.garbage import collect_rarely  # noqa: E402 - as above
from tidegate.protocol.events import Sighting  # noqa: E402 - as above

_LINES = 256
_LOOK_S = 0.02


class Agents:
    """All of them, and what they can be told to do; each command returns what is answered."""

    def __init__(self, managers: Sequence[tuple[str, int]], tokens: Sequence[str], spread_s: float) -> None:
        self._spread_s = spread_s
        self._world = World(managers, self._script, Patience(), lines=Lines(_LINES))
        self._world.may_begin.clear()
        self._agents = [SimulatedAgent(self._world, f"host{n}", token) for n, token in enumerate(tokens)]
        self._tasks: list[asyncio.Task[None]] = []

    def _script(self, agent: str, it: Assignment) -> Sequence[Say]:
        del agent, it
        return [Say(random.uniform(0, self._spread_s), how) for how in (Outcome.BEGUN, Outcome.HEALTHY)]

    async def enrol(self, at_once: int) -> dict[str, Any]:
        """Everybody; `at_once` at a time."""
        turn, took = asyncio.Semaphore(at_once), list[float]()

        async def one(agent: SimulatedAgent) -> None:
            async with turn:
                began = time.monotonic()
                await agent.enrol()
                took.append(time.monotonic() - began)

        began = time.monotonic()
        await asyncio.gather(*(one(agent) for agent in self._agents))
        return {"took_s": time.monotonic() - began, "each_s": took}

    async def hold(self) -> dict[str, Any]:
        """Everybody tells what runs and polls; until all has been told."""
        began = time.monotonic()
        collect_rarely()  # or all of them stop at the same moment, for as long as it takes, and come back together
        self._tasks = [asyncio.create_task(agent.run()) for agent in self._agents]
        await self._until_told()
        return {"took_s": time.monotonic() - began}

    async def sight(self, digest: str) -> dict[str, Any]:
        """One sees a release; until everybody was offered it."""
        began = time.monotonic()
        self._agents[0].tell(Sighting(datetime.now(UTC), REPOSITORY, TAG, digest))
        got = self._world.record.got
        offered, looked = set[str](), 0
        while len(offered) < len(self._agents):
            await self._pause()
            offered.update(one.agent for one in got[looked:] if one.it.digest == digest)
            looked = len(got)
        times = sorted(one.at - began for one in got if one.it.digest == digest)
        at = {f"{part}_percent_s": times[len(times) * part // 100] for part in (25, 50, 75, 90, 99)}
        return {"first_s": times[0], **at, "all_s": times[-1]}

    async def begin(self) -> dict[str, Any]:
        """Everybody carries out what it was offered; until everything has been told."""
        began, batches = time.monotonic(), self._batches
        self._world.may_begin.set()
        while not all(agent.idle for agent in self._agents):
            await self._pause()
        took_s = time.monotonic() - began
        return {"took_s": took_s, "batches": self._batches - batches}

    async def tell(self, rounds: int) -> dict[str, Any]:
        """Everybody tells what runs, so many times, as fast as the manager takes it."""
        began, batches = time.monotonic(), self._batches
        for _ in range(rounds):
            for agent in self._agents:
                agent.tell(agent.inventory())
            await self._until_told()
        return {"took_s": time.monotonic() - began, "batches": self._batches - batches}

    async def check(self, given: str) -> dict[str, Any]:
        """What is wrong, `given` being a file with the ids of all assignments; and what was answered."""
        record = self._world.record
        ids = set(Path(given).read_text(encoding="ascii").split())
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return {"faults": record.check(ids), "assignments": len(ids), "answers": record.answers, "peak_mib": peak_mib}

    async def end(self) -> dict[str, Any]:
        """Everybody goes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return {}

    @property
    def _batches(self) -> int:
        return self._world.record.answers["events 200"]

    async def _until_told(self) -> None:
        while not all(agent.applied and not agent.untold for agent in self._agents):
            await self._pause()

    async def _pause(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()
        await asyncio.sleep(_LOOK_S)


async def main() -> None:
    """Obey until there is no more to read."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    first = json.loads(sys.stdin.readline())
    tokens = Path(first["tokens"]).read_text(encoding="ascii").split()
    agents = Agents([(host, port) for host, port in first["managers"]], tokens, first["spread_s"])
    while line := await asyncio.to_thread(sys.stdin.readline):
        words = json.loads(line)
        print(json.dumps(await getattr(agents, words.pop("do"))(**words)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
