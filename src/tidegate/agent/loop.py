"""The agent as a process: looks when it is time or when something happens, one thing after another."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from tidegate.agent.announce import HELPER, remove_unstarted_helpers
from tidegate.agent.beside import remove_left_over
from tidegate.agent.command_rows import CommandOutcome
from tidegate.agent.control import ControlServer
from tidegate.agent.cycle import Cycle
from tidegate.agent.guard import TRANSACTION
from tidegate.agent.http_api import HttpApi
from tidegate.agent.parts import Parts
from tidegate.agent.replacement import NEXT, SECOND
from tidegate.agent.rollback import Rollbacks
from tidegate.agent.state import StateError
from tidegate.agent.stopping import Errands
from tidegate.agent.successor import TAKE_OVER
from tidegate.agent.unended import Unended
from tidegate.agent.unfinished import UNREADABLE, read
from tidegate.agent.within import within
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.engine.model import Event

_RETRY_S = 60.0
_SETTLE_EVENTS_S = 2.0
_ENGINE_RETRY_S = (0.5, 1, 2, 5, 10)
_log = structlog.get_logger(__name__)

T = TypeVar("T")


class Agent:
    """One agent. `run` returns when it is told to stop."""

    def __init__(self, parts: Parts, *, busy_retry_s: float = _RETRY_S) -> None:
        """`busy_retry_s`: after how long a busy container is asked again, and what could not be done is tried again."""
        self._parts = parts
        self._busy_retry = timedelta(seconds=busy_retry_s)
        self.cycle = Cycle(parts)
        self._busy = asyncio.Lock()
        self._link = parts.link
        self.metrics = parts.metrics
        self._appeared: set[str] = set()
        self._waiting: dict[str, datetime] = {}
        self._again: datetime | None = None
        self._stir = asyncio.Event()
        self._next = parts.settings.schedule.next_after(parts.clock())
        self._due = parts.settings.polls
        self._api: HttpApi | None = None
        self._errands = Errands()
        self._rollbacks = Rollbacks(parts, self._recover)
        self._control = ControlServer(
            parts.state.directory, {"rollback": self.roll_back, TAKE_OVER: parts.successor.serve}
        )

    async def run(self) -> None:
        """Recover, look once, then follow the schedule and the events until cancelled."""
        self._parts.hub.start()
        with self._parts.hub.listening(self._on_event):
            try:
                await self._start()
                if self._link is not None:
                    self._link.start(self._stir.set)
                while True:
                    await self._patiently(self._look)
                    await self._wait()
            finally:
                if self._link is not None:
                    await self._link.close()
                await self._control.close()
                await self._errands.end()
                if self._api is not None:
                    await self._api.close()

    async def once(self) -> bool:
        """Recover and look once; whether nothing failed."""
        self._parts.hub.start()
        async with self._busy:
            unended = await self._recover()
            looked = await self.cycle.run(unended=unended)
        return looked.tally.failed == 0 and not unended

    async def _start(self) -> None:
        await self._patiently(self.recover)
        await self._control.start()
        settings = self._parts.settings
        if settings.http_api_update or settings.http_api_metrics:
            self._api = HttpApi(settings, self._update_images, self.metrics, self._busy)
            await self._api.start()

    async def recover(self) -> bool:
        """End what an earlier run left behind; whether nothing of it is left. Raises `EngineUnavailableError`."""
        async with self._busy:
            unended = await self._recover()
            self._end_soon()
        return not unended

    async def _recover(self) -> Unended:
        """End what was cut off, one after another; what could not be ended is told of, and tried again later."""
        left = []
        for journal in self._parts.state.journal.open_transactions():
            try:
                await self._parts.updater.recover(read(journal.txid, journal.records), self._parts.own)
            except EngineUnavailableError:
                raise
            except EngineError as error:
                _log.error("an update that was cut off could not be ended", update=journal.txid, reason=str(error))
                left.append(journal)
            except UNREADABLE as error:
                _log.error("the journal of an update cannot be used", update=journal.txid, reason=repr(error))
                left.append(journal)
        self.metrics.unended = len(left)
        await remove_left_over(self._parts.engine, self._parts.state.journal.ended)
        await self._parts.private.collect(self._parts.state.journal.knows, self._parts.clock())
        await remove_unstarted_helpers(self._parts.engine)
        return Unended(left)

    def _end_soon(self) -> None:
        """What is left open is tried again at once, the first time."""
        if self._again is None and self._parts.state.journal.peek():
            self._again = self._parts.clock()

    async def _patiently(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do it again when the engine is back, for as long as it is away."""
        for attempt in range(1_000_000):
            try:
                await work()
            except EngineUnavailableError as error:
                _log.warning("the engine does not answer; waiting for it", reason=str(error))
                await asyncio.sleep(_ENGINE_RETRY_S[min(attempt, len(_ENGINE_RETRY_S) - 1)])
            except (EngineError, StateError) as error:
                if isinstance(error, StateError) and not self._parts.state.lock.held:
                    raise  # a successor has the lock
                _log.error("this look was cut short; it is made again soon", reason=str(error))
                self._again = self._parts.clock() + self._busy_retry
                return
            else:
                return

    async def _look(self) -> None:
        """At everything when it is time, else at what has appeared or was held back.

        Where something is to be tried again, not before that is due: else a container that keeps starting would
        have it tried again and again. What was due stays due where the engine went away.
        """
        async with self._busy:
            await self._carry_out()
            now, narrow, only = self._parts.clock(), not self._due, frozenset(self._appeared)
            early = self._again is not None and now < self._again
            if early or (narrow and not only and self._again is None):
                return
            await self._run_cycle(only=only if narrow else None)
            self._appeared -= only
            self._due = False

    async def _carry_out(self) -> None:
        """What the manager has assigned, as far as it is due."""
        due = self._link.next_due() if self._link is not None else None
        if self._link is None or due is None or due > self._parts.clock():
            return
        try:
            await self._link.carry_out(await self._recover())
        except EngineUnavailableError:
            raise  # it is waited for, and then gone on at once
        except (EngineError, StateError):
            self._link.put_off()  # else it stays due, and is tried again without a pause
            raise
        finally:
            self._end_soon()

    async def _update_images(self, images: tuple[str, ...]) -> None:
        """For the HTTP API, which holds the lock already."""
        await self._errand(self._run_cycle(images=images))

    async def roll_back(self, request: Mapping[str, Any]) -> CommandOutcome:
        """What `Rollbacks.serve` takes, when nothing else is at work."""
        async with self._busy:
            return await self._errand(self._rollbacks.serve(request))

    async def _errand(self, work: Coroutine[Any, Any, T]) -> T:
        """What somebody asked for. What it leaves open is ended as soon as the engine answers."""
        try:
            return await self._errands.run(work)
        finally:
            self._end_soon()
            self._stir.set()

    async def _run_cycle(self, *, images: tuple[str, ...] = (), only: frozenset[str] | None = None) -> None:
        """End what was cut off, then look, but not at what that was about if it could not be ended."""
        unended = await self._recover()
        looked = await self.cycle.run(images=images, only=only, unended=unended)
        tally = looked.tally
        if only is None:  # what Watchtower would call a scan; it looks at no container alone
            self.metrics.scanned(scanned=tally.scanned, updated=tally.updated, failed=tally.failed)
        old = {} if only is None and not images else self._waiting
        seen = looked.names | (only or frozenset())
        kept = {name: at for name, at in old.items() if name not in seen}
        soon = self._parts.clock() + self._busy_retry
        self._waiting = kept | looked.waiting(soon)
        self._again = soon if self._parts.state.journal.peek() else None
        await self._parts.private.collect(self._parts.state.journal.knows, self._parts.clock())

    async def _wait(self) -> None:
        """Until the schedule says so, a container appears, or one that was held back may be ready."""
        due = self._link.next_due() if self._link is not None else None
        until = min([self._next, *self._waiting.values(), *(at for at in (self._again, due) if at is not None)])
        if await within(self._stir, max(0.0, (until - self._parts.clock()).total_seconds())):
            await asyncio.sleep(_SETTLE_EVENTS_S)
        self._stir.clear()
        now = self._parts.clock()
        ready = {name for name, at in self._waiting.items() if at <= now}
        self._appeared |= ready
        self._waiting = {name: at for name, at in self._waiting.items() if name not in ready}
        if now >= self._next:
            self._due = self._parts.settings.polls
            self._next = self._parts.settings.schedule.next_after(now)

    def _on_event(self, event: Event) -> None:
        """A container that somebody starts is looked at soon, without waiting for the next poll."""
        if self._link is not None:
            self._link.heard(event)
        if event.kind != "container" or event.action != "start" or not self._parts.settings.polls:
            return
        name = event.attributes.get("name", "")
        if name and not _of_an_update(name, event.attributes):
            self._appeared.add(name)
            self._stir.set()


def _of_an_update(name: str, labels: Mapping[str, str]) -> bool:
    """Whether an agent starts it for an update that is under way. What it once made keeps the label, not the name."""
    return HELPER in labels or (TRANSACTION in labels and name.endswith((NEXT, SECOND)))


async def run_until_told(work: Awaitable[T]) -> T | None:
    """Run until SIGTERM or SIGINT; then cancel, wait until what was begun is brought to rest, and return None."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
