"""Many polls are answered as fast as the event loop keeps up with, and no slower than all are answered in time."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.manager.agents.pace import A_FEW, Pace, after, longest


def test_pauses_become_shorter_while_the_loop_keeps_up_and_longer_as_soon_as_it_does_not() -> None:
    assert after(0.008, late_s=0.001, longest_s=0.01) < 0.008 < after(0.008, late_s=0.02, longest_s=0.01)


def test_they_have_a_shortest_and_a_longest() -> None:
    short = long = 0.005
    for _ in range(100):
        short, long = after(short, late_s=0.0, longest_s=0.01), after(long, late_s=1.0, longest_s=0.01)
    assert short == after(short, late_s=0.0, longest_s=0.01)
    assert long == after(long, late_s=1.0, longest_s=0.01) == 0.01
    assert 0 < short < long


@pytest.mark.parametrize("held", [1, 1_000, 5_000, 10_000])
def test_all_are_answered_in_time_with_the_longest_and_the_fewer_they_are_the_longer_it_may_be(held: int) -> None:
    assert held / A_FEW * longest(held) <= 20
    assert longest(held) >= longest(2 * held) > 0


async def test_the_first_of_many_are_not_answered_in_a_lump() -> None:
    pace, loop = Pace(), asyncio.get_running_loop()
    began = loop.time()
    for _ in range(10):
        await pace.pause(100)
    assert loop.time() - began >= 10 * 0.004
