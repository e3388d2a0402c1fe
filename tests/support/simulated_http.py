"""HTTP/1.1 as cheap as it gets: a connection that thousands of simulated agents can each hold open."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

_CONNECT_S = 15.0
_END = b"\r\n\r\n"


class CutError(Exception):
    """There was no whole answer: nobody listens, the connection was cut, or it took too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `retry_after_s` is that header, None without it."""

    status: int
    retry_after_s: float | None
    body: bytes


class Line:
    """A connection to `host:port`, opened when something is sent and kept for what comes next."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._reading: _Reading | None = None
        self._closed = False

    async def post(self, path: str, headers: Mapping[str, str], body: bytes, *, limit_s: float) -> Answer:
        """Send, and wait for the answer. Raises `CutError`."""
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{head}Content-Length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(limit_s + _CONNECT_S):
                reading = await self._open()
                answer = await reading.ask(request.encode() + body)
        except (OSError, TimeoutError) as error:
            self._cut()
            raise CutError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self._cut()
            raise
        if reading.closing:
            self._cut()
        return answer

    def close(self) -> None:
        """Cut it, or what is being opened as soon as it is, for good."""
        self._closed = True
        self._cut()

    def _cut(self) -> None:
        if self._reading is not None:
            self._reading.transport.abort()
            self._reading = None

    async def _open(self) -> _Reading:
        if self._reading is None or self._reading.gone:
            loop = asyncio.get_running_loop()
            _, self._reading = await loop.create_connection(_Reading, self.host, self.port)
        if self._closed:
            raise CutError("it was closed while it was opened")
        return self._reading


class _Reading(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.gone = False
        self.closing = False
        self._data = bytearray()
        self._answer: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        if self.gone:
            raise CutError("the connection was closed")
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(_END)
        if end < 0:
            return
        first, *lines = bytes(self._data[:end]).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        whole = end + len(_END) + int(headers.get("content-length", -1))
        if "content-length" not in headers:
            self.transport.abort()  # nobody here reads chunks
        elif len(self._data) >= whole:
            body = bytes(self._data[end + len(_END) : whole])
            del self._data[:whole]
            self.closing = headers.get("connection", "").lower() == "close"
            self._done(int(first.split()[1]), headers, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(CutError(f"cut: {exc}"))

    def _done(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        after = headers.get("retry-after")
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(status, float(after) if after else None, body))


class Lines:
    """At most `most` connections that everybody takes turns with, spread over several managers."""

    def __init__(self, most: int) -> None:
        self._turn = asyncio.Semaphore(most)
        self._free: dict[tuple[str, int], list[Line]] = {}

    async def post(
        self, at: tuple[str, int], path: str, headers: Mapping[str, str], body: bytes, *, limit_s: float
    ) -> Answer:
        """Like `Line.post`, to the manager `at`."""
        async with self._turn:
            free = self._free.setdefault(at, [])
            line = free.pop() if free else Line(*at)
            answer = await line.post(path, headers, body, limit_s=limit_s)
            free.append(line)
            return answer

    def close(self) -> None:
        """Cut those that nobody uses."""
        for line in [line for lines in self._free.values() for line in lines]:
            line.close()
        self._free.clear()
