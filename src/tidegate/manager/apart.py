"""Background work in a thread, so that what takes it long keeps no request waiting."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tidegate.manager.parts import Service
from tidegate.manager.store.database import Database


class Apart:
    """Runs what `make` makes of a database, in a thread with an event loop of its own.

    The database is the same, over connections of that loop; what is published here is told there, and the other way.
    """

    def __init__(self, name: str, db: Database, make: Callable[[Database], Service]) -> None:
        self.name = name
        self._db = db
        self._make = make

    async def run(self) -> None:
        """Until cancelled; whatever the work raises."""
        here = asyncio.get_running_loop()
        work = _Work(self._db, here, self._make)
        with ThreadPoolExecutor(1, self.name) as thread:
            ended = here.run_in_executor(thread, work.do)
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                work.end()
                await ended
                raise


class _Work:
    def __init__(self, db: Database, here: asyncio.AbstractEventLoop, make: Callable[[Database], Service]) -> None:
        self._db, self._here, self._make = db, here, make
        self._at_work: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._is_over = False

    def do(self) -> None:
        """In the thread."""
        with contextlib.suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=type(self._here)) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        self._at_work = asyncio.get_running_loop(), task
        if not self._is_over:
            async with self._db.twin(self._here) as db:
                await self._make(db).run()

    def end(self) -> None:
        """From outside the thread."""
        self._is_over = True
        if self._at_work is not None:
            loop, task = self._at_work
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                loop.call_soon_threadsafe(task.cancel)
