"""What the contract of the agent's link asks of a manager, beyond the agent's routes themselves.

A manager is put under the contract by one line in `MANAGERS`: a context in which it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from tests.support.fake_manager import fake_manager
from tests.support.real_manager import real_manager


class Manager(Protocol):
    """A manager that can be told what people, and its own planner, would tell it."""

    @property
    def url(self) -> str:
        """Where it answers."""

    async def token(self, name: str = "", *, expires_in: timedelta = timedelta(hours=1)) -> str:
        """A new token to enrol one agent with."""

    async def assign(self, agent: str, target: str, digest: str, **more: Any) -> str:
        """Put an assignment into the outbox of an agent (by its id); the assignment's id."""

    async def pin(self, agent: str) -> None:
        """Have a new key from now on, and tell the agent."""

    async def revoke(self, agent: str) -> None:
        """Cut the agent off."""

    async def applied(self, agent: str) -> list[dict[str, Any]]:
        """The events of an agent that were applied, oldest first: at least their `kind`."""

    async def restart(self) -> None:
        """End as by SIGKILL, and answer again at the same address with what was on disk."""


MANAGERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Manager]]] = {
    "fake": fake_manager,
    "real": real_manager,
}
