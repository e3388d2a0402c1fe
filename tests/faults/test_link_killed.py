"""A link that is killed anywhere, again and again, loses nothing that was on its disk and tells nothing twice."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.support.assigned import NEW
from tests.support.fake_manager import FakeManager, fake_manager

from tidegate.agent.link.log import LinkLog

ROOT = Path(__file__).resolve().parents[2]


class Lives:
    """What the link said that it has on its disk (`told`), and the ids of what it was assigned."""

    def __init__(self, manager: FakeManager, directory: Path, token: str) -> None:
        self.told: list[str] = []
        self.assigned: list[str] = []
        self._manager = manager
        self._command = ["-m", "tests.support.talking_agent", manager.url, str(directory), token]

    async def one(self, seconds: float) -> None:
        """From its start to SIGKILL, with an assignment every few milliseconds."""
        before = self._polls()
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *self._command,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert child.stdout is not None
        reading = asyncio.create_task(child.stdout.read())
        await self._assign(seconds, before)
        child.kill()
        whole, _, _ = (await reading).decode().rpartition("\n")
        await child.wait()
        self.told += [line.removeprefix("told ") for line in whole.splitlines() if line.startswith("told ")]

    def _polls(self) -> int:
        """How often the agent has asked for assignments."""
        return sum(agent.polls for agent in self._manager.agents.values())

    async def _assign(self, seconds: float, polls: int) -> None:
        """Once it has asked more than `polls` times: the next time it may be kept waiting."""
        async with asyncio.timeout(30):
            while self._polls() == polls:
                await asyncio.sleep(0.02)
        (agent,) = self._manager.agents.values()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            target = f"shop/{len(self.assigned)}"
            self.assigned.append(await self._manager.assign(agent.id, target, NEW))
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("lives", [5, pytest.param(40, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
async def test_a_link_that_is_killed_anywhere_loses_nothing_and_tells_nothing_twice(tmp_path: Path, lives: int) -> None:
    async with fake_manager() as manager:
        link = Lives(manager, tmp_path, await manager.token())
        for life in range(lives):
            manager.lose = life % 3
            await link.one(random.uniform(0.02, 0.5))
        (agent,) = manager.agents.values()
    log = LinkLog(tmp_path)
    applied = Counter(str(event["tag"]) for event in agent.events)
    queued = dict(log._read().queue)
    assert link.told
    assert max(applied.values()) == 1
    assert set(link.told) <= {*applied, *(event["tag"] for event in queued.values())}
    again = [event["tag"] for number, event in queued.items() if number <= agent.streams[log._read().stream]]
    assert set(again) <= set(applied)  # what is sent again is passed over by its number: it is the same
    coming = {item.document for seq, _, item in agent.outbox if seq > log.cursor}
    assert len(log.entries) + len(coming) == len(link.assigned)
    assert set(log.entries) <= set(link.assigned)
