"""An agent with a manager, on the session's engine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.fake_manager import Enrolled, FakeManager
from tests.support.features import at_work, until
from tests.support.images import Pushed

from tidegate.agent.link.link import ManagerLink
from tidegate.domain.reference import parse_reference

NAME = "berlin1"
_QUICK = timedelta(seconds=0.5)


@dataclass
class Fleet:
    """A manager with one agent, and what it says to it of one Compose project."""

    manager: FakeManager
    compose: Compose
    environ: dict[str, Any]

    @classmethod
    async def of(cls, manager: FakeManager, compose: Compose) -> Fleet:
        """With a token that the agent enrols with."""
        token = await manager.token()
        environ = {"TIDEGATE_MANAGER": manager.url, "TIDEGATE_ENROL_TOKEN": token, "TIDEGATE_AGENT_NAME": NAME}
        return cls(manager, compose, environ)

    @property
    def agent(self) -> Enrolled:
        """The agent as the manager knows it."""
        (one,) = self.manager.agents.values()
        return one

    async def assign(self, release: Pushed, service: str = "web", generation: int = 1, **more: Any) -> str:
        """Tell the agent to move a service to a release."""
        plain = {"repository": parse_reference(release.reference).name, "generation": generation, **more}
        target = f"{self.compose.project}/{service}"
        return await self.manager.assign(self.agent.id, target, more.pop("digest", release.digest), **plain)

    def told(self, service: str = "web", generation: int | None = None) -> list[str]:
        """The outcomes that were reported of a service, and its refusals, in order."""
        return [
            str(event.get("outcome", event["kind"]))
            for event in self.agent.events
            if event.get("target") == f"{self.compose.project}/{service}" and generation in {None, event["generation"]}
        ]

    def last(self, service: str = "web") -> dict[str, Any]:
        """The last report, or refusal, of a service."""
        target = f"{self.compose.project}/{service}"
        return [event for event in self.agent.events if event.get("target") == target][-1]

    def inventory(self, service: str = "web") -> dict[str, Any]:
        """What the agent said last of a service; nothing before it did."""
        snapshots = [event["targets"] for event in self.agent.events if event["kind"] == "inventory"]
        target = f"{self.compose.project}/{service}"
        return next((one for one in (snapshots[-1] if snapshots else []) if one["target"] == target), {})

    async def until(self, true: Callable[[], object], what: str = "the manager is told", limit_s: float = 120) -> None:
        """Wait beside the agent."""
        await until(lambda: bool(self.manager.agents) and true(), what, limit_s=limit_s)

    @contextlib.asynccontextmanager
    async def at_work(self, state: Path, **more: str) -> AsyncIterator[AgentHere]:
        """The agent as `tidegate agent run` has it; what is busy is asked again soon."""
        async with agent_here(state, **{**self.environ, **more}) as here:
            cast("ManagerLink", here.parts.link)._carrying._retry = _QUICK
            async with at_work(here, busy_retry_s=_QUICK.total_seconds()):
                yield here
