"""What is asked for at the same time is done together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tidegate.manager.agents.gathering import FullError, Gathering


class Work:
    """Doubles numbers; odd ones fail, and 13 all of them that are asked with it."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []

    async def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.turns.append(list(numbers))
        await asyncio.sleep(0)
        if 13 in numbers:
            raise OSError("unlucky")
        return [ValueError(number) if number % 2 else 2 * number for number in numbers]


def gathering(work: Work, most: int = 100, room: int = 100) -> Gathering[int, int]:
    return Gathering(work, wait_s=0.01, most=most, room=room)


async def test_what_is_asked_for_at_once_is_one_turn_and_each_gets_its_own() -> None:
    work = Work()
    asked = gathering(work)
    assert await asyncio.gather(*(asked.ask(number) for number in (2, 4, 6))) == [4, 8, 12]
    assert await asked.ask(8) == 16
    assert work.turns == [[2, 4, 6], [8]]


async def test_a_turn_is_no_larger_than_it_may_be() -> None:
    work = Work()
    asked = gathering(work, most=2)
    await asyncio.gather(*(asked.ask(number) for number in (2, 4, 6)))
    assert work.turns == [[2, 4], [6]]


async def test_a_failure_is_told_to_whom_it_belongs() -> None:
    asked = gathering(Work())
    found = await asyncio.gather(asked.ask(2), asked.ask(3), return_exceptions=True)
    assert found[0] == 4
    assert isinstance(found[1], ValueError)


async def test_a_turn_that_fails_is_told_to_all_of_it_and_the_next_goes_on() -> None:
    asked = gathering(Work(), most=2)
    found = await asyncio.gather(*(asked.ask(number) for number in (2, 13, 4)), return_exceptions=True)
    assert [isinstance(one, OSError) for one in found] == [True, True, False]


async def test_who_has_gone_is_not_worked_for() -> None:
    work = Work()
    asked = gathering(work)
    gone, stays = asyncio.create_task(asked.ask(2)), asyncio.create_task(asked.ask(4))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 8
    assert work.turns == [[4]]


async def test_more_than_there_is_room_for_is_refused() -> None:
    asked = gathering(Work(), room=2)
    found = await asyncio.gather(*(asked.ask(number) for number in (2, 4, 6)), return_exceptions=True)
    assert [isinstance(one, FullError) for one in found] == [False, False, True]
