"""Work that has a thread of its own: on the same database, hearing what is published, and ended as other work is."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from tidegate.manager.apart import Apart
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import advance
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import counters


@dataclass
class Echo:
    """Adds to a number in the database for each message, and says so."""

    db: Database
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    threads: set[str] = field(default_factory=set)

    async def run(self) -> None:
        self.threads.add(threading.current_thread().name)
        with self.db.bus.listening("question", lambda _: self.heard.set()):
            await self._write()
            while True:
                await self.heard.wait()
                self.heard.clear()
                await self._write()

    async def _write(self) -> None:
        async with self.db.write() as conn:
            number = await advance(conn, "world")
            publish(conn, "answer", str(number))


async def test_what_is_published_on_either_side_is_heard_on_both(db: Database) -> None:
    made, answers = list[Echo](), asyncio.Queue[str]()
    apart = Apart("echo", db, lambda twin: made.append(Echo(twin)) or made[0])  # type: ignore[func-returns-value]
    with db.bus.listening("answer", lambda keys: answers.put_nowait(keys[0])):
        work = asyncio.create_task(apart.run())
        async with asyncio.timeout(10):
            first = int(await answers.get())
            async with db.write() as conn:
                publish(conn, "question")
            assert int(await answers.get()) == first + 1
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert made[0].threads == {"echo_0"}
    assert not [one for one in threading.enumerate() if one.name.startswith("echo")]


async def test_both_write_a_great_deal_and_neither_keeps_the_other_from_it(db: Database) -> None:
    async def write(one: Database, times: int) -> None:
        for _ in range(times):
            async with one.write() as conn:
                await advance(conn, "world")

    @dataclass
    class Writing:
        db: Database

        async def run(self) -> None:
            await write(self.db, 50)

    await asyncio.gather(Apart("writing", db, Writing).run(), write(db, 50))
    async with db.read() as conn:
        count = (await conn.execute(select(counters.c.value).where(counters.c.name == "world"))).scalar_one()
    assert count == 100


async def test_what_the_work_raises_is_raised(db: Database) -> None:
    class Failing:
        async def run(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Apart("failing", db, lambda _: Failing()).run()
