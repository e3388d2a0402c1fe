"""What everything in the manager is built from."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

from tidegate.manager.settings import ManagerSettings
from tidegate.manager.store.database import Database

T = TypeVar("T")
Clock = Callable[[], datetime]


class Service(Protocol):
    """Something that the manager does in the background, until it is cancelled."""

    async def run(self) -> None:
        """Work; whatever it raises is logged, and it is run again after a while."""


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """Settings, database and clock of one manager.

    `stopping` is set when the process is about to end: streams and long polls end then. `one` gives what a process has
    one of (such as waiters that routes and background work share).
    """

    settings: ManagerSettings
    db: Database
    clock: Clock = now
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def one(self, make: Callable[["Parts"], T]) -> T:
        """The one thing that `make` makes of these parts."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("T", self._made[make])


def make_parts(settings: ManagerSettings, clock: Clock = now) -> Parts:
    """Parts for these settings. Nothing is connected yet. Raises `StoreError`."""
    return Parts(settings, Database.at(settings.database_url), clock)
