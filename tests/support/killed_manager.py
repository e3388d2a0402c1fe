"""A manager that kills itself with SIGKILL at one point: `python -m tests.support.killed_manager POINT`.

A point is `before:NAME@N` or `after:NAME@N`: just before, or just after, the Nth transaction that the function NAME
(`Steps._write`) writes is committed. After it nobody in the process has heard of it yet. Where that is the worker, the
server dies first; with `--alone` it goes on, and has another worker, which lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.__main__ import main
from tidegate.manager.store.bus import Bus
from tidegate.manager.store.database import Database
from tidegate.manager.worker import process
from tidegate.manager.worker.__main__ import main as worker

_SERVER, _WORKER, _ALONE = "--server", "--worker", "--alone"


def arm(point: str, *pids: int) -> None:
    """Have these processes die there."""
    moment, _, which = point.partition(":")
    name, _, number = which.partition("@")
    write, deliver, seen = Database.write, Bus.deliver, Counter[str]()
    doomed = False

    def die() -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    @contextlib.asynccontextmanager
    async def watched(db: Database, caller: str) -> AsyncIterator[AsyncConnection]:
        nonlocal doomed
        async with write(db) as conn:
            yield conn
            seen[caller] += 1
            if caller == name and seen[caller] == int(number):
                doomed = True
                if moment == "before":
                    die()

    def write_of(db: Database) -> Any:
        return watched(db, sys._getframe(1).f_code.co_qualname)

    def die_or_deliver(bus: Bus, messages: Any, **more: Any) -> None:
        if doomed:  # the transaction has been committed
            die()
        deliver(bus, messages, **more)

    Database.write = write_of  # type: ignore[method-assign, assignment]
    Bus.deliver = die_or_deliver  # type: ignore[method-assign, assignment]


def serve(point: str, which: str) -> None:
    """The server, whose first worker is armed."""
    plain, run = process.COMMAND, process.Worker.run

    async def run_and_disarm(it: process.Worker) -> None:
        try:
            await run(it)
        finally:
            process.COMMAND = plain

    process.COMMAND = ["-m", "tests.support.killed_manager", point, _WORKER if which == _SERVER else _ALONE]
    process.Worker.run = run_and_disarm  # type: ignore[method-assign, assignment]
    sys.argv[1:] = ["manager", "serve"]
    main()


def start(point: str, which: str, *rest: str) -> None:
    """What one process is: the words say."""
    match which, rest:
        case [("--server" | "--alone"), []]:
            if which == _SERVER:
                arm(point, os.getpid())
            serve(point, which)
        case [_, [descriptor]]:
            arm(point, *([os.getppid()] if which == _WORKER else []), os.getpid())
            sys.argv[1:] = [descriptor]
            worker()


def words(point: str, *, alone: bool = False) -> Sequence[str]:
    """What Python is to run, for a manager that is killed there."""
    return "-m", "tests.support.killed_manager", point, _ALONE if alone else _SERVER


if __name__ == "__main__":
    start(*sys.argv[1:])
