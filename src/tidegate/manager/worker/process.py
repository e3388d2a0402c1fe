"""The worker as a service of the manager's: started, talked to, and ended."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator

import structlog

from tidegate.agent.within import within
from tidegate.manager.parts import Parts
from tidegate.manager.worker.line import ASK, BEGIN, FAULT, OVER, PING, TOLD, Line, messages
from tidegate.manager.worker.order import Order
from tidegate.manager.worker.turns import LONGEST_S, Lender

COMMAND = ["-P", "-m", "tidegate.manager.worker"]
"""What Python runs there."""
_PING_S = 10.0
_ANSWERS_S = 60.0
_ENDS_S = 2.0
"""More is not waited for: what it was about to write is written by the next one."""
_log = structlog.get_logger(__name__)


class EndedError(Exception):
    """The worker has ended, though nobody told it to."""


class Worker:
    """Everything of the manager's that may compute for seconds, in a process of its own."""

    name = "worker"

    def __init__(self, parts: Parts) -> None:
        self._parts, self._db = parts, parts.db

    async def run(self) -> None:
        """Have it run until cancelled, or until the manager is about to end. Raises `EndedError`."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            async with _program(theirs) as process:
                theirs.close()
                await self._over(await Line.over(ours), process)
        if not self._parts.stopping.is_set():
            raise EndedError(f"the worker has ended ({_in_words(process.returncode)})")

    async def _over(self, line: Line, process: asyncio.subprocess.Process) -> None:
        answered = asyncio.Event()
        beside = [
            asyncio.create_task(self._end_in_time(line), name="the worker's end"),
            asyncio.create_task(_watch(line, answered, process), name="the worker's watch"),
        ]
        try:
            await self._talk(line, answered, process)
            await process.wait()
        finally:
            for task in beside:
                task.cancel()
            line.close()

    async def _end_in_time(self, line: Line) -> None:
        """It ends while the last requests are answered."""
        await self._parts.stopping.wait()
        line.close()

    async def _talk(self, line: Line, answered: asyncio.Event, process: asyncio.subprocess.Process) -> None:
        lender = Lender(self._db.turn, line, lambda: _stalled(process), LONGEST_S)
        line.say(BEGIN, Order.of(self._parts).words())
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
                        case str(kind) if kind == FAULT:
                            self._db.tell_fault()
                        case _:
                            answered.set()
        finally:
            await lender.close()
            self._db.bus.deliver_anything()  # what it was about to tell when it ended


@contextlib.asynccontextmanager
async def _program(theirs: socket.socket) -> AsyncIterator[asyncio.subprocess.Process]:
    """It ends when nobody talks to it any more; if not in time, it is killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *COMMAND,
        str(theirs.fileno()),
        pass_fds=[theirs.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is for the server, which has it end
    )
    ended = asyncio.ensure_future(process.wait())
    try:
        yield process
    finally:
        await asyncio.wait([ended], timeout=_ENDS_S)
        _kill(process)
        await ended


async def _watch(line: Line, answered: asyncio.Event, process: asyncio.subprocess.Process) -> None:
    """One that hangs decides nothing, and nobody would notice."""
    while True:
        answered.clear()
        line.say(PING)
        if not await within(answered, _ANSWERS_S):
            _log.error("the worker does not answer, and is killed", seconds=_ANSWERS_S)
            _kill(process)
            return
        await asyncio.sleep(_PING_S)


def _stalled(process: asyncio.subprocess.Process) -> None:
    _log.error("the worker has had its turn to write for too long, and is killed", seconds=LONGEST_S)
    _kill(process)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _in_words(status: int | None) -> str:
    return f"killed by {signal.Signals(-status).name}" if status is not None and status < 0 else f"exit status {status}"
