"""What stops a rollout, and the way back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.rollouts import NEW, OLD, Fleet, offered, told

from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_apply import Outcome, Verb, approve
from tidegate.domain.rollout_effects import Notice, Notify, Offer, Quarantine
from tidegate.domain.rollout_policy import OnFailure, RolloutPolicy, Share, WaveRule
from tidegate.domain.windows import Gate


@pytest.mark.parametrize("blame", [True, False])
def test_a_failed_canary_goes_back_and_nobody_else_sees_the_release(*, blame: bool) -> None:
    fleet = Fleet("a", "b", "c")
    effects = fleet.tell(Outcome.FAILED, "a", reason="never healthy", blame=blame)
    assert fleet.state == State.ROLLED_BACK
    assert [one.digest for one in effects if isinstance(one, Quarantine)] == ([NEW] if blame else [])
    assert (fleet.rollout.reason, offered(effects)) == ("a: never healthy", [])
    assert told(effects) == [Notice.ROLLING_BACK, Notice.ROLLED_BACK]


def test_one_that_goes_sick_in_the_soak_stops_the_rollout() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(seconds=10))
    fleet.tell(Outcome.FAILED, "a", reason="sick in its bake", blame=True)
    assert fleet.state == State.ROLLED_BACK


def test_a_canary_that_goes_sick_once_others_are_under_way_stops_those_too() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.soak()
    fleet.tell(Outcome.FAILED, "a", reason="sick in its bake", blame=True)
    assert fleet.state == State.ROLLING_BACK


def test_a_target_that_cannot_be_put_back_is_tried_twice_and_told() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.tell(Outcome.FAILED, "b", blame=True)) == [("a", OLD)]
    assert offered(fleet.tell(Outcome.FAILED, "a", reason="no such image")) == [("a", OLD)]
    fleet.tell(Outcome.FAILED, "a", reason="no such image")
    assert (fleet.state, fleet.rollout.reason) == (State.FAILED, "a was not put back: no such image")


def test_a_rollback_is_never_rolled_back() -> None:
    fleet = Fleet("a", "b", kind=Kind.ROLLBACK)
    effects = fleet.tell(Outcome.FAILED, "a", blame=True, reason="never healthy")
    assert fleet.state == State.PAUSED
    assert not [one for one in effects if isinstance(one, Quarantine)]


@pytest.mark.parametrize(
    ("on_failure", "state", "then"),
    [(OnFailure.PAUSE, State.PAUSED, []), (OnFailure.CONTINUE, State.RUNNING, [("b", NEW)])],
)
def test_a_policy_may_pause_or_go_on_where_others_go_back(
    on_failure: OnFailure, state: State, then: list[tuple[str, str]]
) -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(on_failure=on_failure))
    later = fleet.tell(Outcome.FAILED, "a", blame=True) + fleet.soak()
    assert (fleet.state, offered(later)) == (state, then)
    assert (Notice.PAUSED in told(later)) is (state is State.PAUSED)


def test_a_threshold_takes_so_many_failures_of_a_wave() -> None:
    policy = RolloutPolicy(waves=(), failure_threshold=Share(50, percent=True), success_percent=70)
    fleet = Fleet("a", "b", "c", "d", policy=policy)
    fleet.tell(Outcome.FAILED, "a", blame=True)
    assert fleet.state == State.RUNNING
    fleet.tell(Outcome.HEALTHY, "b", "c", "d")
    fleet.soak()
    assert fleet.state == State.COMPLETED


def test_an_inconclusive_verdict_waits_for_a_person_and_is_asked_again() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.INCONCLUSIVE, "a", reason="the probe has no route")
    assert (fleet.state, fleet.rollout.reason) == (State.PAUSED, "a: the probe has no route")
    assert offered(fleet.do(Verb.RESUME)) == [("a", NEW)]


def test_an_assignment_that_an_agent_refuses_is_a_failure_that_is_not_the_releases() -> None:
    fleet = Fleet("a", "b")
    effects = fleet.tell(Outcome.REFUSED, "a", reason="its repository is not let in")
    assert (fleet.state, fleet.rollout.reason) == (State.ROLLED_BACK, "a: its repository is not let in")
    assert not [one for one in effects if isinstance(one, (Quarantine, Offer))]


def test_no_agent_withdraws_what_was_not_taken_back() -> None:
    fleet = Fleet("a")
    assert fleet.tell(Outcome.WITHDRAWN, "a") == []
    assert fleet.progress() == {"a": "offered"}


def test_no_result_by_the_deadline_is_a_failure_where_the_host_is_there() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    effects = fleet.go(timedelta(minutes=10))
    assert fleet.state == State.ROLLING_BACK
    assert offered(effects) == [("a", OLD)]  # it may run the release
    assert not [one for one in effects if isinstance(one, Quarantine)]


def test_who_could_not_tell_while_the_manager_was_away_has_time_to() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(soak=timedelta()))
    fleet.tell(Outcome.BEGUN, "a")
    fleet.now += timedelta(minutes=30)
    fleet.heard_from = fleet.now
    assert fleet.go() == []
    assert fleet.wake_at == fleet.now + timedelta(minutes=3)
    fleet.go(timedelta(minutes=2))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(minutes=2))
    assert (fleet.state, fleet.progress()["a"]) == (State.RUNNING, "healthy")


def test_that_the_manager_was_away_makes_no_deadline_shorter() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.heard_from = fleet.now = fleet.now + timedelta(minutes=1)
    fleet.go(timedelta(minutes=8))
    assert fleet.progress()["a"] == "updating"


def test_who_tells_nothing_even_then_has_failed() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.now += timedelta(minutes=30)
    fleet.heard_from = fleet.now
    fleet.go(timedelta(minutes=3))
    assert fleet.state == State.ROLLING_BACK
    fleet.heard_from = fleet.now + timedelta(minutes=30)
    fleet.go(timedelta(minutes=30))  # away once more: the way back has time, too
    assert fleet.state == State.ROLLING_BACK


def test_a_way_back_of_which_nothing_is_heard_is_tried_twice_and_told() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.FAILED, "b")
    for _ in range(2):
        assert fleet.state == State.ROLLING_BACK
        fleet.tell(Outcome.BEGUN, "a")
        fleet.go(timedelta(minutes=10))
    assert (fleet.state, fleet.rollout.reason) == (State.FAILED, "a was not put back: no result within 10m")


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.REFUSED, Outcome.FAILED])
def test_the_way_back_is_tried_twice_whatever_is_said_of_it(outcome: Outcome) -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    effects = fleet.tell(Outcome.FAILED, "b") + fleet.tell(outcome, "a") + fleet.tell(outcome, "a")
    assert offered(effects) == [("a", OLD)] * 2
    assert (fleet.state, fleet.progress()["a"]) == (State.FAILED, "not_put_back")


def test_a_release_that_is_put_in_quarantine_while_it_is_on_its_way_goes_back_once_it_runs() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.quarantine = {NEW}
    assert (fleet.go(), fleet.state) == ([Notify(Notice.ROLLING_BACK, "its release is in quarantine")], "rolling_back")
    assert offered(fleet.tell(Outcome.HEALTHY, "a")) == [("a", OLD)]


def test_one_failure_of_several_that_is_the_releases_puts_it_in_quarantine() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), failure_threshold=Share(2)))
    fleet.tell(Outcome.FAILED, "a", blame=True)
    effects = fleet.tell(Outcome.FAILED, "b")
    assert [one.digest for one in effects if isinstance(one, Quarantine)] == [NEW]


def test_a_release_that_somebody_puts_in_quarantine_goes_back_where_it_runs() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.quarantine = {NEW}
    assert offered(fleet.go()) == [("a", OLD)]


def test_where_failures_do_not_stop_it_an_inconclusive_verdict_does_and_the_end_tells_of_them() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), on_failure=OnFailure.CONTINUE))
    fleet.tell(Outcome.FAILED, "a", reason="never healthy")
    fleet.tell(Outcome.INCONCLUSIVE, "b")
    assert fleet.state == State.PAUSED
    fleet.do(Verb.RESUME)
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.soak()
    assert (fleet.state, fleet.rollout.reason) == (State.COMPLETED, "but for a: never healthy")


def test_the_way_back_leads_to_what_ran_when_the_release_was_offered() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(approvals=1, waves=()))
    fleet.running = {"a": "sha256:between", "b": NEW}
    fleet.rollout = approve(fleet.rollout, "bob", fleet.now)
    assert offered(fleet.go()) == [("a", NEW)]
    assert fleet.progress()["b"] == "healthy"
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.do(Verb.ROLL_BACK)) == [("a", "sha256:between")]


def test_nobody_is_put_back_to_what_is_in_quarantine() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.quarantine = {OLD}
    assert offered(fleet.do(Verb.ROLL_BACK)) == []
    assert fleet.rollout.reason == "a was not put back: what ran before is in quarantine"


def test_a_failure_in_the_soak_counts_against_the_success_that_is_asked_for() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), failure_threshold=Share(2)))
    fleet.tell(Outcome.HEALTHY, "a", "b")
    fleet.go(timedelta(seconds=10))
    fleet.tell(Outcome.FAILED, "b")
    assert fleet.state == State.PAUSED


@pytest.mark.parametrize(("fail", "state"), [(4, State.ROLLED_BACK), (2, State.ROLLING_BACK), (1, State.RUNNING)])
def test_a_share_of_failures_is_one_of_those_that_can_be_reached(fail: int, state: State) -> None:
    names = "abcdefghij"
    share = Share(50, percent=True)
    fleet = Fleet(*names, policy=RolloutPolicy(waves=(), failure_threshold=share, success_percent=50))
    fleet.online -= set(names[4:])
    fleet.tell(Outcome.FAILED, *names[:fail])
    fleet.tell(Outcome.HEALTHY, *names[fail:4])
    fleet.go(timedelta(minutes=10))
    assert fleet.state == state


def test_the_way_back_begins_outside_of_windows_too() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.gates = {"a": Gate(open=False, reason="frozen")}
    assert offered(fleet.tell(Outcome.FAILED, "b")) == [("a", OLD)]


def test_nobody_is_put_back_to_what_is_not_known() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    unknown = replace(fleet.rollout.targets["a"], before="")
    fleet.rollout = replace(fleet.rollout, targets={**fleet.rollout.targets, "a": unknown})
    assert offered(fleet.do(Verb.ROLL_BACK)) == []
    assert fleet.rollout.reason == "a was not put back: what ran before is not known"


def test_failures_of_one_wave_do_not_count_in_the_next() -> None:
    policy = RolloutPolicy(waves=(WaveRule(Share(2)),), failure_threshold=Share(2), success_percent=50)
    fleet = Fleet("a", "b", "c", "d", policy=policy)
    fleet.tell(Outcome.FAILED, "a")
    fleet.tell(Outcome.HEALTHY, "b")
    assert offered(fleet.soak()) == [("c", NEW), ("d", NEW)]
    fleet.tell(Outcome.FAILED, "c")
    assert fleet.state == State.RUNNING
