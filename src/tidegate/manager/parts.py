"""What everything in the manager is built from."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from tidegate.manager.agents.keys import KeysError, read_keys
from tidegate.manager.settings import ManagerSettings
from tidegate.manager.store.database import Database
from tidegate.protocol.keys import make_key

T = TypeVar("T")
Clock = Callable[[], datetime]


class KeyFileError(Exception):
    """The file of the signing key cannot be used; the message says which, why and what to do."""


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
    """Parts for these settings; a signing key is made where there is none. Nothing is connected yet.

    Raises `StoreError` and `KeyFileError`.
    """
    check_key(settings.signing_key_file)
    return Parts(settings, Database.at(settings.database_url), clock)


def check_key(path: Path) -> None:
    """See that this file has a signing key; one is made, for its owner alone, where there is none.

    Raises `KeyFileError`.
    """
    try:
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another replica has made it meanwhile
                make_key_file(path)
        read_keys(path)
    except OSError as error:
        raise KeyFileError(f"the signing key {path} cannot be made: {error}") from error
    except KeysError as error:
        raise KeyFileError(str(error)) from error


def make_key_file(path: Path) -> None:
    """Write a new key, all of it or nothing. Raises `FileExistsError` where there is a file already."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(make_key())
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)
