"""The agent in the test's own process, or as the program, on the session's engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import strangers

from tidegate.agent.cycle import Looked
from tidegate.agent.decide import Decision
from tidegate.agent.loop import Agent
from tidegate.agent.parts import Parts, assemble
from tidegate.agent.settings import Settings, load_settings

QUICK: Mapping[str, str] = {
    "TIDEGATE_SETTLE": "500ms",
    "TIDEGATE_BAKE": "500ms",
    "TIDEGATE_HEALTH_TIMEOUT": "20s",
    "WATCHTOWER_POLL_INTERVAL": "3600",
}


def environment(state: Path, **more: str) -> dict[str, str]:
    """Settings for an agent of one test; `more` by variable name. It leaves alone what a person runs on the engine."""
    engine = {key: os.environ[key] for key in ("DOCKER_HOST", "DOCKER_CONFIG") if key in os.environ}
    return {**engine, **QUICK, "TIDEGATE_STATE": str(state), **strangers.shielded(more)}


@dataclass
class AgentHere:
    """An agent whose parts a test can reach."""

    parts: Parts
    agent: Agent = field(init=False)

    def __post_init__(self) -> None:
        self.agent = Agent(self.parts)

    async def look(self) -> Looked:
        """One cycle over everything selected."""
        return await self.agent.cycle.run()

    async def decided(self, project: str) -> Mapping[str, Decision]:
        """What one cycle decides of a Compose project, by service; an engine may have other containers too."""
        return {one.place.service: one for one in (await self.look()).decisions if one.place.cluster == project}

    async def collect(self) -> None:
        """What the agent does with private networks at the end of a look."""
        await self.parts.private.collect(self.parts.state.journal.knows, self.parts.clock())

    def outcomes(self) -> list[str]:
        """How each transaction ended, the oldest first."""
        return [str(record["outcome"]) for record in self.parts.state.history.tail(100)]

    def last(self) -> Mapping[str, Any]:
        """The newest line of the history."""
        return self.parts.state.history.tail(1)[0]


@contextlib.asynccontextmanager
async def agent_here(state: Path, *flags: str, **more: str) -> AsyncIterator[AgentHere]:
    """An agent with the state lock, its event reader running, and nothing done yet."""
    settings: Settings = load_settings(flags, environment(state, **more))
    parts = await assemble(settings)
    try:
        parts.state.check_writable()
        assert parts.state.lock.try_acquire()
        parts.hub.start()
        yield AgentHere(parts)
    finally:
        parts.state.lock.release()
        await parts.close()


def tidegate(
    state: Path, *words: str, check: bool = True, timeout_s: float = 120, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `tidegate WORDS...` as a program. AssertionError with its output if it fails, unless `check` is False."""
    command = [sys.executable, "-m", "tidegate", *words]
    env = {"PATH": os.environ["PATH"], **environment(state, **more)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=timeout_s)
    if check and done.returncode != 0:
        raise AssertionError(f"tidegate {' '.join(words)} failed with {done.returncode}: {done.stdout}{done.stderr}")
    return done


async def in_thread(work: Any, *args: Any) -> Any:
    """Run blocking test code beside the agent."""
    return await asyncio.to_thread(work, *args)
