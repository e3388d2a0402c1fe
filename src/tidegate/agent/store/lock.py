"""The lock that makes one agent the only writer of a state directory."""

import asyncio
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from tidegate.agent.store.files import StateError, make_directory, telling

_POLL_S = 0.05


class StateLock:
    """The file `lock`; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._descriptor is not None

    def try_acquire(self) -> bool:
        """Take it if nobody has it; whether we have it now. Raises `StateError`."""
        if self._descriptor is not None:
            return True
        make_directory(self._path.parent)
        with telling(self._path):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            except OSError:
                os.close(descriptor)
                raise
        self._descriptor = descriptor
        self._sign(descriptor)
        return True

    async def acquire(self, *, timeout_s: float) -> None:
        """Wait for it, as the successor of an agent that is about to end. Raises `StateError` when time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                # a thread blocked in flock could not be cancelled and would keep the process from ending
                while not self.try_acquire():  # noqa: ASYNC110 - another process holds it, so no event tells
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise StateError(
                f"Another agent (process {self.holder() or 'unknown'}) still uses {self._path.parent}. Stop it, "
                "or give this one a TIDEGATE_STATE of its own."
            ) from error

    def holder(self) -> str:
        """The process id that the last holder wrote down, as its own container counts; empty if unknown."""
        try:
            return self._path.read_text().strip()
        except OSError:
            return ""

    def release(self) -> None:
        """Let go; letting go twice is no error."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @staticmethod
    def _sign(descriptor: int) -> None:
        with suppress(OSError):  # who holds it is for people to read; on a full disk they do without
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
