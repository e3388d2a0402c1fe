"""A server that dies while its worker writes: `python -m tests.support.echo_server SECONDS` says the worker's process.

It kills itself so long after it has asked the worker to write many times. Its database is that of its environment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop
from tests.support import echo_worker

from tidegate.manager.agents.newest_key import claim
from tidegate.manager.parts import make_parts
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store.bus import publish
from tidegate.manager.worker import process


async def main(seconds: float) -> None:
    """Until its death."""
    process.COMMAND = ["-m", echo_worker.__name__]
    parts, answers = make_parts(load_manager_settings(os.environ)), asyncio.Queue[int]()
    async with parts.db.write() as conn:
        await claim(conn, parts.settings.signing_key_file, parts.clock())

    def hear(keys: object) -> None:
        for pid in map(int, keys):  # type: ignore[call-overload]
            answers.put_nowait(pid)

    with parts.db.bus.listening("pid", hear):
        worker = asyncio.create_task(process.Worker(parts).run())
        print(await answers.get(), flush=True)  # noqa: T201 - it is what the test reads
        async with parts.db.write() as conn:
            publish(conn, "question", echo_worker.MANY)
        await asyncio.wait([worker], timeout=seconds)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1])))
