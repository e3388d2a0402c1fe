"""When a release goes to quarantine for what it has failed by, and when not again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, Fleet, completed_without, offered, told

from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_apply import Outcome, Verb
from tidegate.domain.rollout_effects import Effect, Notice, Quarantine
from tidegate.domain.rollout_policy import OnFailure, RolloutPolicy, Share

ON_FAILURE = pytest.mark.parametrize("on_failure", list(OnFailure))


def quarantined(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(one.digest, one.reason) for one in effects if isinstance(one, Quarantine)]


def under_way(*targets: str, on_failure: OnFailure = OnFailure.ROLLBACK, **plan: Kind) -> Fleet:
    fleet = Fleet(*targets, policy=RolloutPolicy(waves=(), on_failure=on_failure), **plan)
    fleet.tell(Outcome.BEGUN, *targets)
    return fleet


def ended_early(state: State, on_failure: OnFailure) -> Fleet:
    """One that was stopped while `a` and `b` were updated."""
    fleet = under_way("a", "b", on_failure=on_failure)
    if state is State.CANCELLED:
        fleet.do(Verb.ABORT)
    else:
        fleet.superseded_by = "8"
        fleet.go()
    assert fleet.state == state
    return fleet


def without_b() -> Fleet:
    """`a` is being updated when nobody waits for `b` any more, whose host went away in its update."""
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.BEGUN, "b")
    fleet.online.remove("b")
    fleet.go(timedelta(minutes=9))
    fleet.tell(Outcome.BEGUN, "a")
    fleet.go(MINUTE)
    assert fleet.progress() == {"a": "updating", "b": "offline"}
    return fleet


def test_a_release_that_is_found_bad_while_it_goes_back_for_another_reason_goes_to_quarantine() -> None:
    fleet = under_way("a", "b")
    assert quarantined(fleet.tell(Outcome.FAILED, "a", reason="no disk space")) == []
    assert fleet.state == State.ROLLING_BACK
    effects = fleet.tell(Outcome.FAILED, "b", reason="never healthy", blame=True)
    assert quarantined(effects) == [(NEW, "b: never healthy")]
    assert fleet.state == State.ROLLED_BACK


@ON_FAILURE
def test_one_that_a_person_takes_back_goes_to_quarantine_for_what_it_fails_by_then(on_failure: OnFailure) -> None:
    fleet = under_way("a", "b", on_failure=on_failure)
    assert quarantined(fleet.do(Verb.ROLL_BACK)) == []
    assert quarantined(fleet.tell(Outcome.FAILED, "b", reason="never healthy", blame=True)) == [
        (NEW, "b: never healthy")
    ]


@pytest.mark.parametrize("on_failure", [OnFailure.PAUSE, OnFailure.CONTINUE])
def test_one_that_a_person_takes_back_goes_to_quarantine_for_what_it_has_failed_by(on_failure: OnFailure) -> None:
    fleet = under_way("a", "b", "c", on_failure=on_failure)
    effects = fleet.tell(Outcome.FAILED, "a", "b", reason="never healthy", blame=True)
    assert quarantined(effects) == []
    assert quarantined(fleet.do(Verb.ROLL_BACK)) == [(NEW, "a: never healthy (and 1 more)")]


def test_what_a_person_has_forgiven_is_no_reason_when_it_goes_back_later() -> None:
    fleet = under_way("a", "b", on_failure=OnFailure.PAUSE)
    fleet.tell(Outcome.FAILED, "a", blame=True)
    fleet.do(Verb.RESUME)
    assert quarantined(fleet.do(Verb.ROLL_BACK)) == []


def test_one_that_is_found_bad_on_a_host_that_was_away_when_all_had_gone_back_goes_to_quarantine() -> None:
    fleet = without_b()
    assert quarantined(fleet.tell(Outcome.FAILED, "a")) == []
    assert fleet.state == State.ROLLED_BACK
    assert quarantined(fleet.tell(Outcome.FAILED, "b", reason="never healthy", blame=True)) == [
        (NEW, "b: never healthy")
    ]


@ON_FAILURE
@pytest.mark.parametrize("state", [State.CANCELLED, State.SUPERSEDED])
def test_one_that_was_stopped_goes_to_quarantine_for_what_it_fails_by_later_if_its_policy_goes_back(
    state: State, on_failure: OnFailure
) -> None:
    fleet = ended_early(state, on_failure)
    found = quarantined(fleet.tell(Outcome.FAILED, "a", reason="never healthy", blame=True))
    assert found == ([(NEW, "a: never healthy")] if on_failure is OnFailure.ROLLBACK else [])
    assert fleet.state == state


@pytest.mark.parametrize("state", [State.CANCELLED, State.SUPERSEDED])
def test_what_was_not_the_releases_fault_is_no_reason_after_a_stop(state: State) -> None:
    fleet = ended_early(state, OnFailure.ROLLBACK)
    assert quarantined(fleet.tell(Outcome.FAILED, "a", "b")) == []


@pytest.mark.parametrize("state", [State.ROLLING_BACK, State.ROLLED_BACK, State.CANCELLED, State.SUPERSEDED])
def test_one_that_a_person_lets_out_of_quarantine_stays_out_until_it_fails_anew(state: State) -> None:
    if state in {State.CANCELLED, State.SUPERSEDED}:
        fleet = ended_early(state, OnFailure.ROLLBACK)
    else:
        fleet = under_way("a", "b") if state is State.ROLLING_BACK else without_b()
    assert len(quarantined(fleet.tell(Outcome.FAILED, "a", blame=True))) == 1
    assert fleet.state == state
    fleet.quarantine.clear()
    assert quarantined(fleet.go()) == []
    assert len(quarantined(fleet.tell(Outcome.FAILED, "b", blame=True))) == 1


def test_what_it_fails_by_while_it_is_in_quarantine_is_no_reason_once_it_is_let_out() -> None:
    fleet = under_way("a", "b")
    fleet.quarantine = {NEW}
    fleet.go()
    assert quarantined(fleet.tell(Outcome.FAILED, "a", blame=True)) == []
    fleet.quarantine.clear()
    assert quarantined(fleet.go()) == []


def test_a_rollback_that_was_stopped_puts_nothing_in_quarantine() -> None:
    fleet = under_way("a", "b", kind=Kind.ROLLBACK)
    fleet.do(Verb.ABORT)
    assert quarantined(fleet.tell(Outcome.FAILED, "a", blame=True)) == []


@ON_FAILURE
def test_a_release_that_fails_on_who_returns_late_is_told_and_goes_no_further_if_its_policy_goes_back(
    on_failure: OnFailure,
) -> None:
    fleet = completed_without("b", "c", policy=RolloutPolicy(waves=(), parallel=Share(1), on_failure=on_failure))
    assert offered(fleet.go()) == [("b", NEW)]
    effects = fleet.tell(Outcome.FAILED, "b", reason="never healthy", blame=True)
    assert told(effects) == [Notice.LATE_FAILURE]
    goes_back = on_failure is OnFailure.ROLLBACK
    assert quarantined(effects) == ([(NEW, "b: never healthy")] if goes_back else [])
    assert offered(effects) == ([] if goes_back else [("c", NEW)])
