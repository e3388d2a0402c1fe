"""Many polls are answered as fast as the event loop keeps up with, and no slower than all are answered in time."""

from __future__ import annotations

import asyncio

from tidegate.manager.agents.pace import Pace, after


def test_pauses_become_shorter_while_the_loop_keeps_up_and_longer_as_soon_as_it_does_not() -> None:
    assert after(0.008, late_s=0.001) < 0.008 < after(0.008, late_s=0.02)


def test_they_have_a_shortest_and_a_longest() -> None:
    short = long = 0.005
    for _ in range(100):
        short, long = after(short, late_s=0.0), after(long, late_s=1.0)
    assert short == after(short, late_s=0.0)
    assert long == after(long, late_s=1.0)
    assert 0 < short < long <= 0.01


async def test_the_first_of_many_are_not_answered_in_a_lump() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(10):
        await pace.pause()
    assert loop.time() - began >= 10 * 0.004
