"""A manager that kills itself with SIGKILL at one point: `python -m tests.support.killed_manager POINT`.

A point is `before:NAME@N` or `after:NAME@N`: just before, or just after, the Nth transaction that the function NAME
(`Steps._write`) writes is committed. After it nobody in the process has heard of it yet.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.__main__ import main
from tidegate.manager.store.bus import Bus
from tidegate.manager.store.database import Database


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Have the process die there."""
    moment, _, which = point.partition(":")
    name, _, number = which.partition("@")
    write, deliver, seen = Database.write, Bus.deliver, Counter[str]()
    doomed = False

    @contextlib.asynccontextmanager
    async def watched(db: Database, caller: str) -> AsyncIterator[AsyncConnection]:
        nonlocal doomed
        async with write(db) as conn:
            yield conn
            seen[caller] += 1
            if caller == name and seen[caller] == int(number):
                doomed = True
                if moment == "before":
                    _die()

    def write_of(db: Database) -> Any:
        return watched(db, sys._getframe(1).f_code.co_qualname)

    def die_or_deliver(bus: Bus, messages: Any) -> None:
        if doomed:  # the transaction has been committed
            _die()
        deliver(bus, messages)

    Database.write = write_of  # type: ignore[method-assign, assignment]
    Bus.deliver = die_or_deliver  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    arm(sys.argv.pop())
    sys.argv[1:] = ["manager", "serve"]
    main()
