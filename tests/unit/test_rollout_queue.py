"""An agent carries out one assignment after another: who waits for its turn there has not failed."""

from __future__ import annotations

from datetime import timedelta

from tests.support.rollouts import MINUTE, OLD, Fleet, offered

from tidegate.domain.rollout import State
from tidegate.domain.rollout_apply import Outcome
from tidegate.domain.rollout_policy import OnFailure, RolloutPolicy

LIMIT = timedelta(minutes=10)


def at_once(*targets: str, on_failure: OnFailure = OnFailure.ROLLBACK) -> Fleet:
    """A rollout that has offered its release to all of these."""
    return Fleet(*targets, policy=RolloutPolicy(waves=(), on_failure=on_failure))


def test_who_waits_for_its_turn_while_its_agent_carries_out_another_has_not_failed() -> None:
    fleet = at_once("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.at_work["b"] = fleet.now + LIMIT
    fleet.go(LIMIT - MINUTE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(MINUTE)
    assert (fleet.state, fleet.progress()) == (State.RUNNING, {"a": "healthy", "b": "offered"})


def test_its_time_runs_from_the_end_of_what_came_before_it() -> None:
    fleet = at_once("a", "b", on_failure=OnFailure.PAUSE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.at_work["b"] = fleet.now + 3 * MINUTE
    fleet.go(LIMIT)
    assert fleet.wake_at == fleet.at_work["b"] + LIMIT
    fleet.go(3 * MINUTE - timedelta(seconds=1))
    assert fleet.progress()["b"] == "offered"
    fleet.go(timedelta(seconds=1))
    assert fleet.progress()["b"] == "failed"


def test_what_has_begun_has_its_own_time_whatever_else_its_agent_does() -> None:
    fleet = at_once("a", "b", on_failure=OnFailure.PAUSE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.BEGUN, "b")
    fleet.at_work["b"] = fleet.now + LIMIT
    fleet.go(LIMIT)
    assert fleet.progress()["b"] == "failed"


def test_who_waits_for_its_turn_to_go_back_is_asked_once() -> None:
    fleet = at_once("a", "b", "c")
    fleet.tell(Outcome.HEALTHY, "a", "b")
    assert offered(fleet.tell(Outcome.FAILED, "c")) == [("a", OLD), ("b", OLD)]
    fleet.tell(Outcome.BEGUN, "a")
    fleet.at_work["b"] = fleet.now + LIMIT
    fleet.go(LIMIT - MINUTE)
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.go(MINUTE)) == []
    fleet.tell(Outcome.HEALTHY, "b")
    assert fleet.state == State.ROLLED_BACK
