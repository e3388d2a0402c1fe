"""A turn that is lent to another process is one like every other: it comes in its order and is always given back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tidegate.manager.worker.line import ASK, OVER, YOURS, Line
from tidegate.manager.worker.turns import Borrower, Lender


@dataclass
class Both:
    turn: asyncio.Lock
    lender: Lender
    borrower: Borrower


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    ours, theirs = socket.socketpair()
    here, there = await Line.over(ours), await Line.over(theirs)
    turn = asyncio.Lock()
    it = Both(turn, Lender(turn, here), Borrower(there))

    async def lend() -> None:
        async for kind, number in here.heard():
            {ASK: it.lender.ask, OVER: it.lender.over}[kind](number)
        await it.lender.close()

    async def borrow() -> None:
        async for kind, number in there.heard():
            assert kind == YOURS
            it.borrower.yours(number)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(lend())
        tasks.create_task(borrow())
        yield it
        there.close()
        here.close()


async def test_what_is_lent_is_taken_and_free_again_afterwards(both: Both) -> None:
    async with both.borrower:
        assert both.turn.locked()
    async with both.turn:
        pass


async def test_turns_come_in_the_order_in_which_they_were_asked_for(both: Both) -> None:
    order = list[str]()

    async def take(name: str, turn: asyncio.Lock | Borrower) -> None:
        async with turn:
            order.append(name)

    async with asyncio.TaskGroup() as tasks:
        await both.turn.acquire()
        tasks.create_task(take("lent", both.borrower))
        while not both.lender._lent:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # it waits now
        tasks.create_task(take("own", both.turn))
        await asyncio.sleep(0)
        both.turn.release()
    assert order == ["lent", "own"]


async def test_who_gives_up_waiting_has_no_turn_and_keeps_nobody_waiting(both: Both) -> None:
    await both.turn.acquire()
    gone = asyncio.create_task(both.borrower.__aenter__())
    while not both.lender._lent:
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    both.turn.release()
    async with both.borrower:
        assert both.turn.locked()
    while both.lender._lent:
        await asyncio.sleep(0)
    async with both.turn:
        pass


async def test_a_turn_that_comes_too_late_is_not_taken_for_the_next(both: Both) -> None:
    gone = asyncio.create_task(both.borrower.__aenter__())
    while not both.turn.locked():
        await asyncio.sleep(0)
    gone.cancel()  # its turn is on the way to it
    await asyncio.gather(gone, return_exceptions=True)
    await both.turn.acquire()
    next_ = asyncio.create_task(both.borrower.__aenter__())
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert not next_.done()
    both.turn.release()
    await next_
    await both.borrower.__aexit__(None, None, None)


async def test_one_at_a_time_over_there_as_well(both: Both) -> None:
    inside, most = list[int](), list[int]()

    async def take() -> None:
        async with both.borrower:
            inside.append(1)
            most.append(len(inside))
            await asyncio.sleep(0.001)
            inside.pop()

    await asyncio.gather(*(take() for _ in range(10)))
    assert max(most) == 1
    assert len(most) == 10


async def test_who_dies_gives_back_what_it_had() -> None:
    ours, theirs = socket.socketpair()
    here, there = await Line.over(ours), await Line.over(theirs)
    turn = asyncio.Lock()
    lender = Lender(turn, here)
    lender.ask(1)
    async for words in there.heard():
        assert words == [YOURS, 1]
        break
    await lender.close()
    async with asyncio.timeout(5), turn:
        pass
    here.close()
    there.close()
