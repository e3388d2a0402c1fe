"""Turns are taken one after the other, by tasks of several event loops, in the order in which they came."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tidegate.manager.store.turn import Turn


async def test_who_comes_first_has_the_first_turn() -> None:
    turn, order = Turn(), list[int]()

    async def take(number: int) -> None:
        async with turn:
            await asyncio.sleep(0)
            order.append(number)

    await asyncio.gather(*(take(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_who_gives_up_waiting_keeps_nobody_waiting() -> None:
    turn, reached = Turn(), asyncio.Event()

    async def take() -> None:
        async with turn:
            reached.set()

    async with turn:
        gone = asyncio.create_task(take())
        after = asyncio.create_task(take())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert not reached.is_set()
    await after
    assert reached.is_set()


async def test_a_turn_that_comes_as_one_gives_up_is_handed_on() -> None:
    turn = Turn()

    async def take() -> None:
        async with turn:
            await asyncio.sleep(0)

    async with turn:
        gone = asyncio.create_task(take())
        after = asyncio.create_task(take())
        await asyncio.sleep(0)
    gone.cancel()  # its turn is on the way to it
    await asyncio.gather(gone, return_exceptions=True)
    async with asyncio.timeout(5):
        await after


async def test_after_an_error_the_next_has_its_turn() -> None:
    turn = Turn()
    with pytest.raises(ZeroDivisionError):
        async with turn:
            raise ZeroDivisionError
    async with asyncio.timeout(5), turn:
        pass


def test_the_turns_of_several_event_loops_never_overlap() -> None:
    turn, inside, most, done = Turn(), list[int](), list[int](), list[int]()

    async def take() -> None:
        async with turn:
            inside.append(1)
            most.append(len(inside))
            await asyncio.sleep(0.0001)
            inside.pop()
            done.append(1)

    async def many() -> None:
        async with asyncio.timeout(30):
            await asyncio.gather(*(take() for _ in range(50)))

    threads = [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(done), max(most)) == (200, 1)
