"""What people do to a rollout."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, OLD, T0, Fleet, offered, told

from tidegate.domain.going_back import without
from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_apply import Outcome, Verb, VerbRefusedError, approve
from tidegate.domain.rollout_effects import Notice, Withdraw
from tidegate.domain.rollout_policy import OnFailure, RolloutPolicy, Share, WaveRule
from tidegate.domain.windows import Gate


def test_who_approves_what_is_paused_before_it_was_approved_is_told_to_resume_it_first() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    fleet.do(Verb.PAUSE)
    with pytest.raises(VerbRefusedError, match="is paused: resume it first"):
        approve(fleet.rollout, "bob", T0)


def test_after_a_pause_for_a_failure_a_person_says_to_go_on() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.FAILED, "a")
    fleet.do(Verb.RESUME)
    fleet.soak()
    assert offered(fleet.effects) == [("a", NEW), ("b", NEW)]


def test_who_returns_during_a_pause_takes_part_when_it_goes_on() -> None:
    fleet = Fleet("a", "b")
    fleet.online.clear()
    fleet.go(timedelta(minutes=10))
    fleet.online |= {"a", "b"}
    assert offered(fleet.do(Verb.RESUME)) == [("a", NEW)]


def test_two_others_have_to_agree_where_two_are_asked_for() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=2))
    assert (fleet.state, fleet.effects) == (State.AWAITING_APPROVAL, [])
    with pytest.raises(VerbRefusedError, match="ann asked for this rollout; somebody else has to approve it"):
        approve(fleet.rollout, "ann", T0)
    fleet.rollout = approve(fleet.rollout, "bob", T0)
    with pytest.raises(VerbRefusedError, match="bob has approved it already"):
        approve(fleet.rollout, "bob", T0)
    assert fleet.go() == []
    fleet.rollout = approve(fleet.rollout, "cem", T0)
    assert offered(fleet.go()) == [("a", NEW)]


def test_names_that_differ_only_in_case_are_one_persons() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=2))
    with pytest.raises(VerbRefusedError, match="ann asked for this rollout; somebody else has to approve it"):
        approve(fleet.rollout, "Ann", T0)
    fleet.rollout = approve(fleet.rollout, "bob", T0)
    with pytest.raises(VerbRefusedError, match="BOB has approved it already"):
        approve(fleet.rollout, "BOB", T0)


def test_an_approval_that_does_not_come_ends_the_rollout() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    assert fleet.wake_at == T0 + timedelta(days=7)
    fleet.go(timedelta(days=7))
    assert (fleet.state, fleet.rollout.reason) == (State.CANCELLED, "not approved within 168h")


def test_a_pause_does_not_let_an_approval_wait_for_longer() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    fleet.do(Verb.PAUSE)
    assert fleet.wake_at == T0 + timedelta(days=7)
    assert told(fleet.go(timedelta(days=7))) == [Notice.EXPIRED]
    assert (fleet.state, fleet.rollout.reason) == (State.CANCELLED, "not approved within 168h")


@pytest.mark.parametrize("verb", [Verb.REJECT, Verb.ABORT])
def test_a_rejected_rollout_is_over(verb: Verb) -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    fleet.do(verb)
    assert fleet.state == State.CANCELLED


def test_a_pause_offers_nothing_more_and_lets_what_began_end() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), parallel=Share(1)))
    fleet.do(Verb.PAUSE)
    assert offered(fleet.tell(Outcome.HEALTHY, "a")) == []
    assert offered(fleet.do(Verb.RESUME)) == [("b", NEW)]


def test_advance_opens_the_next_wave_now_and_takes_along_what_is_not_done() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=(WaveRule(Share(2)),), parallel=Share(1)))
    assert offered(fleet.effects) == [("a", NEW)]
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.do(Verb.ADVANCE)
    assert {one.id: one.wave for one in fleet.rollout.targets.values()} == {"a": 0, "b": 1, "c": 1}
    with pytest.raises(VerbRefusedError, match="last wave"):
        fleet.do(Verb.ADVANCE)


def test_retry_offers_again_what_failed() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.FAILED, "a")
    assert offered(fleet.do(Verb.RETRY)) == [("a", NEW)]
    assert fleet.rollout.targets["a"].generation == 2


def test_rolling_back_by_hand_puts_back_what_was_updated() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.do(Verb.ROLL_BACK)) == [("a", OLD)]


def test_a_verb_that_has_no_meaning_says_which_have() -> None:
    fleet = Fleet("a")
    with pytest.raises(
        VerbRefusedError, match="is running, so resume has no meaning; what can be done is pause, abort"
    ):
        fleet.do(Verb.RESUME)
    fleet.do(Verb.ABORT)
    with pytest.raises(VerbRefusedError, match="it has ended; start a new one"):
        fleet.do(Verb.PAUSE)


@pytest.mark.parametrize("approvals", [0, 1])
@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.ADVANCE, Verb.ROLL_BACK])
def test_a_pause_opens_nothing_of_what_has_not_begun(verb: Verb, approvals: int) -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(approvals=approvals), not_before=T0 + timedelta(days=3))
    fleet.do(Verb.PAUSE)
    said = f"is paused and has not begun, so {verb} has no meaning; what can be done is resume, abort$"
    with pytest.raises(VerbRefusedError, match=said):
        fleet.do(verb)
    assert (fleet.state, fleet.effects) == (State.PAUSED, [])


def test_what_has_begun_stays_so_though_nobody_was_there_for_it() -> None:
    fleet = Fleet("a", "b", "c", not_before=T0 + MINUTE)
    fleet.online.clear()
    fleet.go(MINUTE)
    fleet.do(Verb.PAUSE)
    fleet.gates = {id_: Gate(open=False, reason="closed") for id_ in "abc"}
    fleet.do(Verb.ADVANCE)
    assert (fleet.state, fleet.rollout.wave, offered(fleet.effects)) == (State.RUNNING, 1, [])


def test_what_can_be_done_while_it_waits_for_approval_is_to_approve_it_first_of_all() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    with pytest.raises(VerbRefusedError, match=r"what can be done is approve, reject, pause, abort$"):
        fleet.do(Verb.ADVANCE)


def test_who_would_roll_back_what_has_ended_is_told_how_its_targets_go_back() -> None:
    fleet = Fleet("a")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.soak()
    assert fleet.state == State.COMPLETED
    with pytest.raises(VerbRefusedError, match="what it has updated goes back by a rollback of its own"):
        fleet.do(Verb.ROLL_BACK)


def test_a_rollback_that_has_ended_is_not_rolled_back() -> None:
    fleet = Fleet("a", kind=Kind.ROLLBACK)
    fleet.do(Verb.ABORT)
    with pytest.raises(VerbRefusedError, match="is a rollback, which is not rolled back; name the release"):
        fleet.do(Verb.ROLL_BACK)


def test_a_rollout_that_nobody_ends_ends_itself() -> None:
    fleet = Fleet("a", "b")
    fleet.do(Verb.PAUSE)
    fleet.rollout = replace(fleet.rollout, targets={})
    fleet.go(timedelta(days=30))
    assert (fleet.state, fleet.rollout.reason) == (State.CANCELLED, "it was not over within 720h")


def test_a_wave_that_was_opened_by_hand_soaks_for_its_own_time() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=(WaveRule(Share(1)), WaveRule(Share(1)))))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(seconds=10))
    fleet.do(Verb.ADVANCE)
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.go(timedelta(seconds=10))
    assert offered(fleet.go(timedelta(minutes=4, seconds=59))) == []
    assert offered(fleet.go(timedelta(seconds=1))) == [("c", NEW)]


def test_retry_touches_no_wave_that_is_still_to_come() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.FAILED, "a")
    fleet.do(Verb.RETRY)
    assert [one.wave for one in fleet.rollout.targets.values()] == [0, 1]


def test_a_pause_before_the_approval_does_not_stand_in_for_it() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    fleet.do(Verb.PAUSE)
    assert (fleet.do(Verb.RESUME), fleet.state) == ([], State.AWAITING_APPROVAL)


@pytest.mark.parametrize("how", ["abort", "superseded", "quarantine"])
def test_a_stop_takes_back_what_was_offered(how: str) -> None:
    fleet = Fleet("a", "b", kind=Kind.ROLLBACK if how == "quarantine" else Kind.UPDATE)
    if how == "abort":
        effects = fleet.do(Verb.ABORT)
    else:
        fleet.superseded_by, fleet.quarantine = ("8", set()) if how == "superseded" else ("", {NEW})
        effects = fleet.go()
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["a"]
    assert fleet.rollout.ended


def test_a_pause_before_its_time_does_not_let_a_release_out_early() -> None:
    fleet = Fleet("a", "b", not_before=T0 + timedelta(days=3))
    fleet.do(Verb.PAUSE)
    assert (fleet.do(Verb.RESUME), fleet.state) == ([], State.SCHEDULED)
    assert told(fleet.go(timedelta(days=3))) == [Notice.STARTED]


def test_to_go_back_asks_nobody_for_approval() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=2), kind=Kind.ROLLBACK)
    assert offered(fleet.effects) == [("a", NEW)]


def test_a_rollback_that_was_paused_asks_nobody_for_approval_either() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=2), kind=Kind.ROLLBACK)
    fleet.do(Verb.PAUSE)
    fleet.do(Verb.RESUME)
    assert fleet.state == State.RUNNING


def test_a_pause_takes_back_what_has_not_begun_and_resuming_offers_it_anew() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.BUSY, "a")
    fleet.tell(Outcome.BEGUN, "c")
    effects = fleet.do(Verb.PAUSE)
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["a", "b"]
    fleet.tell(Outcome.WITHDRAWN, "a", "b")
    fleet.tell(Outcome.HEALTHY, "c")
    assert fleet.progress() == {"a": "waiting", "b": "waiting", "c": "healthy"}
    assert fleet.go(timedelta(hours=3)) == []
    assert offered(fleet.do(Verb.RESUME)) == [("a", NEW), ("b", NEW)]


def test_who_has_not_said_yet_that_it_gave_its_offer_back_is_not_offered_another_one() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), parallel=Share(1)))
    fleet.do(Verb.PAUSE)
    assert fleet.do(Verb.RESUME) == []
    assert offered(fleet.tell(Outcome.WITHDRAWN, "a")) == [("a", NEW)]


def test_who_began_before_it_heard_of_the_pause_goes_to_its_end() -> None:
    fleet = Fleet("a", "b")
    fleet.do(Verb.PAUSE)
    fleet.tell(Outcome.BEGUN, "a")
    fleet.tell(Outcome.HEALTHY, "a")
    assert (fleet.state, fleet.progress()["a"]) == (State.PAUSED, "healthy")


def test_a_pause_for_a_failure_takes_back_what_has_not_begun_too() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), on_failure=OnFailure.PAUSE))
    effects = fleet.tell(Outcome.FAILED, "a")
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["b"]


def test_a_rollout_that_has_lost_all_its_targets_ends_when_it_would_have_begun() -> None:
    fleet, opens = Fleet("a", not_before=T0 + MINUTE), T0 + timedelta(days=1)
    fleet.rollout = without(fleet.rollout, {"a"}, "taken back")
    fleet.gates = {"a": Gate(open=False, reason="closed", next_open=opens)}
    fleet.go(MINUTE)
    assert fleet.wake_at == opens
    fleet.gates = {}
    fleet.go(timedelta(days=1))
    fleet.go(fleet.rollout.policy.soak)
    assert fleet.state == State.COMPLETED
