"""Everybody who follows the feed live: it is read once in a process and handed to all of them."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select

from tidegate.agent.within import within
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import tokens
from tidegate.manager.store.topics import FEED
from tidegate.manager.telling import sse
from tidegate.manager.telling.feed_read import PAGE, Event, Extent, extent, read_after

_STOPPING = "the manager is stopping"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many may follow at once, in all and with one token.

    `room` is how many entries wait for a slow reader: more than what is read at once, so that only the slow are let go.
    """

    most: int = 500
    most_of_a_token: int = 20
    room: int = 1000
    beat_s: float = 15.0
    look_s: float = 3.0


class TooManyStreamsError(Exception):
    """Somebody who may not follow as well; the message says why, and what to do."""


class Stream:
    """One reader. It is sent what its `kinds` are the beginnings of; none: everything."""

    def __init__(self, token_id: int, kinds: Sequence[str], room: int) -> None:
        self.token_id = token_id
        self.ended = ""
        self.after = 0
        self._kinds, self._room = tuple(kinds), room
        self._waiting: deque[str] = deque()
        self._wake = asyncio.Event()

    def wants(self, event: Event) -> bool:
        """Whether it asked for entries of that kind."""
        return not self._kinds or event.kind.startswith(self._kinds)

    def put(self, number: int, text: str) -> None:
        """Have it sent; who does not fetch what waits is let go, and resumes by id."""
        if number <= self.after or self.ended:
            return  # it was caught up with already, or is not to be told any more
        if len(self._waiting) >= self._room:
            self.end("it reads too slowly")
            return
        self._waiting.append(text)
        self._wake.set()

    def end(self, reason: str) -> None:
        """Let it go, as soon as it has been sent what it waits for now."""
        self.ended = self.ended or reason
        self._wake.set()

    async def fetch(self, limit_s: float) -> str:
        """What came, all of it; nothing where nothing came in time."""
        await within(self._wake, limit_s)
        self._wake.clear()
        texts = "".join(self._waiting)
        self._waiting.clear()
        return texts


class Hub:
    """Reads the feed for all streams of this process. `run` is a service; `stopping` ends every stream."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        stopping: asyncio.Event,
        limits: StreamLimits | None = None,
    ) -> None:
        self._db, self._clock, self._stopping = db, clock, stopping
        self._limits = limits or StreamLimits()
        self._streams: set[Stream] = set()
        self._live: set[Stream] = set()
        self._tokens_at = 0.0
        self._position: int | None = None
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self.dropped: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many follow now."""
        return len(self._streams)

    # reading

    async def run(self) -> None:
        """Read what comes, told by the bus and by looking every few seconds, until cancelled."""
        ending = asyncio.create_task(self._end_when_stopping())
        try:
            with self._db.bus.listening(FEED, lambda _keys: self._wake.set()):
                while True:
                    await self._look_again()
                    await within(self._wake, self._limits.look_s)
        finally:
            ending.cancel()
            self._end_all()

    async def _end_when_stopping(self) -> None:
        await self._stopping.wait()
        self._end_all()

    def _end_all(self) -> None:
        for one in self._streams:
            one.end(_STOPPING)

    async def _look_again(self) -> None:
        self._wake.clear()
        try:
            async with self._looking:
                await self._look()
        except StoreUnavailableError as error:
            _log.warning("the feed could not be read; trying again", reason=str(error))

    async def _look(self) -> None:
        last = (await self.extent()).last
        if self._position is None:  # and no stream has joined meanwhile
            self._position = last
        elif last < self._position:
            self._position = last
            for one in self._live:
                one.end("the database is an earlier one")
        more, tokens_changed = True, False
        while more:
            async with self._db.read() as conn:
                page = await read_after(conn, self._position, limit=PAGE)
            self._hand_out(page)
            more = len(page) == PAGE
            tokens_changed |= any(one.kind.startswith("token.") for one in page)
        now = asyncio.get_running_loop().time()
        if tokens_changed or now - self._tokens_at >= self._limits.look_s:
            self._tokens_at = now
            await self._let_go()

    def _hand_out(self, page: Sequence[Event]) -> None:
        for event in page:
            takers = [one for one in self._live if one.wants(event)]
            text = sse.event_text(event) if takers else ""
            for one in takers:
                one.put(event.number, text)
            self._position = event.number

    async def _let_go(self) -> None:
        """End the streams whose tokens count no more."""
        ids = {one.token_id for one in self._streams}
        if not ids:
            return
        async with self._db.read() as conn:
            rows = await conn.execute(
                select(tokens.c.id).where(
                    tokens.c.id.in_(ids),
                    tokens.c.revoked_at.is_(None),
                    tokens.c.expires_at.is_(None) | (tokens.c.expires_at > self._clock()),
                )
            )
            good = set(rows.scalars())
        for one in self._streams:
            if one.token_id not in good:
                one.end("its token was revoked or has expired")

    # streams

    @contextlib.contextmanager
    def opened(self, token_id: int, kinds: Sequence[str]) -> Iterator[Stream]:
        """A place for one more reader. Raises `TooManyStreamsError`."""
        limits = self._limits
        if len(self._streams) >= limits.most:
            raise TooManyStreamsError(f"{limits.most} streams are open, and no more are served; try again later")
        if sum(one.token_id == token_id for one in self._streams) >= limits.most_of_a_token:
            raise TooManyStreamsError(
                f"this token has {limits.most_of_a_token} streams open, which is all it may; close one of them"
            )
        stream = Stream(token_id, kinds, limits.room)
        self._streams.add(stream)
        if self._stopping.is_set():
            stream.end(_STOPPING)
        try:
            yield stream
        finally:
            self._streams.discard(stream)
            self._live.discard(stream)
            if stream.ended:
                self.dropped[stream.ended] += 1

    async def extent(self) -> Extent:
        """What there is of the feed. Raises `StoreUnavailableError`."""
        async with self._db.read() as conn:
            return await extent(conn)

    async def follow(self, stream: Stream, after: int | None, there: Extent) -> AsyncIterator[str]:
        """What to send this reader: what follows the entry `after`, or what comes from now on; until it is let go."""
        number = there.last if after is None else after
        why = _not_to_be_had(number, there)
        if why:
            number = there.last
        yield sse.opening(number) + (sse.reset_text(number, why) if why else "")
        while not (stream.ended or self._joined(stream, number)):
            page = await self._page(stream, number)
            if page:
                number = page[-1].number
                yield "".join(sse.event_text(one) for one in page if stream.wants(one)) or sse.beat_text(number)
        while not stream.ended:
            told = await stream.fetch(self._limits.beat_s)
            if told:
                yield told
            elif (
                not stream.ended
            ):  # a beat moves the reader's id, which may be all that tells it of an earlier database
                yield sse.beat_text(max(self._position or 0, number))

    def _joined(self, stream: Stream, number: int) -> bool:
        """Whether the reader has all that was handed out, so that it gets what is handed out from now on."""
        if self._position is None:
            self._position = number
        if number < self._position:
            return False
        stream.after = number
        self._live.add(stream)
        return True

    async def _page(self, stream: Stream, number: int) -> list[Event]:
        """What follows; where the database is gone, or has forgotten it, the reader is let go, and resumes by id."""
        try:
            async with self._db.read() as conn:
                page = await read_after(conn, number, limit=PAGE)
                there = await extent(conn)
        except StoreUnavailableError:
            stream.end("the database did not answer")
            return []
        if (page and page[0].number != number + 1) or number < there.forgotten:
            stream.end("what it follows was forgotten meanwhile")
            return []
        if not page:  # more was handed out than there is: has an earlier database been put back?
            await self._look_again()
        return page


def _not_to_be_had(number: int, there: Extent) -> str:
    """Why what follows this number cannot be told; empty: it can."""
    if number < there.forgotten:
        return f"what follows {number} was forgotten; the feed begins after {there.forgotten}: load anew"
    if number > there.last:
        return f"there is no {number} yet; the feed ends at {there.last}: load anew"
    return ""
