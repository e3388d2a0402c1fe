"""Who is busy when it is to catch up with a rollout that has completed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, T0, Fleet, completed_without, offered, told

from tidegate.domain.rollout import Kind
from tidegate.domain.rollout_apply import Outcome
from tidegate.domain.rollout_effects import Notice, Offer, Withdraw
from tidegate.domain.rollout_policy import BusyThen, RolloutPolicy, Share
from tidegate.domain.windows import Gate

HOUR = timedelta(hours=1)
BUSY_THEN = pytest.mark.parametrize("then", [BusyThen.SKIP, BusyThen.FORCE])


def policy(then: BusyThen = BusyThen.SKIP, busy_wait: timedelta = HOUR) -> RolloutPolicy:
    return RolloutPolicy(waves=(), parallel=Share(1), busy_then=then, busy_wait=busy_wait)


def busy_for_too_long(*offline: str, by: RolloutPolicy | None = None) -> Fleet:
    """Of those that were not there for it the first has been busy for all of `busy_wait`."""
    by = by or policy()
    fleet = completed_without(*offline, policy=by)
    assert offered(fleet.go()) == [(offline[0], NEW)]
    fleet.tell(Outcome.BUSY, offline[0])
    fleet.go(by.busy_wait)
    return fleet


@BUSY_THEN
def test_who_is_busy_for_too_long_is_asked_again_after_a_rest_and_never_forced(then: BusyThen) -> None:
    fleet = busy_for_too_long("b", by=policy(then))
    assert [one.target for one in fleet.effects if isinstance(one, Withdraw)] == ["b"]
    assert (fleet.progress()["b"], fleet.rollout.targets["b"].reason) == ("waiting", "busy for longer than 1h")
    assert fleet.wake_at == fleet.now + HOUR
    assert fleet.go(timedelta(minutes=59)) == []
    effects = fleet.go(MINUTE)
    assert [(one.target, one.forced) for one in effects if isinstance(one, Offer)] == [("b", False)]


def test_it_may_be_busy_as_long_as_ever_then() -> None:
    fleet = busy_for_too_long("b")
    fleet.go(HOUR)
    fleet.tell(Outcome.BUSY, "b")
    fleet.go(timedelta(minutes=59))
    assert fleet.progress()["b"] == "busy"
    fleet.tell(Outcome.HEALTHY, "b")
    assert fleet.progress()["b"] == "healthy"


def test_others_do_not_wait_for_who_is_busy_time_and_again() -> None:
    fleet = busy_for_too_long("b", "c", "d")
    assert fleet.progress() == {"a": "healthy", "b": "waiting", "c": "offered", "d": "offline"}
    fleet.tell(Outcome.BUSY, "c")
    assert offered(fleet.go(HOUR)) == [("d", NEW)]  # it has waited for longer than b, whose rest is over, too
    assert offered(fleet.tell(Outcome.HEALTHY, "d")) == [("b", NEW)]


def test_who_went_away_first_catches_up_first() -> None:
    fleet = completed_without("b", "c")
    earlier = replace(fleet.rollout.targets["c"], since=T0)
    fleet.rollout = replace(fleet.rollout, targets={**fleet.rollout.targets, "c": earlier})
    assert offered(fleet.go()) == [("c", NEW)]


@pytest.mark.parametrize("busy_wait", [timedelta(), MINUTE])
def test_it_rests_for_an_hour_however_short_it_is_waited_for(busy_wait: timedelta) -> None:
    fleet = busy_for_too_long("b", by=policy(busy_wait=busy_wait))
    assert (fleet.progress()["b"], fleet.wake_at) == ("waiting", fleet.now + HOUR)
    assert offered(fleet.go(HOUR)) == [("b", NEW)]


def test_who_is_not_there_when_its_rest_is_over_catches_up_when_it_is_back() -> None:
    fleet = busy_for_too_long("b")
    fleet.online.remove("b")
    assert (offered(fleet.go(HOUR)), fleet.progress()["b"]) == ([], "offline")
    fleet.online.add("b")
    assert offered(fleet.go(MINUTE)) == [("b", NEW)]


def test_a_rest_that_is_over_outside_of_its_window_waits_for_that() -> None:
    fleet = busy_for_too_long("b")
    opens = fleet.now + timedelta(hours=5)
    fleet.gates = {"b": Gate(open=False, reason="its window is closed", next_open=opens)}
    assert (offered(fleet.go(HOUR)), fleet.wake_at) == ([], opens)


def test_what_it_says_in_its_rest_that_it_has_done_counts() -> None:
    fleet = busy_for_too_long("b")
    fleet.tell(Outcome.HEALTHY, "b")
    assert (fleet.progress()["b"], fleet.go(HOUR)) == ("healthy", [])


def test_nobody_rests_for_a_release_that_is_outdated() -> None:
    fleet = busy_for_too_long("b")
    fleet.superseded_by = "8"
    assert (fleet.go(HOUR), fleet.wake_at) == ([], None)


def test_where_its_policy_says_so_it_has_failed_and_that_is_told() -> None:
    fleet = completed_without("b", policy=policy(BusyThen.FAIL))
    fleet.go()
    fleet.tell(Outcome.BUSY, "b")
    assert told(fleet.go(HOUR)) == [Notice.LATE_FAILURE]
    assert (fleet.progress()["b"], fleet.wake_at) == ("failed", None)


def test_who_was_to_be_forced_before_the_end_is_not_forced_to_catch_up() -> None:
    fleet = completed_without("b", policy=policy(BusyThen.FORCE))
    forced = replace(fleet.rollout.targets["b"], forced=True)
    fleet.rollout = replace(fleet.rollout, targets={**fleet.rollout.targets, "b": forced})
    assert [one.forced for one in fleet.go() if isinstance(one, Offer)] == [False]


def test_who_is_busy_when_it_is_to_follow_a_rollback_is_asked_again_too() -> None:
    fleet = completed_without("b", kind=Kind.ROLLBACK)
    fleet.go()
    fleet.tell(Outcome.BUSY, "b")
    fleet.go(HOUR)
    assert offered(fleet.go(HOUR)) == [("b", NEW)]
