"""Offers that come to nothing before they begin: who is not there in time, or busy, or whose window closes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, OLD, T0, Fleet, offered

from tidegate.domain.rollout import State
from tidegate.domain.rollout_apply import Outcome, Verb
from tidegate.domain.rollout_effects import Offer, Withdraw
from tidegate.domain.rollout_policy import BusyThen, OnFailure, RolloutPolicy
from tidegate.domain.windows import Gate


def test_an_offer_does_not_hold_beyond_its_window_but_the_way_back_does() -> None:
    closes = T0 + timedelta(minutes=20)
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()), not_before=T0 + MINUTE)
    fleet.gates = {"a": Gate(open=True, reason="", closes_at=closes)}
    offers = {one.target: one for one in fleet.go(MINUTE) if isinstance(one, Offer)}
    assert (offers["a"].expires_at, offers["b"].expires_at) == (closes, T0 + timedelta(minutes=71))
    fleet.tell(Outcome.HEALTHY, "a")
    (back,) = [one for one in fleet.tell(Outcome.FAILED, "b") if isinstance(one, Offer)]
    assert back.expires_at > closes


def test_it_is_looked_at_when_the_window_closes_of_who_has_not_begun() -> None:
    fleet = Fleet("a", "b", not_before=T0 + MINUTE)
    fleet.gates = {"a": Gate(open=True, reason="", closes_at=T0 + timedelta(minutes=5))}
    fleet.go(MINUTE)
    assert fleet.wake_at == T0 + timedelta(minutes=5)


def test_what_expired_before_it_began_is_no_failure_and_is_offered_anew() -> None:
    fleet = Fleet("a", "b")
    fleet.gates = {"a": Gate(open=False, reason="closed", next_open=T0 + timedelta(hours=2))}
    fleet.tell(Outcome.EXPIRED, "a")
    assert (fleet.state, fleet.progress()["a"]) == (State.RUNNING, "waiting")
    fleet.gates = {}
    assert offered(fleet.go(timedelta(hours=2))) == [("a", NEW)]


@pytest.mark.parametrize(
    ("busy_for", "then", "progress"),
    [
        (timedelta(minutes=30), BusyThen.FAIL, "offered"),
        (timedelta(hours=1), BusyThen.FAIL, "failed"),
        (timedelta(hours=1), BusyThen.SKIP, "skipped"),
        (timedelta(hours=1), BusyThen.FORCE, "offered"),
    ],
)
def test_who_was_busy_until_it_expired_is_dealt_with_as_busy(
    busy_for: timedelta, then: BusyThen, progress: str
) -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=then, on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.BUSY, "a")
    fleet.now += busy_for
    fleet.tell(Outcome.EXPIRED, "a")
    assert fleet.progress()["a"] == progress


def test_a_way_back_that_expired_before_it_began_is_no_try() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.FAILED, "b")
    for _ in range(3):
        assert offered(fleet.tell(Outcome.EXPIRED, "a")) == [("a", OLD)]


def test_an_offer_that_was_busy_for_too_long_is_taken_back() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BUSY, "a")
    assert [one.target for one in fleet.go(timedelta(hours=1)) if isinstance(one, Withdraw)] == ["a"]


def test_who_was_forced_is_not_forced_back() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FORCE))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(hours=1))
    fleet.tell(Outcome.HEALTHY, "a")
    assert [one.forced for one in fleet.do(Verb.ROLL_BACK) if isinstance(one, Offer)] == [False]


def test_a_host_is_not_waited_for_while_its_window_is_closed() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()), not_before=T0 + MINUTE)
    fleet.online.remove("a")
    fleet.gates = {"a": Gate(open=False, reason="its window is closed")}
    fleet.go(MINUTE)
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.go(timedelta(minutes=10))
    assert fleet.progress()["a"] == "waiting"
