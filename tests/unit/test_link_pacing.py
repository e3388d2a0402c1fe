"""An agent that is not answered asks less and less often, and never all agents at once."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tidegate.agent.link.pacing import LONGEST_S, RARELY_S, Pace, held_s
from tidegate.protocol.messages import LONGEST_WAIT_S


def after(failures: int) -> Pace:
    pace = Pace()
    for _ in range(failures):
        pace = pace.failed()
    return pace


def test_the_wait_doubles_up_to_a_minute_half_of_it_by_chance() -> None:
    assert [after(times).wait_s(0.0) for times in (1, 2, 3, 4, 90)] == [0.5, 1.0, 2.0, 4.0, LONGEST_S / 2]
    assert after(3).wait_s(0.5) == 3.0


@given(st.integers(1, 100), st.floats(0, 0.999), st.floats(0, 1e9))
def test_what_the_manager_asks_for_is_waited_for_but_no_longer_than_a_while(
    failures: int, chance: float, asked_s: float
) -> None:
    wait_s = after(failures).wait_s(chance, retry_after_s=asked_s)
    assert min(asked_s, 3600) <= wait_s <= max(LONGEST_S, min(asked_s, 3600) * 1.2)


def test_an_agent_that_is_not_wanted_asks_rarely() -> None:
    assert after(1).wait_s(0.0, rarely=True) == RARELY_S / 2


def test_a_poll_asks_to_be_held_for_35_to_60_seconds_each_as_likely() -> None:
    chances = [0.0, 0.5, math.nextafter(1.0, 0.0)]
    assert [held_s(one) for one in chances] == [35, 48, LONGEST_WAIT_S]
    steps = [held_s((number + 0.5) / 26) for number in range(26)]
    assert steps == list(range(35, 61))
