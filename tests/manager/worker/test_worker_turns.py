"""A turn that is lent to another process is one like every other: it comes in its order and is always given back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from tidegate.manager.worker.line import ASK, OVER, YOURS, Line
from tidegate.manager.worker.turns import Borrower, Lender


@dataclass
class Both:
    turn: asyncio.Lock
    lender: Lender
    borrower: Borrower
    there: Line
    stalled: asyncio.Event


@asynccontextmanager
async def both(longest_s: float = 60.0) -> AsyncIterator[Both]:
    """For ten seconds at most."""
    ours, theirs = socket.socketpair()
    here, there = await Line.over(ours), await Line.over(theirs)
    turn, stalled = asyncio.Lock(), asyncio.Event()
    it = Both(turn, Lender(turn, here, stalled.set, longest_s), Borrower(there), there, stalled)

    async def lend() -> None:
        async for kind, number in here.heard():
            {ASK: it.lender.ask, OVER: it.lender.over}[kind](number)
        await it.lender.close()
        here.close()

    async def borrow() -> None:
        async for kind, number in there.heard():
            assert kind == YOURS
            it.borrower.yours(number)

    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        tasks.create_task(lend())
        tasks.create_task(borrow())
        try:
            yield it
        finally:
            there.close()


async def test_what_is_lent_is_taken_and_free_again_afterwards() -> None:
    async with both() as it:
        async with it.borrower:
            assert it.turn.locked()
        async with it.turn:
            pass


async def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    async with both() as it:
        order = list[str]()

        async def take(name: str, turn: asyncio.Lock | Borrower) -> None:
            async with turn:
                order.append(name)

        async with asyncio.TaskGroup() as tasks:
            await it.turn.acquire()
            tasks.create_task(take("lent", it.borrower))
            while not it.lender._lent:
                await asyncio.sleep(0)
            await asyncio.sleep(0)  # it waits now
            tasks.create_task(take("own", it.turn))
            await asyncio.sleep(0)
            it.turn.release()
        assert order == ["lent", "own"]


async def test_who_gives_up_waiting_has_no_turn_and_keeps_nobody_waiting() -> None:
    async with both() as it:
        await it.turn.acquire()
        gone = asyncio.create_task(it.borrower.__aenter__())
        while not it.lender._lent:
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        it.turn.release()
        async with it.borrower:
            assert it.turn.locked()
        while it.lender._lent:
            await asyncio.sleep(0)
        async with it.turn:
            pass


async def test_a_turn_that_comes_too_late_is_not_taken_for_the_next() -> None:
    async with both() as it:
        gone = asyncio.create_task(it.borrower.__aenter__())
        while not it.turn.locked():
            await asyncio.sleep(0)
        gone.cancel()  # its turn is on the way to it
        await asyncio.gather(gone, return_exceptions=True)
        await it.turn.acquire()
        next_ = asyncio.create_task(it.borrower.__aenter__())
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert not next_.done()
        it.turn.release()
        await next_
        await it.borrower.__aexit__(None, None, None)


async def test_one_at_a_time_over_there_as_well() -> None:
    async with both() as it:
        inside, most = list[int](), list[int]()

        async def take() -> None:
            async with it.borrower:
                inside.append(1)
                most.append(len(inside))
                await asyncio.sleep(0.001)
                inside.pop()

        await asyncio.gather(*(take() for _ in range(10)))
        assert max(most) == 1
        assert len(most) == 10


async def test_who_dies_gives_back_what_it_had() -> None:
    async with both() as it:
        await it.borrower.__aenter__()
        it.there.close()
        async with it.turn:
            pass


async def test_who_is_left_behind_says_nothing_to_who_is_gone_and_waits_for_nobody() -> None:
    ours, theirs = socket.socketpair()
    there = await Line.over(theirs)
    ours.close()
    borrower = Borrower(there)
    for _ in range(3):  # the first is written to a socket that nobody reads
        waiting = asyncio.create_task(borrower.__aenter__())
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await waiting
    there.close()


async def test_one_that_keeps_its_turn_for_too_long_is_told_of() -> None:
    async with both(longest_s=0.05) as it, it.borrower:
        await it.stalled.wait()
        assert it.turn.locked()  # until it is gone


async def test_what_is_said_amid_a_death_is_not_heard() -> None:
    ours, theirs = socket.socketpair()
    there = await Line.over(theirs)
    ours.send(b'["told", []]\n["told", [["feed", ["1"')
    ours.close()
    assert [words async for words in there.heard()] == [["told", []]]
    there.close()
