"""A cluster that a real Watchtower updates, and the agent that tells it to."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import watchtower
from tests.support.agent import in_thread
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import one, services
from tests.support.images import Pushed
from tests.support.kills import agent_killed_at, start_doomed_agent
from tests.support.managed import Fleet

from tidegate.agent.replacement import NEXT

if TYPE_CHECKING:
    from tests.conftest import Push


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as one_:
        one_.bind(("127.0.0.1", 0))
        return int(one_.getsockname()[1])


def rehearsals(compose: Compose) -> list[str]:
    """The states of containers that were made to see whether the engine makes them, and are there still."""
    found = docker("ps", "--all", "--format", "{{.State}}", "--filter", f"name={compose.project}-web-1{NEXT}")
    return found.split()


class Cluster:
    """A service `web`, and the Watchtower that follows its tag, on a port of its own where one is set."""

    def __init__(self, fleet: Fleet, push: Push, theirs: Pushed) -> None:
        self.fleet, self.compose, self.push, self.theirs = fleet, fleet.compose, push, theirs
        self.scope = fleet.compose.project
        self.port = 0

    def up(
        self, labels: dict[str, str] | None = None, more: dict[str, Any] | None = None, **environment: str
    ) -> Pushed:
        """Both, with the first release; `environment` is Watchtower's."""
        first = self.release("1")
        web = one(
            first, labels=watchtower.followed(self.scope) | (labels or {}), restart="unless-stopped", **(more or {})
        )
        theirs = watchtower.service(self.theirs, self.scope, **environment)
        if self.port:
            theirs["ports"] = [f"127.0.0.1:{self.port}:8080"]
        self.compose.write(services(web=web, watchtower=theirs))
        self.compose.up()
        watchtower.wait_for(self.url)
        return first

    def release(self, version: str, **more: Any) -> Pushed:
        """Push a release; the tag names it from now on."""
        return self.push(version, healthcheck=True, **more)

    @property
    def url(self) -> str:
        """Of Watchtower's API."""
        return f"http://{self.compose.address('watchtower', 8080)}"

    @property
    def settings(self) -> dict[str, str]:
        """The agent's."""
        return {
            "TIDEGATE_UPDATE_ENGINE": "watchtower",
            "TIDEGATE_WATCHTOWER": self.url,
            "TIDEGATE_WATCHTOWER_TOKEN": watchtower.TOKEN,
            "WATCHTOWER_LABEL_ENABLE": "true",
            "WATCHTOWER_SCOPE": self.scope,
        }

    def at_work(self, state: Path, **more: str) -> Any:
        """The agent beside them."""
        return self.fleet.at_work(state, **self.settings | more)

    async def killed_at(self, point: str, state: Path, release: Pushed, **more: str) -> None:
        """An agent that is told to bring a release, and is killed at a point of that."""
        settings = {"KEEPS_RUNNING": "1", **self.settings, **self.fleet.environ, **more}
        doomed = asyncio.create_task(in_thread(lambda: agent_killed_at(point, state, **settings)))
        await self.fleet.until(self.fleet.inventory)
        await self.fleet.assign(release)
        await doomed

    async def told_to_stop_at(self, point: str, state: Path, release: Pushed) -> None:
        """The same, but it is told to stop there, and ends by itself."""
        agent = start_doomed_agent(f"term:{point}", state, **self.settings | self.fleet.environ)
        await self.fleet.until(self.fleet.inventory)
        await self.fleet.assign(release)
        output, _ = await in_thread(lambda: agent.communicate(timeout=240))
        assert agent.returncode == 0, output

    def log(self) -> str:
        """What Watchtower says."""
        return self.compose.run("logs", "watchtower").stdout

    def pinned(self) -> str:
        """The image that `web` was made from, as its container names it."""
        return str(self.compose.container("web")["Config"]["Image"])
