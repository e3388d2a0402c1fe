"""What has come is looked through while it is little, also where as much goes as comes."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator

import pytest

from tidegate.manager.garbage import Rounds

_HELD, _TURNS = 2_000, 20_000


class _Poll:
    """Held for a while, as a request is, with what hangs on it."""

    def __init__(self) -> None:
        self.parts = [[each] for each in range(5)]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.set_threshold(5_000, 80, 3_000)
    yield
    gc.set_threshold(*thresholds)


def _most_young(rounds: Rounds | None) -> int:
    held, most = deque(_Poll() for _ in range(_HELD)), 0
    gc.collect()
    for turn in range(_TURNS):
        held.popleft()
        held.append(_Poll())
        if rounds is not None:
            rounds.request()
        if turn % 500 == 499:
            most = max(most, len(gc.get_objects(generation=0)))
    return most


def test_the_youngest_stay_few_while_old_requests_go_and_new_ones_come() -> None:
    assert _most_young(Rounds()) < 5_000


def test_python_alone_lets_them_become_many() -> None:
    assert _most_young(None) > 10_000


def test_those_that_stay_become_old_and_are_looked_through_no_more() -> None:
    rounds, held = Rounds(), deque[_Poll]()
    gc.collect()
    for _ in range(_TURNS):
        held.append(_Poll())
        rounds.request()
    assert len(gc.get_objects(generation=0)) + len(gc.get_objects(generation=1)) < 10_000
    assert len(gc.get_objects(generation=2)) > _TURNS
