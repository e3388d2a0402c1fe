"""One client in a 5 ms loop on a published port, a new connection each time."""

from __future__ import annotations

import re
import socket
import threading
import time
from types import TracebackType
from typing import Self

PAUSE_S = 0.005
TIMEOUT_S = 0.1
"""For the connection and the answer together.

The application answers in less than a millisecond. A client that waited longer for a lost packet would measure its
own kernel's first repeat, a second later, instead of how long nobody was there to answer.
"""
_REQUEST = b"GET / HTTP/1.0\r\nHost: bench\r\n\r\n"
_VERSION = re.compile(rb'"version": ?"([^"]*)"')


class SteadyClient:
    """Asks for as long as the `with` block lasts. `answers` are (time, version); `failed` counts the others.

    Where failures are counted, and not the silence, a patient one (`timeout_s`) does not count a busy machine's pauses.
    """

    def __init__(self, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self.answers: list[tuple[float, str]] = []
        self.failed = 0
        self._port, self._timeout_s = port, timeout_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def times(self) -> list[float]:
        """When answers came, by the monotonic clock."""
        return [when for when, _ in self.answers]

    def await_version(self, version: str, limit_s: float = 60) -> float:
        """When the version's first answer came; waits for it. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.answers and self.answers[-1][1] == version:
                return next(when for when, answered in self.answers if answered == version)
            time.sleep(0.01)
        raise TimeoutError(f"version {version} did not answer within {limit_s:g} s")

    def _run(self) -> None:
        while not self._over.is_set():
            version = ask(self._port, self._timeout_s)
            if version is None:
                self.failed += 1
            else:
                self.answers.append((time.monotonic(), version))
            time.sleep(PAUSE_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()


def ask(port: int, timeout_s: float = TIMEOUT_S) -> str | None:
    """Ask once; the version that answered, or None."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
            connection.sendall(_REQUEST)
            return _answer(connection, deadline)
    except OSError:
        return None


def _answer(connection: socket.socket, deadline: float) -> str | None:
    received = b""
    while (rest := deadline - time.monotonic()) > 0:
        connection.settimeout(rest)
        chunk = connection.recv(4096)
        received += chunk
        if not chunk:
            break
    found = _VERSION.search(received) if received.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")) else None
    return found[1].decode() if found else None
