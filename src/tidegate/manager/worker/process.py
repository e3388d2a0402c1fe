"""The worker as a service of the manager's: started, talked to, and ended."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator

from tidegate.manager.parts import Parts
from tidegate.manager.store.database import Database
from tidegate.manager.worker.line import ASK, BUS, OVER, TOLD, Line, messages
from tidegate.manager.worker.turns import Lender

COMMAND = ["-P", "-m", "tidegate.manager.worker"]
"""What Python runs there. It has this process's environment, and so its settings."""
_ENDS_S = 2.0
"""More is not waited for: what it was about to write is written by the next one."""


class EndedError(Exception):
    """The worker has ended, though nobody told it to."""


class Worker:
    """Everything of the manager's that may compute for seconds, in a process of its own."""

    name = "worker"

    def __init__(self, parts: Parts) -> None:
        self._db: Database = parts.db

    async def run(self) -> None:
        """Have it run until cancelled. Raises `EndedError`."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            async with _program(theirs) as process:
                theirs.close()
                line = await Line.over(ours)
                try:
                    await self._talk(line)
                finally:
                    line.close()
                status = await process.wait()
        raise EndedError(f"the worker has ended ({_in_words(status)})")

    async def _talk(self, line: Line) -> None:
        lender = Lender(self._db.turn, line)
        line.say(BUS, self._db.bus.id)
        try:
            with self._db.bus.relayed(line.relay):
                async for words in line.heard():
                    match words[0]:
                        case str(kind) if kind == TOLD:
                            self._db.bus.deliver(messages(words), source=line.relay)
                        case str(kind) if kind == ASK:
                            lender.ask(words[1])
                        case str(kind) if kind == OVER:
                            lender.over(words[1])
        finally:
            await lender.close()


@contextlib.asynccontextmanager
async def _program(theirs: socket.socket) -> AsyncIterator[asyncio.subprocess.Process]:
    """It ends when nobody talks to it any more; if not in time, it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *COMMAND,
        str(theirs.fileno()),
        pass_fds=[theirs.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        try:
            async with asyncio.timeout(_ENDS_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _in_words(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
