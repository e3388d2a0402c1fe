"""A channel's policy that is changed while a rollout waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.rollouts import NEW, T0, Fleet, offered

from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_apply import Outcome, Verb, approve
from tidegate.domain.rollout_policy import RolloutPolicy
from tidegate.domain.windows import Gate

DAY = timedelta(days=1)
SHUT = {"a": Gate(open=False, reason="closed"), "b": Gate(open=False, reason="closed")}


def waiting(approvals: int = 0, **plan: object) -> Fleet:
    """One that waits for its time."""
    return Fleet("a", "b", policy=RolloutPolicy(approvals=approvals), not_before=T0 + 8 * DAY, **plan)


def yes(fleet: Fleet, *people: str) -> Fleet:
    for one in people:
        fleet.rollout = approve(fleet.rollout, one, fleet.now)
        fleet.go()
    return fleet


def test_what_has_not_begun_waits_for_the_people_that_the_policy_asks_for_now() -> None:
    fleet = waiting()
    assert fleet.state == State.SCHEDULED
    fleet.asks = 2
    fleet.go()
    assert (fleet.state, fleet.rollout.reason) == (State.AWAITING_APPROVAL, "its policy asks for 2 approvals now")
    assert yes(fleet, "bob").state == State.AWAITING_APPROVAL
    assert yes(fleet, "cem").state == State.SCHEDULED
    assert offered(fleet.go(8 * DAY)) == [("a", NEW)]


def test_approvals_that_were_given_count_where_more_are_asked_for() -> None:
    fleet = yes(waiting(1), "bob")
    assert fleet.state == State.SCHEDULED
    fleet.asks = 3
    fleet.go()
    assert (fleet.state, fleet.rollout.needed) == (State.AWAITING_APPROVAL, 3)
    assert yes(fleet, "cem").state == State.AWAITING_APPROVAL
    assert yes(fleet, "dan").state == State.SCHEDULED


def test_more_are_asked_for_while_it_waits_for_approval() -> None:
    fleet = waiting(1)
    fleet.asks = 2
    fleet.go()
    assert (fleet.state, fleet.rollout.needed, fleet.rollout.asked_since) == (State.AWAITING_APPROVAL, 2, T0)
    assert yes(fleet, "bob").state == State.AWAITING_APPROVAL


def test_it_has_all_the_time_to_be_approved_from_when_that_is_asked_for() -> None:
    fleet = waiting()
    fleet.go(7 * DAY)
    fleet.asks = 1
    fleet.go()
    assert (fleet.state, fleet.wake_at) == (State.AWAITING_APPROVAL, T0 + 8 * DAY)
    assert fleet.rollout.asked_since == T0 + 7 * DAY
    fleet.go(7 * DAY)
    assert (fleet.state, fleet.rollout.reason) == (State.CANCELLED, "not approved within 168h")


def test_fewer_are_asked_for_again_and_then_its_own_number_counts() -> None:
    fleet = waiting(1)
    fleet.asks = 3
    fleet.go()
    fleet.asks = 0
    fleet.go()
    assert (fleet.state, fleet.rollout.needed) == (State.AWAITING_APPROVAL, 1)
    assert yes(fleet, "bob").state == State.SCHEDULED


def test_what_asked_nobody_when_it_was_made_goes_on_when_nobody_is_asked_again() -> None:
    fleet = waiting()
    fleet.asks = 1
    fleet.go()
    fleet.asks = 0
    fleet.go()
    assert (fleet.state, fleet.rollout.reason) == (State.SCHEDULED, "its policy asks for no approval any more")


def test_a_pause_is_no_way_around_a_policy_that_asks_for_more() -> None:
    fleet = waiting()
    fleet.do(Verb.PAUSE)
    fleet.asks = 1
    fleet.go()
    assert fleet.state == State.PAUSED
    fleet.do(Verb.RESUME)
    assert fleet.state == State.AWAITING_APPROVAL


@pytest.mark.parametrize("how", ["scheduled", "awaiting_approval", "paused"])
def test_what_the_policy_does_not_send_out_any_more_ends_before_it_begins(how: str) -> None:
    fleet = waiting(int(how == "awaiting_approval"))
    if how == "paused":
        fleet.do(Verb.PAUSE)
    assert fleet.state == how
    fleet.forbids = "its policy is pinned since then"
    fleet.go()
    assert (fleet.state, fleet.rollout.reason) == (State.CANCELLED, "its policy is pinned since then")


def test_what_has_begun_goes_by_its_own_policy() -> None:
    fleet = Fleet("a", "b")
    fleet.asks, fleet.forbids = 3, "its policy is pinned since then"
    fleet.do(Verb.PAUSE)
    fleet.tell(Outcome.WITHDRAWN, "a")
    assert offered(fleet.do(Verb.RESUME)) == [("a", NEW)]
    assert fleet.rollout.needed == 0


def test_to_go_back_asks_nobody_whatever_the_policy_says_now() -> None:
    fleet = waiting(kind=Kind.ROLLBACK)
    fleet.asks = 2
    assert offered(fleet.go(8 * DAY)) == [("a", NEW)]


def test_where_it_would_begin_at_the_same_moment_it_asks_first() -> None:
    fleet = waiting()
    fleet.gates = SHUT
    fleet.go(8 * DAY)
    fleet.gates, fleet.asks = {}, 1
    assert (fleet.go(), fleet.state) == ([], State.AWAITING_APPROVAL)
