"""What people have tried once more, and what they go on without: retry, resume and advance."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, OLD, Fleet, offered

from tidegate.domain.rollout import State
from tidegate.domain.rollout_apply import Outcome, Verb, VerbRefusedError, approve
from tidegate.domain.rollout_effects import Offer
from tidegate.domain.rollout_policy import BusyThen, OnFailure, RolloutPolicy, Share, WaveRule

TWO_FIRST = (WaveRule(Share(2)),)


def is_busy_for_too_long(fleet: Fleet, target: str) -> None:
    fleet.tell(Outcome.BUSY, target)
    fleet.go(timedelta(hours=1))


# retry


def test_who_could_not_tell_is_tried_again() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.INCONCLUSIVE, "a")
    assert offered(fleet.do(Verb.RETRY)) == [("a", NEW)]


def test_who_was_skipped_as_busy_is_tried_again_and_waited_for_anew() -> None:
    fleet = Fleet("a", "b")
    is_busy_for_too_long(fleet, "a")
    assert offered(fleet.do(Verb.RETRY)) == [("a", NEW)]
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(59 * MINUTE)
    assert fleet.progress()["a"] == "busy"


def test_who_was_forced_in_vain_is_asked_before_it_is_forced_again() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FORCE))
    for _ in range(2):
        is_busy_for_too_long(fleet, "a")
    assert [one.forced for one in fleet.do(Verb.RETRY) if isinstance(one, Offer)] == [False]


def test_who_is_tried_again_has_to_prove_itself_though_people_had_gone_on_without_it() -> None:
    fleet = Fleet("a", "b")
    fleet.online.clear()
    fleet.go(10 * MINUTE)
    fleet.do(Verb.RESUME)
    fleet.do(Verb.RETRY)
    fleet.go(10 * MINUTE)
    assert fleet.state == State.PAUSED


def test_a_failure_that_is_tried_again_does_not_count_any_more() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.FAILED, "a")
    fleet.tell(Outcome.WITHDRAWN, "b")
    fleet.do(Verb.RETRY)
    fleet.tell(Outcome.HEALTHY, "b")
    is_busy_for_too_long(fleet, "a")
    fleet.soak()
    assert fleet.state == State.COMPLETED


def test_who_was_left_behind_in_an_earlier_wave_is_tried_again_too() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=TWO_FIRST))
    fleet.tell(Outcome.HEALTHY, "b")
    is_busy_for_too_long(fleet, "a")
    assert offered(fleet.soak()) == [("c", NEW)]
    assert offered(fleet.do(Verb.RETRY)) == [("a", NEW)]


# advance


def test_who_could_not_tell_goes_along_with_the_next_wave() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.INCONCLUSIVE, "a")
    assert offered(fleet.do(Verb.ADVANCE)) == [("a", NEW), ("b", NEW)]


def test_no_wave_is_opened_before_the_approval() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(approvals=1))
    fleet.do(Verb.PAUSE)
    with pytest.raises(VerbRefusedError, match="is paused and has not begun"):
        fleet.do(Verb.ADVANCE)


# what has no meaning


def test_nobody_approves_what_is_on_its_way() -> None:
    fleet = Fleet("a")
    with pytest.raises(VerbRefusedError, match="is running: nobody is asked to approve it"):
        approve(fleet.rollout, "bob", fleet.now)


def test_a_way_back_is_not_paused() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.do(Verb.ROLL_BACK)
    with pytest.raises(VerbRefusedError, match="so pause has no meaning; it goes back already"):
        fleet.do(Verb.PAUSE)


def test_what_is_paused_can_be_rolled_back() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.do(Verb.PAUSE)
    assert offered(fleet.do(Verb.ROLL_BACK)) == [("a", OLD)]
