"""The worker: a process on the same database, which hears what is published, and ends when the server does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.support import echo_worker
from tests.support.echo_worker import DIE, DIE_WRITING, FAIL, HANG_WRITING, MANY, TIMES

from tidegate.manager.agents.newest_key import claim
from tidegate.manager.parts import Parts, make_parts
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import advance
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import counters
from tidegate.manager.worker import order, process
from tidegate.manager.worker.line import PING, Line
from tidegate.manager.worker.process import EndedError, Worker
from tidegate.manager.worker.turns import Lender


@pytest.fixture
async def parts(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Parts]:
    environ = {"TIDEGATE_DATA": str(tmp_path), "TIDEGATE_DATABASE_URL": database_url}
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "nothing that the worker goes by")
    monkeypatch.setattr(process, "COMMAND", ["-m", echo_worker.__name__])
    it = make_parts(load_manager_settings(environ))
    async with it.db.write() as conn:
        await claim(conn, it.settings.signing_key_file, it.clock())
    yield it
    await it.db.close()


@asynccontextmanager
async def at_work(parts: Parts) -> AsyncIterator[tuple[asyncio.Task[None], asyncio.Queue[str]]]:
    """Its task, and what is answered; it has answered for the first time."""
    answers = asyncio.Queue[str]()

    def hear(keys: Sequence[str]) -> None:
        for key in keys:
            answers.put_nowait(key)

    with parts.db.bus.listening("answer", hear):
        task = asyncio.create_task(Worker(parts).run())
        try:
            async with asyncio.timeout(60):
                await answers.get()
            yield task, answers
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, EndedError):
                await task


async def ask(db: Database, *keys: str) -> None:
    async with db.write() as conn:
        publish(conn, "question", *keys)


async def world(db: Database) -> int:
    async with db.read() as conn:
        return int((await conn.execute(select(counters.c.value).where(counters.c.name == "world"))).scalar_one())


async def test_what_is_published_on_either_side_is_heard_on_both(parts: Parts) -> None:
    async with at_work(parts) as (_, answers):
        before = await world(parts.db)
        await ask(parts.db)
        assert int(await answers.get()) == before + 1


async def test_what_the_database_cannot_do_for_the_worker_is_heard_of(parts: Parts) -> None:
    heard: list[None] = []
    async with at_work(parts) as (_, answers):
        parts.db.fault_listeners.append(lambda: heard.append(None))
        await ask(parts.db, FAIL)
        await answers.get()
    assert heard == [None]


async def test_each_message_is_heard_once(parts: Parts) -> None:
    parts.db.follow()
    async with at_work(parts) as (task, answers):
        for number in range(1, 6):
            await ask(parts.db)
            assert int(await answers.get()) == 1 + number
        await ask(parts.db, DIE)
        with pytest.raises(EndedError):
            await task
        assert answers.empty()


async def test_both_write_a_great_deal_and_neither_keeps_the_other_from_it(parts: Parts) -> None:
    async with at_work(parts) as (_, answers):
        await ask(parts.db, MANY)
        for _ in range(TIMES):
            async with parts.db.write() as conn:
                await advance(conn, "world")
        await answers.get()
        assert await world(parts.db) == 1 + 2 * TIMES + 1


async def test_it_is_told_where_it_ends_though_nobody_told_it_to(parts: Parts) -> None:
    async with at_work(parts) as (task, _):
        await ask(parts.db, DIE)
        with pytest.raises(EndedError, match=r"the worker has ended \(killed by SIGKILL\)"):
            await task


async def test_a_turn_to_write_that_it_had_is_free_when_it_has_died(parts: Parts) -> None:
    async with at_work(parts) as (task, _):
        await ask(parts.db, DIE_WRITING)
        with pytest.raises(EndedError):
            await task
        before = await world(parts.db)
        async with parts.db.write() as conn:
            assert await advance(conn, "world") == before + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_it_waits_for_its_turn(parts: Parts) -> None:
    async with at_work(parts) as (_, answers):
        async with parts.db.turn:
            parts.db.bus.deliver([("question", ())])
            parts.db.bus.deliver([("question", ())])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await answers.get()
        await answers.get()
        await answers.get()


async def test_it_ends_when_the_manager_is_about_to(parts: Parts) -> None:
    async with at_work(parts) as (task, _):
        parts.stopping.set()
        await task
    assert not children()


async def test_it_is_gone_when_the_service_ends(parts: Parts) -> None:
    async with at_work(parts):
        assert len(children()) == 1
    assert not children()


async def test_one_that_hangs_is_killed_when_the_service_ends(parts: Parts) -> None:
    async with at_work(parts):
        [pid] = children()
        os.kill(pid, signal.SIGSTOP)
    assert not children()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_one_that_hangs_with_its_turn_is_killed_and_the_turn_is_free(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenders = list[Lender]()

    class Kept(Lender):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            lenders.append(self)

    monkeypatch.setattr(process, "Lender", Kept)
    async with at_work(parts) as (task, _):
        lenders[0]._longest_s = 1.0  # from here on: its first turn may take as long as it does
        await ask(parts.db, HANG_WRITING)
        with pytest.raises(EndedError, match="killed by SIGKILL"):
            await task
        async with parts.db.write() as conn:
            await advance(conn, "world")


async def test_one_that_hangs_is_noticed_and_killed(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, say = asyncio.Event(), Line.say

    def hang_from_here(line: Line, *words: object) -> None:
        if hangs.is_set() and words[0] == PING:
            monkeypatch.setattr(process, "_ANSWERS_S", 0.2)  # by no earlier question, which has to be answered
            os.kill(children()[0], signal.SIGSTOP)
            hangs.clear()
        say(line, *words)

    monkeypatch.setattr(Line, "say", hang_from_here)
    monkeypatch.setattr(process, "_PING_S", 0.05)
    async with at_work(parts) as (task, answers):
        await ask(parts.db)
        await answers.get()
        hangs.set()
        with pytest.raises(EndedError, match="killed by SIGKILL"):
            await task


async def test_one_that_is_well_is_asked_again_and_again_and_left_alone(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    pings, say = asyncio.Queue[None](), Line.say

    def count(line: Line, *words: object) -> None:
        if words[0] == PING:
            pings.put_nowait(None)
        say(line, *words)

    monkeypatch.setattr(Line, "say", count)
    monkeypatch.setattr(process, "_PING_S", 0.0)
    async with at_work(parts) as (task, _):
        for _ in range(20):
            await pings.get()
        assert not task.done()


async def test_one_that_is_not_of_the_servers_version_does_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(order, "__version__", "0.0.1")
    with pytest.raises(EndedError, match="exit status 1"):
        await Worker(parts).run()
    assert "the server is of version 0.0.1, and what is installed by now is" in capfd.readouterr().err
    assert await world(parts.db) == 0


@pytest.mark.parametrize("after_s", [0.0, 0.005, 0.01, 0.02, 0.04])
async def test_it_ends_with_a_server_that_dies_while_it_writes(
    database_url: str, tmp_path: Path, after_s: float
) -> None:
    environ = {**os.environ, "TIDEGATE_DATA": str(tmp_path), "TIDEGATE_DATABASE_URL": database_url}
    program = (sys.executable, "-m", "tests.support.echo_server", str(after_s))
    server = await asyncio.create_subprocess_exec(*program, env=environ, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    async with asyncio.timeout(120):
        worker = int(await server.stdout.readline())
        await server.wait()
        await server.stdout.read()  # the worker has it, too, until it ends
        while Path(f"/proc/{worker}").exists():
            await asyncio.sleep(0.01)


def children() -> list[int]:
    """Processes that this one has started, but for those that are no worker."""
    found = [file.read_text().split() for file in Path("/proc/self/task").glob("*/children")]
    return [int(pid) for pids in found for pid in pids if b"echo_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]
