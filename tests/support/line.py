"""A line to a registry that can be cut: what is on its way is lost, and nobody answers until it is mended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.registry import Registry

_RANGE = re.compile(rb"^range: *bytes=(\d+)-", re.IGNORECASE | re.MULTILINE)
_ENGINE = b"user-agent: docker/"
_PIECE = 65536


@dataclass
class Line:
    """Carries bytes to and from the registry.

    `cut_after`: so many bytes towards the engine, then it is cut, once. `cut_at_engine`: as soon as the engine asks.
    `stays_cut` says whether it must be mended by hand then.
    """

    registry: Registry
    cut_after: int | None = None
    cut_at_engine: bool = False
    stays_cut: bool = False
    carried: int = 0
    cuts: int = 0
    resumed: list[int] = field(default_factory=list)
    """From which byte on a layer was asked for, where not from its first."""
    port: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        """Where the registry is reached through it."""
        return f"127.0.0.1:{self.port}"

    async def mend(self) -> None:
        """Carry again, at the same address."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Lose what is on its way; what stays cut refuses whoever comes."""
        self.cuts += 1
        for writer in list(self._open):
            writer.transport.abort()
        if self.stays_cut:
            self.close()

    def close(self) -> None:
        """Carry nothing more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.registry.address.partition(":")
        there, onward = await asyncio.open_connection(host, int(port))
        self._open |= {writer, onward}
        try:
            await asyncio.gather(self._asked(reader, onward), self._answered(there, writer))
        except OSError:
            return
        finally:
            self._open -= {writer, onward}
            writer.transport.abort()
            onward.transport.abort()

    async def _asked(self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            self.resumed += [int(found) for found in _RANGE.findall(piece) if int(found)]
            if self.cut_at_engine and _ENGINE in piece.lower():
                self.cut_at_engine = False
                self.cut()
                return
            onward.write(piece)
            await onward.drain()
        onward.transport.abort()

    async def _answered(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await there.read(_PIECE):
            self.carried += len(piece)
            writer.write(piece)
            await writer.drain()
            if self.cut_after is not None and self.carried >= self.cut_after:
                self.cut_after = None
                self.cut()
                return
        writer.transport.abort()


@asynccontextmanager
async def line_to(registry: Registry) -> AsyncIterator[Line]:
    """A line that is whole, for as long as the block lasts."""
    line = Line(registry)
    await line.mend()
    try:
        yield line
    finally:
        line.close()
        await asyncio.sleep(0)
