"""Targets that follow something else by now, and those whose agent was revoked: that is no fault of the release."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, OLD, Fleet, completed_without, offered, told

from tidegate.domain.rollout import State
from tidegate.domain.rollout_apply import Outcome, Verb
from tidegate.domain.rollout_effects import Notice, Withdraw
from tidegate.domain.rollout_policy import OnFailure, RolloutPolicy, Share

AT_ONCE = RolloutPolicy(waves=())
LEFT = {"a": "r/app:2"}


def withdrawn(fleet: Fleet) -> list[str]:
    return [one.target for one in fleet.go() if isinstance(one, Withdraw)]


def revoked(fleet: Fleet, *targets: str) -> None:
    """Have the agents of these be revoked."""
    fleet.cut_off = {one: fleet.rollout.targets[one].generation for one in targets}
    fleet.online -= set(targets)
    fleet.go()


# who follows something else


def test_a_canary_that_has_left_has_proved_nothing_until_a_person_says_to_go_on() -> None:
    fleet = Fleet("a", "b")
    fleet.elsewhere = LEFT
    assert withdrawn(fleet) == ["a"]
    fleet.tell(Outcome.WITHDRAWN, "a")
    assert (fleet.state, fleet.progress()["a"]) == (State.PAUSED, "left_alone")
    fleet.do(Verb.RESUME)
    assert offered(fleet.soak()) == [("b", NEW)]


def test_what_has_begun_goes_to_its_end_though_its_target_has_left() -> None:
    fleet = Fleet("a", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a")
    fleet.elsewhere = LEFT
    assert withdrawn(fleet) == []
    fleet.tell(Outcome.HEALTHY, "a")
    assert fleet.progress()["a"] == "healthy"


@pytest.mark.parametrize(
    ("outcome", "blame", "state"),
    [
        (Outcome.REFUSED, False, State.RUNNING),
        (Outcome.FAILED, False, State.RUNNING),
        (Outcome.INCONCLUSIVE, False, State.RUNNING),
        (Outcome.FAILED, True, State.ROLLING_BACK),
    ],
)
def test_a_failure_of_who_has_left_counts_only_where_the_release_is_to_blame(
    outcome: Outcome, state: State, *, blame: bool
) -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a", "b")
    fleet.elsewhere = LEFT
    fleet.tell(outcome, "a", blame=blame)
    assert (fleet.state, fleet.progress()["a"]) == (state, "failed" if blame else "left_alone")


def test_who_has_left_is_not_among_those_whose_share_decides() -> None:
    policy = RolloutPolicy(waves=(), failure_threshold=Share(50, percent=True))
    fleet = Fleet("a", "b", "c", policy=policy)
    fleet.elsewhere = LEFT
    assert withdrawn(fleet) == ["a"]
    fleet.tell(Outcome.WITHDRAWN, "a")
    fleet.tell(Outcome.FAILED, "b")
    assert fleet.state == State.ROLLING_BACK


def test_what_failed_before_a_target_left_and_was_forgiven_stays_as_it_was() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.FAILED, "a")
    fleet.do(Verb.RESUME)
    fleet.elsewhere = LEFT
    fleet.go()
    assert fleet.progress()["a"] == "failed"


def test_a_late_failure_of_who_has_left_is_told_to_nobody() -> None:
    fleet = completed_without("b")
    fleet.go()
    fleet.tell(Outcome.BEGUN, "b")
    fleet.elsewhere = {"b": "r/app:2"}
    assert Notice.LATE_FAILURE not in told(fleet.tell(Outcome.FAILED, "b"))
    assert fleet.progress()["b"] == "left_alone"


def test_who_was_to_go_back_when_it_returns_and_has_left_is_left_alone() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online.remove("a")
    fleet.tell(Outcome.FAILED, "b")
    fleet.go(timedelta(minutes=10))
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "offline")
    fleet.online.add("a")
    fleet.elsewhere = LEFT
    assert (offered(fleet.go()), fleet.progress()["a"]) == ([], "left_alone")


def test_a_way_back_that_was_offered_after_the_end_is_withdrawn_from_who_leaves() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online.remove("a")
    fleet.tell(Outcome.FAILED, "b")
    fleet.go(timedelta(minutes=10))
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]
    fleet.elsewhere = LEFT
    assert withdrawn(fleet) == ["a"]


def test_a_way_back_is_withdrawn_from_who_leaves_while_others_go_back() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.BEGUN, "b")
    assert offered(fleet.do(Verb.ROLL_BACK)) == [("a", OLD)]
    fleet.elsewhere = LEFT
    assert withdrawn(fleet) == ["a"]


# who is monitored only


def test_a_release_comes_to_nobody_whose_host_has_it_monitored_only_by_now() -> None:
    fleet = Fleet("a", "b")
    fleet.monitored = {"b"}
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.soak()) == []
    assert (fleet.state, fleet.progress()) == (State.RUNNING, {"a": "healthy", "b": "left_alone"})
    fleet.soak()
    assert fleet.state == State.COMPLETED


def test_who_may_run_the_release_and_is_monitored_only_by_now_may_have_to_go_back() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a")
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.online.remove("a")
    fleet.go(timedelta(minutes=10))
    fleet.monitored = {"a"}
    fleet.go()
    assert fleet.progress()["a"] == "left_alone"
    fleet.online.add("a")
    assert offered(fleet.do(Verb.ROLL_BACK)) == [("a", OLD), ("b", OLD)]


def test_who_is_monitored_only_and_has_begun_all_the_same_goes_to_its_end() -> None:
    fleet = Fleet("a", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a")
    fleet.monitored = {"a"}
    assert withdrawn(fleet) == []
    fleet.tell(Outcome.HEALTHY, "a")
    assert fleet.progress()["a"] == "healthy"


# who was taken away


@pytest.mark.parametrize("said", [(), (Outcome.BUSY,), (Outcome.BEGUN,)])
def test_who_was_taken_away_is_not_to_be_had_until_it_returns(said: tuple[Outcome, ...]) -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    for outcome in said:
        fleet.tell(outcome, "a")
    fleet.online.remove("a")
    assert fleet.tell(Outcome.GONE, "a") == []
    assert (fleet.state, fleet.progress()["a"]) == (State.RUNNING, "offline")
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", NEW)]


def test_who_was_taken_away_is_not_among_those_whose_share_decides() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=(), failure_threshold=Share(50, percent=True)))
    fleet.online.remove("a")
    fleet.tell(Outcome.GONE, "a")
    fleet.tell(Outcome.FAILED, "b")
    assert fleet.state == State.ROLLING_BACK


def test_a_canary_that_was_taken_away_has_proved_nothing_until_a_person_says_to_go_on() -> None:
    fleet = Fleet("a", "b")
    fleet.online.remove("a")
    assert told(fleet.tell(Outcome.GONE, "a")) == [Notice.PAUSED]
    fleet.do(Verb.RESUME)
    assert offered(fleet.soak()) == [("b", NEW)]


def test_who_was_taken_away_and_follows_something_else_when_it_returns_has_left() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.online.remove("a")
    fleet.tell(Outcome.GONE, "a")
    fleet.online.add("a")
    fleet.elsewhere = LEFT
    assert (offered(fleet.go()), fleet.progress()["a"]) == ([], "left_alone")


def test_a_late_offer_to_who_was_taken_away_is_told_to_nobody() -> None:
    fleet = completed_without("b")
    fleet.go()
    fleet.online.remove("b")
    assert told(fleet.tell(Outcome.GONE, "b")) == []
    fleet.online.add("b")
    assert offered(fleet.go()) == [("b", NEW)]


def test_a_way_back_from_which_a_target_was_taken_away_was_no_try() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.tell(Outcome.FAILED, "b")) == [("a", OLD)]
    for _ in range(3):
        fleet.online.remove("a")
        assert offered(fleet.tell(Outcome.GONE, "a")) == []
        assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "offline")
        fleet.online.add("a")
        assert offered(fleet.go()) == [("a", OLD)]


# whose agent was revoked


@pytest.mark.parametrize("said", [(), (Outcome.BEGUN,), (Outcome.BUSY,)])
def test_what_went_with_a_revoked_agent_waits_and_is_offered_anew_once(said: tuple[Outcome, ...]) -> None:
    fleet = Fleet("a", policy=AT_ONCE)
    for outcome in said:
        fleet.tell(outcome, "a")
    revoked(fleet, "a")
    assert fleet.progress()["a"] == "waiting"
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", NEW)]  # its earlier assignment is the one that was cut off
    assert offered(fleet.go()) == []
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.soak()
    assert fleet.state == State.COMPLETED


def test_nobody_who_comes_in_the_place_of_a_revoked_agent_is_offline_at_the_deadline() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a")
    fleet.tell(Outcome.HEALTHY, "b")
    revoked(fleet, "a")
    fleet.go(9 * MINUTE)
    assert fleet.progress()["a"] == "waiting"
    fleet.go(2 * MINUTE)
    assert (fleet.progress()["a"], fleet.state) == ("offline", State.RUNNING)
    fleet.soak()
    assert fleet.state == State.COMPLETED


def test_where_the_release_runs_already_when_the_new_agent_tells_it_is_done_and_goes_back_with_the_others() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a")
    revoked(fleet, "a")
    fleet.online.add("a")
    fleet.running["a"] = NEW
    fleet.go()
    assert fleet.progress()["a"] == "healthy"
    assert offered(fleet.tell(Outcome.FAILED, "b")) == [("a", OLD)]


def test_a_way_back_that_went_with_a_revoked_agent_is_tried_as_often_as_any() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.FAILED, "b")
    revoked(fleet, "a")
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]
    assert offered(fleet.tell(Outcome.FAILED, "a")) == [("a", OLD)]
    fleet.tell(Outcome.FAILED, "a")
    assert fleet.state == State.FAILED
