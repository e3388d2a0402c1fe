"""Held polls: who is woken, how many are looked for together, and that nothing is missed in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import pytest

from tidegate.manager.agents.held import HeldPolls, RevokedError
from tidegate.protocol.messages import Item


class Outbox:
    """What there is for agents; `during` is called amid each look, after it has been read."""

    def __init__(self) -> None:
        self.items: dict[str, list[Item]] = {}
        self.looks: list[list[str]] = []
        self.during: Callable[[], None] = lambda: None
        self.left_out: set[str] = set()
        self.trouble: Exception | None = None

    def put(self, agent: str, seq: int = 1) -> None:
        """Something for an agent."""
        self.items.setdefault(agent, []).append(Item(seq, "{}", ""))

    async def fetch(self, cursors: Mapping[str, int]) -> Mapping[str, Sequence[Item]]:
        """Look."""
        self.looks.append(sorted(cursors))
        if self.trouble is not None:
            raise self.trouble
        found = {
            agent: [item for item in self.items.get(agent, ()) if item.seq > cursor]
            for agent, cursor in cursors.items()
            if agent not in self.left_out
        }
        self.left_out.clear()
        await asyncio.sleep(0)
        self.during()
        return found


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def polls(outbox: Outbox) -> HeldPolls:
    return HeldPolls(outbox.fetch)


async def hold(polls: HeldPolls, agent: str, cursor: int = 0, wait_s: float = 60) -> asyncio.Task[Sequence[Item]]:
    """A poll that is held, and has been looked for once."""
    task = asyncio.create_task(polls.hold(agent, cursor, wait_s))
    await asyncio.sleep(0.05)
    return task


async def test_what_is_there_already_is_answered_though_the_poll_does_not_wait(
    polls: HeldPolls, outbox: Outbox
) -> None:
    outbox.put("a")
    assert [item.seq for item in await polls.hold("a", 0, 0)] == [1]
    assert await polls.hold("a", 1, 0) == []


async def test_an_idle_agent_costs_one_look_however_often_it_polls(polls: HeldPolls, outbox: Outbox) -> None:
    for _ in range(5):
        assert await polls.hold("a", 7, 0.01) == []
    assert outbox.looks == [["a"]]
    assert len(polls) == 0


async def test_those_that_are_woken_together_are_looked_for_together(polls: HeldPolls, outbox: Outbox) -> None:
    held = [await hold(polls, name) for name in "abc"]
    outbox.looks.clear()
    for name in "abc":
        outbox.put(name)
        polls.wake([name])
    polls.wake(["nobody"])
    assert [len(await one) for one in held] == [1, 1, 1]
    assert outbox.looks == [["a", "b", "c"]]


async def test_who_is_told_of_something_while_not_polling_is_looked_for_then(polls: HeldPolls, outbox: Outbox) -> None:
    assert await polls.hold("a", 0, 0) == []
    outbox.put("a")
    polls.wake(["a"])
    assert len(await polls.hold("a", 0, 0)) == 1


async def test_what_comes_amid_a_look_is_not_missed(polls: HeldPolls, outbox: Outbox) -> None:
    def comes() -> None:
        if not outbox.items:
            outbox.put("a")
            polls.wake(["a"])

    outbox.during = comes
    async with asyncio.timeout(20):
        assert len(await polls.hold("a", 0, 60)) == 1


async def test_what_comes_amid_the_last_look_of_a_poll_is_there_for_the_next_one(
    polls: HeldPolls, outbox: Outbox
) -> None:
    def comes() -> None:
        if not outbox.items:
            outbox.put("a")
            polls.wake(["a"])

    outbox.during = comes
    assert await polls.hold("a", 0, 0) == []
    await asyncio.sleep(0.05)
    assert len(await polls.hold("a", 0, 0)) == 1


async def test_a_message_for_anybody_wakes_everybody(polls: HeldPolls, outbox: Outbox) -> None:
    idle = await polls.hold("b", 0, 0)
    held = await hold(polls, "a")
    outbox.put("a")
    outbox.put("b")
    polls.wake([])
    assert (len(await held), idle, len(await polls.hold("b", 0, 0))) == (1, [], 1)


async def test_who_was_not_told_is_found_by_the_last_number(polls: HeldPolls, outbox: Outbox) -> None:
    held, other = await hold(polls, "a", 3), await hold(polls, "b", 3)
    assert await polls.hold("c", 3, 0) == []
    outbox.looks.clear()
    outbox.put("a", 4)
    outbox.put("c", 4)
    polls.found({"a": 4, "b": 3, "c": 4, "never seen": 9})
    assert [item.seq for item in await held] == [4]
    assert outbox.looks == [["a"]]
    assert [item.seq for item in await polls.hold("c", 3, 0)] == [4]
    other.cancel()


async def test_a_look_that_fails_is_told_and_the_next_poll_looks_again(polls: HeldPolls, outbox: Outbox) -> None:
    outbox.trouble = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await polls.hold("a", 0, 60)
    outbox.trouble = None
    outbox.put("a")
    assert len(await polls.hold("a", 0, 0)) == 1


async def test_who_was_left_out_of_a_look_is_looked_for_again(polls: HeldPolls, outbox: Outbox) -> None:
    outbox.put("a")
    outbox.left_out = {"a"}
    async with asyncio.timeout(20):
        assert len(await polls.hold("a", 0, 60)) == 1


async def test_a_newer_poll_takes_the_place_of_an_older_one(polls: HeldPolls, outbox: Outbox) -> None:
    older = await hold(polls, "a")
    newer = await hold(polls, "a")
    assert await older == []
    outbox.put("a")
    polls.wake(["a"])
    assert len(await newer) == 1
    assert len(polls) == 0


async def test_who_is_cut_off_is_told_so(polls: HeldPolls) -> None:
    held = await hold(polls, "a")
    polls.cut_off("a")
    polls.cut_off("b")
    with pytest.raises(RevokedError):
        await held


async def test_at_the_end_nobody_is_held_any_more(polls: HeldPolls) -> None:
    held = await hold(polls, "a")
    polls.close()
    assert await held == []
    assert await polls.hold("b", 0, 60) == []
    assert len(polls) == 0


async def test_who_goes_away_is_forgotten(polls: HeldPolls) -> None:
    held = await hold(polls, "a")
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert len(polls) == 0


async def test_thousands_are_looked_for_a_few_at_a_time(polls: HeldPolls, outbox: Outbox) -> None:
    """Each that is answered polls again at once: all together they would keep everybody else waiting."""
    tasks = [asyncio.create_task(polls.hold(f"a{number}", 0, 60)) for number in range(300)]
    for number in range(300):
        outbox.put(f"a{number}")
    turns = 0
    async with asyncio.timeout(40):
        while not all(task.done() for task in tasks):
            before = sum(task.done() for task in tasks)
            await asyncio.sleep(0)
            turns += 1
            assert sum(task.done() for task in tasks) - before <= 5
    assert turns > 300 / 5
    assert max(map(len, outbox.looks)) <= 100
    assert sum(map(len, outbox.looks)) == 300


async def test_an_event_loop_that_never_keeps_up_keeps_nobody_waiting_for_ever(
    polls: HeldPolls, outbox: Outbox
) -> None:
    busy = True

    async def compute() -> None:
        while busy:
            time.sleep(0.05)
            await asyncio.sleep(0)

    computing = asyncio.create_task(compute())
    tasks = [asyncio.create_task(polls.hold(f"a{number}", 0, 60)) for number in range(150)]
    for number in range(150):
        outbox.put(f"a{number}")
    async with asyncio.timeout(40):
        await asyncio.gather(*tasks)
    busy = False
    await computing
