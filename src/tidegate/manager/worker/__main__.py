"""`python -m tidegate.manager.worker FD`: the worker, which the server talks to over the socket FD.

It ends when the server does, however that ends: then nobody is at the other end of the socket.
"""

import asyncio
import os
import signal
import socket
import sys

import uvloop

from tidegate.agent.logs import configure_logs
from tidegate.manager.garbage import collect_rarely
from tidegate.manager.parts import Parts
from tidegate.manager.rollouts.service import in_worker
from tidegate.manager.settings import ManagerSettings, load_manager_settings
from tidegate.manager.store.bus import Bus
from tidegate.manager.store.database import Database
from tidegate.manager.supervision import at_work
from tidegate.manager.worker.line import BUS, TOLD, YOURS, Line, messages
from tidegate.manager.worker.turns import Borrower


def main() -> None:
    """Work until the server is gone."""
    for told_to_all in (signal.SIGINT, signal.SIGTERM):  # by a terminal or an init: the server says when it is time
        signal.signal(told_to_all, signal.SIG_IGN)
    settings = load_manager_settings(os.environ)
    configure_logs(settings)
    os.umask(0o077)
    collect_rarely()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(settings, int(sys.argv[1])))


async def work(settings: ManagerSettings, descriptor: int) -> None:
    """Do what is the worker's for as long as the server is there."""
    with socket.socket(fileno=descriptor) as sock:
        line = await Line.over(sock)
        async for words in line.heard():
            assert words[0] == BUS  # noqa: S101 - it is the first that is said
            await _work(settings, line, words[1])


async def _work(settings: ManagerSettings, line: Line, bus: str) -> None:
    turn = Borrower(line)
    db = Database.at(settings.database_url, turn=turn, bus=Bus(bus))
    try:
        with db.bus.relayed(line.relay):
            async with at_work(in_worker(Parts(settings, db))):
                async for words in line.heard():
                    if words[0] == TOLD:
                        db.bus.deliver(messages(words), source=line.relay)
                    elif words[0] == YOURS:
                        turn.yours(words[1])
    finally:
        await db.close()


if __name__ == "__main__":
    main()
