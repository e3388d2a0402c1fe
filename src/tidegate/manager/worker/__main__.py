"""`python -m tidegate.manager.worker FD`: the worker, which the server talks to over the socket FD.

It ends when the server does, however that ends: then nobody is at the other end of the socket.
"""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

import uvloop

from tidegate.agent.logs import configure_logs
from tidegate.manager.agents.keys import KeyFile
from tidegate.manager.garbage import collect_rarely
from tidegate.manager.library_logs import log_libraries
from tidegate.manager.parts import now
from tidegate.manager.rollouts.service import deciding
from tidegate.manager.store.bus import Bus
from tidegate.manager.store.database import Database
from tidegate.manager.supervision import at_work
from tidegate.manager.worker.line import BEGIN, FAULT, PING, PONG, TOLD, YOURS, Line, messages
from tidegate.manager.worker.order import Order, OrderError
from tidegate.manager.worker.turns import Borrower

_ENDS_S = 1.0


def main() -> None:
    """Work until the server is gone."""
    for told_to_all in (signal.SIGINT, signal.SIGTERM):  # by an init: the server says when it is time
        signal.signal(told_to_all, signal.SIG_IGN)
    os.umask(0o077)
    collect_rarely()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work(int(sys.argv[1])))
    except OrderError as error:
        sys.exit(f"The worker does not begin: {error}.")


async def work(descriptor: int) -> None:
    """Do what is the worker's for as long as the server is there. Raises `OrderError`."""
    with socket.socket(fileno=descriptor) as sock:
        line = await Line.over(sock)
        async for words in line.heard():
            assert words[0] == BEGIN  # noqa: S101 - it is the first that is said
            await _work(line, Order.read(words[1]))


async def _work(line: Line, order: Order) -> None:
    configure_logs(order)
    log_libraries()
    turn = Borrower(line)
    db = Database.at(order.database_url, turn=turn, bus=Bus(order.bus))
    db.fault_listeners.append(lambda: line.say(FAULT))
    try:
        with db.bus.relayed(line.relay):
            async with at_work(deciding(db, KeyFile(Path(order.signing_key_file)), now)):
                async for words in line.heard():
                    if words[0] == TOLD:
                        db.bus.deliver(messages(words), source=line.relay)
                    elif words[0] == YOURS:
                        turn.yours(words[1])
                    elif words[0] == PING:
                        line.say(PONG)
                asyncio.get_running_loop().call_later(_ENDS_S, _end)
    finally:
        await db.close()


def _end() -> NoReturn:
    """What is not done by now is never done, as if it had been killed: the next worker does it."""
    os._exit(1)


if __name__ == "__main__":
    main()
