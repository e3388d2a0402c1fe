"""How much that is new an agent may name."""

import pytest
from tests.unit.test_manager_limits import Clock

from tidegate.manager.agents.new_names import NewNames, TooManyNewError

MOST = 2000


def test_a_first_inventory_of_all_that_an_agent_may_have_passes() -> None:
    names = NewNames(MOST, clock=Clock())
    names.take("a", 2 * MOST)  # each target with a channel of its own
    with pytest.raises(TooManyNewError) as refused:
        names.take("a", 1)
    assert refused.value.wait_s == 1


def test_hundreds_of_new_services_in_a_minute_pass_on_a_host_that_has_hundreds() -> None:
    names = NewNames(MOST, clock=Clock())
    for count in (2 * 500, 2 * 700, 2 * 700):
        names.take("a", count)


def test_within_an_hour_as_many_pass_again() -> None:
    clock = Clock()
    names = NewNames(MOST, clock=clock)
    names.take("a", 2 * MOST)
    clock.now += 3600
    names.take("a", 2 * MOST)
    with pytest.raises(TooManyNewError):
        names.take("a", 1)


def test_what_was_not_written_does_not_count() -> None:
    names = NewNames(MOST, clock=Clock())
    names.take("a", 2 * MOST)
    names.give_back({"a": 2 * MOST})
    names.take("a", 2 * MOST)
