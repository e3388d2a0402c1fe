"""What the two processes say to each other: lists in JSON, one a line, of which the first element says what it is."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from tidegate.manager.store.bus import Message

BEGIN = "begin"
"""First of all, with an `Order`."""
TOLD = "told"
"""Messages of the bus."""
ASK, YOURS, OVER = "ask", "yours", "over"
"""With a number each: a turn to write is asked for, it has come, and it is given back, or not wanted any more."""
FAULT = "fault"
"""The worker's database could not do what was asked."""
PING, PONG = "ping", "pong"
"""Whether the worker hears, and that it does."""
_LONGEST = 2**26
"""Bytes of a line: the ids of all agents."""


class Line:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Self:
        """The end that this socket is."""
        return cls(*await asyncio.open_unix_connection(sock=sock, limit=_LONGEST))

    def say(self, *words: Any) -> None:
        """Say something; to who is gone that is nothing."""
        if not self._writer.is_closing():  # uvloop raises where asyncio does nothing
            self._writer.write(json.dumps(words).encode() + b"\n")

    def relay(self, messages: Sequence[Message]) -> None:
        """Say what the bus has told."""
        self.say(TOLD, messages)

    async def heard(self) -> AsyncIterator[list[Any]]:
        """What the other one says, until it is gone."""
        try:
            while (line := await self._reader.readline()).endswith(b"\n"):  # else it died amid it
                yield json.loads(line)
        except ConnectionError:
            return

    def close(self) -> None:
        """Be gone."""
        self._writer.close()


def messages(words: Sequence[Any]) -> list[Message]:
    """What `relay` has said."""
    return [(topic, tuple(keys)) for topic, keys in words[1]]
