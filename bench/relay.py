"""A relay in front of a server that counts what passes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_CHUNK = 65536


@dataclass
class Traffic:
    """Bytes to and from the server, and connections."""

    sent: int = 0
    received: int = 0
    connections: int = 0


@asynccontextmanager
async def relay(port: int, traffic: Traffic, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Relay a port of `host` to one of loopback for as long as the block lasts; the port to connect to.

    Where the server does not answer, a connection is closed at once.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        traffic.connections += 1
        with contextlib.suppress(OSError), contextlib.closing(writer):
            await both_ways(reader, writer)

    async def both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)

        async def up() -> None:
            while data := await reader.read(_CHUNK):
                traffic.sent += len(data)
                inner_writer.write(data)
            inner_writer.close()

        async def down() -> None:
            while data := await inner_reader.read(_CHUNK):
                traffic.received += len(data)
                writer.write(data)
            writer.close()

        with contextlib.closing(inner_writer):
            await asyncio.gather(up(), down())

    server = await asyncio.start_server(serve, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
