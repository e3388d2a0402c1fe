"""Telling other parts of the manager, and its other replicas, that there is something for them.

A message may be lost (a replica dies, a connection breaks), so who listens also looks by itself from time to time.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_CHANNEL = "tidegate"
_LONGEST = 7000
"""PostgreSQL takes less than 8000 bytes in one notification."""
_RETRY_S = (0.5, 1, 2, 5, 10)
_TOLD = "tidegate_told"
_log = structlog.get_logger(__name__)

Callback = Callable[[Sequence[str]], None]
"""Takes the keys of a message; none: there may be something for anybody."""
Message = tuple[str, tuple[str, ...]]


def publish(conn: AsyncConnection, topic: str, *keys: str) -> None:
    """Tell `topic` once the transaction of `conn` is committed."""
    conn.sync_connection.info.setdefault(_TOLD, []).append((topic, keys))  # type: ignore[union-attr]


def told(conn: AsyncConnection) -> list[Message]:
    """What was published in this transaction, the keys of each topic together; it is forgotten here."""
    said: list[Message] = conn.sync_connection.info.pop(_TOLD, [])  # type: ignore[union-attr]
    topics = dict.fromkeys(topic for topic, _ in said)
    return [
        (topic, tuple(dict.fromkeys(key for other, keys in said if other == topic for key in keys))) for topic in topics
    ]


class Bus:
    """Hands messages on to who listens in this process; `notify` and `follow` connect the replicas."""

    def __init__(self) -> None:
        self._listening: dict[str, list[Callback]] = {}
        self._me = secrets.token_hex(8)
        self._following: asyncio.Task[None] | None = None
        self._joined: list[tuple[asyncio.AbstractEventLoop, Bus]] = []

    @contextlib.contextmanager
    def listening(self, topic: str, callback: Callback) -> Iterator[None]:
        """Have `callback` called for each message on `topic`, on the event loop; it must not block or raise."""
        self._listening.setdefault(topic, []).append(callback)
        try:
            yield
        finally:
            self._listening[topic].remove(callback)

    @contextlib.contextmanager
    def joined(self, other: "Bus", loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """Be one with the bus of another event loop of this process: what is said on one is heard on both."""
        self._me = other._me  # noqa: SLF001 - one for the other replicas, too
        there, here = (loop, other), (asyncio.get_running_loop(), self)
        self._joined.append(there)
        loop.call_soon_threadsafe(other._joined.append, here)  # noqa: SLF001 - as above
        try:
            yield
        finally:
            self._joined.remove(there)
            with contextlib.suppress(RuntimeError):  # that loop has been closed
                loop.call_soon_threadsafe(other._joined.remove, here)  # noqa: SLF001 - as above

    def deliver(self, messages: Sequence[Message]) -> None:
        """Hand messages on to who listens here, and on the buses that are joined."""
        if messages:
            self._spread(messages, self)

    def _spread(self, messages: Sequence[Message], source: "Bus") -> None:
        self._hand_on(messages)
        for loop, other in self._joined:
            if other is not source:
                with contextlib.suppress(RuntimeError):  # that loop has been closed
                    loop.call_soon_threadsafe(other._spread, messages, self)  # noqa: SLF001 - it is one of us

    def _hand_on(self, messages: Sequence[Message]) -> None:
        for topic, keys in messages:
            for callback in list(self._listening.get(topic, ())):
                callback(keys)

    async def notify(self, conn: AsyncConnection, messages: Sequence[Message]) -> None:
        """Send messages to the other replicas when the transaction of `conn` commits (PostgreSQL)."""
        payloads = [payload for topic, keys in messages for payload in self._payloads(topic, keys)]
        if payloads:
            statement = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
            await conn.execute(statement, {"channel": _CHANNEL, "payloads": payloads})

    def _payloads(self, topic: str, keys: Sequence[str]) -> Iterator[str]:
        room, some = _LONGEST, list[str]()
        for key in keys:
            if some and room < len(key) + 4:
                yield json.dumps([self._me, topic, some])
                room, some = _LONGEST, []
            some.append(key)
            room -= len(key) + 4
        yield json.dumps([self._me, topic, some])

    # what other replicas say

    def follow(self, dsn: str) -> None:
        """Begin to listen to the other replicas, over a connection of its own, until `close`."""
        self._following = asyncio.create_task(self._follow(dsn), name="bus")

    async def close(self) -> None:
        """Stop following."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following

    async def _follow(self, dsn: str) -> None:
        attempt = 0
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
                    await conn.execute(f"LISTEN {_CHANNEL}")
                    attempt = 0
                    self.deliver([(topic, ()) for topic in self._listening])  # while nobody listened
                    async for one in conn.notifies():
                        self._take(one.payload)
            except psycopg.Error as error:
                _log.warning("replicas cannot be heard; trying again", reason=_one_line(error))
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1

    def _take(self, payload: str) -> None:
        try:
            sender, topic, keys = json.loads(payload)
        except ValueError:
            return  # somebody else's notification
        if sender != self._me:
            self.deliver([(topic, tuple(keys))])


def _one_line(error: BaseException) -> Any:
    return " ".join(str(error).split())
