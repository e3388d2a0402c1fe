"""A port of the machine that leads to one within a private ground, which has a network of its own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_CHUNK = 65536


@contextlib.contextmanager
def on_the_machine(port: int) -> Iterator[int]:
    """Have a port of the machine's loopback lead to this one's for as long as the block lasts; which it is.

    Where the engine is not the ground's own there is one network only, and nothing to do.
    """
    if "GROUND_PRIVATE" not in os.environ:
        yield port
        return
    listener = _listener(port)
    with listener:
        threading.Thread(target=_accept, args=(listener, port), daemon=True).start()
        yield int(listener.getsockname()[1])


def _listener(port: int) -> socket.socket:
    """A socket of the machine's network: it is of the network that the thread which made it was in."""
    made: list[socket.socket] = []

    def make() -> None:
        from groundwork.run import OUTSIDE  # noqa: PLC0415 - of a private ground

        libc = ctypes.CDLL(None, use_errno=True)
        with (Path(os.environ["GROUND_FOLDER"]) / OUTSIDE).open("rb") as network:
            if libc.setns(network.fileno(), _CLONE_NEWNET) != 0:
                return
        try:
            made.append(socket.create_server(("127.0.0.1", port)))
        except OSError:  # somebody's already
            made.append(socket.create_server(("127.0.0.1", 0)))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise OSError("the machine's network cannot be entered from here")
    return made[0]


def _accept(listener: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):  # closed: it is over
        while True:
            outer, _ = listener.accept()
            inner = socket.create_connection(("127.0.0.1", port))
            for one, other in ((outer, inner), (inner, outer)):
                threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(_CHUNK):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)
