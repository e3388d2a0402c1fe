"""A rollout that goes well: waves, soak, windows, and the end."""

from __future__ import annotations

from datetime import timedelta

from tests.support.rollouts import MINUTE, NEW, OLD, T0, Fleet, offered, told

from tidegate.domain.rollout import Kind, Planned, State, plan_rollout
from tidegate.domain.rollout_apply import Outcome
from tidegate.domain.rollout_effects import Notice
from tidegate.domain.rollout_policy import RolloutPolicy, Share, WaveRule
from tidegate.domain.windows import Gate


def test_the_canary_comes_first_and_the_rest_after_its_soak() -> None:
    fleet = Fleet("a", "b", "c")
    assert offered(fleet.effects) == [("a", NEW)]
    fleet.tell(Outcome.BEGUN, "a")
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.go(timedelta(seconds=10))) == []
    assert offered(fleet.go(timedelta(minutes=5) - timedelta(seconds=1))) == []
    assert offered(fleet.go(timedelta(seconds=1))) == [("b", NEW), ("c", NEW)]
    fleet.tell(Outcome.HEALTHY, "b", "c")
    fleet.soak()
    assert fleet.state == State.COMPLETED
    assert told(fleet.effects) == [Notice.STARTED, Notice.WAVE, Notice.COMPLETED]


def test_what_runs_it_already_is_left_alone() -> None:
    planned = [Planned("a", running=NEW), Planned("b", running=OLD)]
    rollout = plan_rollout("7", "app", NEW, planned, RolloutPolicy(), requested_by="ann", now=T0)
    assert list(rollout.targets) == ["b"]
    nothing = plan_rollout(
        "7", "app", OLD, planned[1:], RolloutPolicy(), requested_by="ann", now=T0, kind=Kind.ROLLBACK
    )
    assert (nothing.state, nothing.reason) == (State.COMPLETED, "every target runs it already")


def test_nothing_is_offered_outside_of_its_window() -> None:
    opens = T0 + timedelta(hours=10)
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()), not_before=T0 + MINUTE)
    fleet.gates = {"a": Gate(open=False, reason="its window is closed", next_open=opens)}
    assert offered(fleet.go(MINUTE)) == [("b", NEW)]
    fleet.tell(Outcome.HEALTHY, "b")
    assert fleet.state == State.RUNNING
    fleet.go(timedelta(hours=1))
    assert (fleet.state, fleet.wake_at) == (State.RUNNING, opens)
    fleet.gates = {}
    assert offered(fleet.go(timedelta(hours=9))) == [("a", NEW)]


def test_no_more_of_a_wave_are_under_way_than_the_policy_allows() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=(), parallel=Share(1)))
    assert offered(fleet.effects) == [("a", NEW)]
    assert offered(fleet.tell(Outcome.HEALTHY, "a")) == [("b", NEW)]


def test_a_share_that_may_be_under_way_is_one_of_the_open_wave() -> None:
    policy = RolloutPolicy(waves=(WaveRule(Share(2)),), parallel=Share(50, percent=True))
    assert offered(Fleet("a", "b", "c", "d", policy=policy).effects) == [("a", NEW)]


def test_a_wave_passes_only_where_enough_of_it_is_healthy() -> None:
    policy = RolloutPolicy(waves=(), failure_threshold=Share(3), success_percent=75)
    fleet = Fleet("a", "b", "c", policy=policy)
    fleet.tell(Outcome.FAILED, "a")
    fleet.tell(Outcome.HEALTHY, "b", "c")
    fleet.soak()
    assert (fleet.state, fleet.rollout.reason) == (State.PAUSED, "too few of wave 1 could be updated")


def test_a_rollout_does_not_begin_before_the_first_window_of_its_first_wave_opens() -> None:
    opens = T0 + timedelta(hours=2)
    fleet = Fleet("a", "b", not_before=T0 + MINUTE)
    fleet.gates = {"a": Gate(open=False, reason="its window is closed", next_open=opens)}
    assert (fleet.go(MINUTE), fleet.state, fleet.wake_at) == ([], State.SCHEDULED, opens)


def test_it_is_looked_at_when_its_time_has_come() -> None:
    assert Fleet("a", not_before=T0 + timedelta(days=3)).wake_at == T0 + timedelta(days=3)
