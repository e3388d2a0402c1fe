"""How often anybody may ask."""

import pytest

from tidegate.manager.api.limits import RateLimit
from tidegate.manager.api.problems import Problem


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_one_after_the_other() -> None:
    clock = Clock()
    limit = RateLimit(2, clock=clock)
    assert [limit.take("a") for _ in range(8)] == [0] * 8
    assert limit.take("a") == 0.5
    clock.now += 0.5
    assert (limit.take("a"), limit.take("a")) == (0, 0.5)


def test_who_waits_long_gets_no_more_than_a_burst() -> None:
    clock = Clock()
    limit = RateLimit(1, clock=clock)
    limit.take("a")
    clock.now += 3600
    assert [limit.take("a") for _ in range(5)] == [0, 0, 0, 0, 1]


def test_each_has_a_bucket_of_its_own() -> None:
    limit = RateLimit(1, burst=1, clock=Clock())
    assert (limit.take("a"), limit.take("b")) == (0, 0)
    assert limit.take("a") == 1


def test_who_was_refused_is_told_when_to_come_again() -> None:
    limit = RateLimit(0.1, burst=1, clock=Clock())
    limit.check("a", "Token 7")
    with pytest.raises(Problem) as refused:
        limit.check("a", "Token 7")
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "10"})
    assert "Token 7" in refused.value.detail


def test_it_does_not_grow_with_those_who_ask() -> None:
    limit = RateLimit(1, clock=Clock())
    for each in range(50_000):
        limit.take(str(each))
    assert len(limit._left) == 20_000


def test_a_full_bucket_gives_more_than_it_holds_and_is_waited_for_longer() -> None:
    clock = Clock()
    limit = RateLimit(1, burst=10, clock=clock)
    assert (limit.take("a", 25), limit.take("a")) == (0, 16)
    clock.now += 16
    assert (limit.take("a", 10), limit.take("a")) == (9, 0)


def test_so_many_can_be_given_back() -> None:
    limit = RateLimit(1, burst=10, clock=Clock())
    limit.take("a", 8)
    limit.give_back("a", 6)
    assert (limit.take("a", 8), limit.take("a")) == (0, 1)
