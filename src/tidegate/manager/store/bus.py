"""Telling other parts of the manager, and its other replicas, that there is something for them.

A message may be lost (a replica dies, a connection breaks), so who listens also looks by itself from time to time.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.postgres import connect
from tidegate.manager.store.topics import TOPICS

_CHANNEL = "tidegate"
_LONGEST = 7000
"""PostgreSQL takes less than 8000 bytes in one notification."""
_RETRY_S = (0.5, 1, 2, 5, 10)
_TOLD = "tidegate_told"
_log = structlog.get_logger(__name__)

Callback = Callable[[Sequence[str]], None]
"""Takes the keys of a message; none: there may be something for anybody."""
Message = tuple[str, tuple[str, ...]]
Relay = Callable[[Sequence[Message]], None]


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
    """Hands messages on to who listens in this process; `notify` and `follow` connect the replicas.

    `id` is what the replicas know it by. All buses of one manager have the same.
    """

    def __init__(self, id_: str = "") -> None:
        self.id = id_ or secrets.token_hex(8)
        self._listening: dict[str, list[Callback]] = {}
        self._following: asyncio.Task[None] | None = None
        self._relays: list[Relay] = []

    @contextlib.contextmanager
    def listening(self, topic: str, callback: Callback) -> Iterator[None]:
        """Have `callback` called for each message on `topic`, on the event loop; it must not block or raise."""
        self._listening.setdefault(topic, []).append(callback)
        try:
            yield
        finally:
            self._listening[topic].remove(callback)

    @contextlib.contextmanager
    def relayed(self, relay: Relay) -> Iterator[None]:
        """Have `relay` called with all that is told here, to tell it where another process of this manager hears it."""
        self._relays.append(relay)
        try:
            yield
        finally:
            self._relays.remove(relay)

    def deliver(self, messages: Sequence[Message], *, source: Relay | None = None) -> None:
        """Hand messages on to who listens here, and to relays, but for the one that they come from."""
        if not messages:
            return
        self._hand_on(messages)
        for relay in self._relays:
            if relay != source:
                relay(messages)

    def deliver_anything(self) -> None:
        """There may be something for anybody: what was told may have been lost."""
        self.deliver([(topic, ()) for topic in TOPICS])

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
                yield json.dumps([self.id, topic, some])
                room, some = _LONGEST, []
            some.append(key)
            room -= len(key) + 4
        yield json.dumps([self.id, topic, some])

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
                async with await connect(dsn, autocommit=True) as conn:
                    await conn.execute(f"LISTEN {_CHANNEL}")
                    attempt = 0
                    self.deliver_anything()  # that was told while nobody listened
                    async for one in conn.notifies():
                        self._take(one.payload)
            except Exception as error:  # noqa: BLE001 - whatever it is, to hear nobody any more is worse
                _log.warning("replicas cannot be heard; trying again", reason=_one_line(error))
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1

    def _take(self, payload: str) -> None:
        try:
            sender, topic, keys = json.loads(payload)
        except ValueError:
            return  # somebody else's notification
        if sender != self.id:
            self.deliver([(topic, tuple(keys))])


def _one_line(error: BaseException) -> Any:
    return " ".join(str(error).split())
