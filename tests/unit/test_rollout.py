"""A rollout from its plan to its end, told by examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.domain.rollout import Kind, Planned, Rollout, State, plan_rollout
from tidegate.domain.rollout_apply import Outcome, Report, Verb, VerbRefusedError, act, approve, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Effect, Notice, Notify, Offer, Quarantine, Withdraw
from tidegate.domain.rollout_policy import BusyThen, OnFailure, RolloutPolicy, Share, WaveRule
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate

T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEW, OLD = "sha256:new", "sha256:old"
MINUTE = timedelta(minutes=1)


class Fleet:
    """A rollout, the world around it, and everything that it wanted done."""

    def __init__(self, *targets: str, policy: RolloutPolicy | None = None, **plan: Any) -> None:
        self.now = T0
        self.online = set(targets)
        self.gates: dict[str, Gate] = {}
        self.taken: set[str] = set()
        self.quarantine: set[str] = set()
        self.running: dict[str, str] = {}
        self.superseded_by = ""
        self.effects: list[Effect] = []
        planned = [Planned(one, running=OLD) for one in targets]
        policy = policy or RolloutPolicy()
        self.rollout: Rollout = plan_rollout("7", "app", NEW, planned, policy, requested_by="ann", now=T0, **plan)
        self.go()

    def go(self, later: timedelta = timedelta()) -> list[Effect]:
        """Let time pass and decide; what is to be done now."""
        self.now += later
        decision = decide(self.rollout, self._world())
        self.rollout = decision.rollout
        self.wake_at = decision.wake_at
        self.quarantine |= {effect.digest for effect in decision.effects if isinstance(effect, Quarantine)}
        again = decide(self.rollout, self._world())
        assert (again.rollout, again.effects) == (self.rollout, ())
        self.effects += decision.effects
        return list(decision.effects)

    def _world(self) -> World:
        return World(
            now=self.now,
            online=frozenset(self.online),
            gates=self.gates,
            taken=frozenset(self.taken),
            running=self.running,
            quarantine=frozenset(self.quarantine),
            superseded_by=self.superseded_by,
        )

    def tell(self, outcome: Outcome, *targets: str, **more: Any) -> list[Effect]:
        """The agents of these say so about their latest assignment."""
        for one in targets:
            said = Report(one, self.rollout.targets[one].generation, outcome, **more)
            self.rollout = report(self.rollout, said, self.now)
        return self.go()

    def do(self, verb: Verb, by: str = "bob") -> list[Effect]:
        self.rollout = act(self.rollout, verb, by, self.now)
        return self.go()

    def soak(self) -> list[Effect]:
        """Let what is healthy stay so, and the wave soak."""
        return self.go(timedelta(seconds=10)) + self.go(self.rollout.policy.soak)

    @property
    def state(self) -> str:
        return self.rollout.state

    def progress(self) -> Mapping[str, str]:
        return {one.id: str(one.progress) for one in self.rollout.targets.values()}


def offered(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(one.target, one.digest) for one in effects if isinstance(one, Offer)]


def told(effects: list[Effect]) -> list[Notice]:
    return [one.notice for one in effects if isinstance(one, Notify)]


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


@pytest.mark.parametrize("blame", [True, False])
def test_a_failed_canary_goes_back_and_nobody_else_sees_the_release(*, blame: bool) -> None:
    fleet = Fleet("a", "b", "c")
    effects = fleet.tell(Outcome.FAILED, "a", reason="never healthy", blame=blame)
    assert fleet.state == State.ROLLED_BACK
    assert [one.digest for one in effects if isinstance(one, Quarantine)] == ([NEW] if blame else [])
    assert (fleet.rollout.reason, offered(effects)) == ("a: never healthy", [])
    assert told(effects) == [Notice.ROLLING_BACK, Notice.ROLLED_BACK]


def test_a_failure_in_a_later_wave_puts_back_all_that_were_updated_and_waits_for_what_is_under_way() -> None:
    fleet = Fleet("a", "b", "c", "d")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.soak()
    fleet.tell(Outcome.BEGUN, "b")
    effects = fleet.tell(Outcome.FAILED, "c", blame=True)
    assert offered(effects) == [("a", OLD)]
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["d"]
    assert offered(fleet.tell(Outcome.HEALTHY, "b")) == [("b", OLD)]
    fleet.tell(Outcome.WITHDRAWN, "d")
    assert fleet.state == State.ROLLING_BACK
    fleet.tell(Outcome.HEALTHY, "a", "b")
    assert fleet.state == State.ROLLED_BACK
    assert fleet.progress() == {"a": "went_back", "b": "went_back", "c": "failed", "d": "waiting"}


def test_one_that_goes_sick_in_the_soak_stops_the_rollout() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(seconds=10))
    fleet.tell(Outcome.FAILED, "a", reason="sick in its bake", blame=True)
    assert fleet.state == State.ROLLED_BACK


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


def test_after_a_pause_for_a_failure_a_person_says_to_go_on() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(on_failure=OnFailure.PAUSE))
    fleet.tell(Outcome.FAILED, "a")
    fleet.do(Verb.RESUME)
    fleet.soak()
    assert offered(fleet.effects) == [("a", NEW), ("b", NEW)]


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


def test_a_host_that_is_offline_leaves_the_count_at_the_deadline_and_catches_up_later() -> None:
    fleet = Fleet("a", "b", "c")
    fleet.online.remove("b")
    fleet.tell(Outcome.HEALTHY, "a")
    assert offered(fleet.soak()) == [("c", NEW)]
    fleet.tell(Outcome.HEALTHY, "c")
    fleet.go(timedelta(minutes=10))
    fleet.soak()
    assert (fleet.state, fleet.progress()["b"]) == (State.COMPLETED, "offline")
    fleet.online.add("b")
    assert offered(fleet.go(timedelta(days=1))) == [("b", NEW)]
    fleet.tell(Outcome.HEALTHY, "b")
    assert fleet.progress()["b"] == "healthy"


def test_a_wave_of_which_nobody_could_be_reached_proves_nothing() -> None:
    fleet = Fleet("a", "b")
    fleet.online.clear()
    fleet.go(timedelta(minutes=10))
    assert fleet.state == State.PAUSED
    assert fleet.rollout.reason == "too few of wave 1 could be updated"
    assert fleet.progress() == {"a": "offline", "b": "waiting"}


def test_a_rollout_whose_first_wave_was_never_there_says_so_and_a_person_may_go_on_without_it() -> None:
    fleet = Fleet("a", "b", not_before=T0 + MINUTE)
    fleet.online.remove("a")
    fleet.go(MINUTE)
    fleet.go(timedelta(minutes=10))
    assert fleet.state == State.PAUSED
    fleet.do(Verb.RESUME)
    assert offered(fleet.soak()) == [("b", NEW)]


def test_who_returns_during_a_pause_takes_part_when_it_goes_on() -> None:
    fleet = Fleet("a", "b")
    fleet.online.clear()
    fleet.go(timedelta(minutes=10))
    fleet.online |= {"a", "b"}
    assert offered(fleet.do(Verb.RESUME)) == [("a", NEW)]


@pytest.mark.parametrize("outcome", [Outcome.INCONCLUSIVE, Outcome.REFUSED, Outcome.FAILED])
def test_the_way_back_is_tried_twice_whatever_is_said_of_it(outcome: Outcome) -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    effects = fleet.tell(Outcome.FAILED, "b") + fleet.tell(outcome, "a") + fleet.tell(outcome, "a")
    assert offered(effects) == [("a", OLD)] * 2
    assert (fleet.state, fleet.progress()["a"]) == (State.FAILED, "not_put_back")


def test_what_was_offline_when_all_went_back_goes_back_when_it_returns() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online.remove("a")
    fleet.tell(Outcome.FAILED, "b", blame=True)
    fleet.go(timedelta(minutes=10))
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "offline")
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]


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


def test_a_target_that_another_rollout_is_at_is_waited_for() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(waves=()), not_before=T0 + MINUTE)
    fleet.taken = {"a"}
    assert offered(fleet.go(MINUTE)) == []
    fleet.taken = set()
    assert offered(fleet.go(MINUTE)) == [("a", NEW)]


@pytest.mark.parametrize(
    ("then", "state", "progress"),
    [
        (BusyThen.SKIP, State.PAUSED, "skipped"),
        (BusyThen.FORCE, State.RUNNING, "offered"),
        (BusyThen.FAIL, State.ROLLED_BACK, "failed"),
    ],
)
def test_a_target_that_is_busy_for_too_long_is_skipped_forced_or_failed(
    then: BusyThen, state: State, progress: str
) -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=then))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=59))
    assert fleet.progress()["a"] == "busy"
    effects = fleet.go(MINUTE)
    assert (fleet.state, fleet.progress()["a"]) == (state, progress)
    forced = [one.forced for one in effects if isinstance(one, Offer)]
    assert forced == ([True] if then is BusyThen.FORCE else [])


def test_a_target_that_stops_being_busy_goes_on() -> None:
    fleet = Fleet("a")
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=30))
    fleet.tell(Outcome.BEGUN, "a")
    fleet.go(timedelta(minutes=9))
    fleet.tell(Outcome.HEALTHY, "a")
    assert fleet.progress() == {"a": "healthy"}


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


def test_an_approval_that_does_not_come_ends_the_rollout() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=1))
    assert fleet.wake_at == T0 + timedelta(days=7)
    fleet.go(timedelta(days=7))
    assert fleet.state == State.CANCELLED


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


def test_a_newer_rollout_takes_the_place_of_an_older_one() -> None:
    fleet = Fleet("a", "b")
    fleet.superseded_by = "8"
    fleet.go()
    assert (fleet.state, fleet.rollout.reason) == (State.SUPERSEDED, "rollout 8 is newer")


def test_a_release_that_somebody_puts_in_quarantine_goes_back_where_it_runs() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.quarantine = {NEW}
    assert offered(fleet.go()) == [("a", OLD)]


@pytest.mark.parametrize("generation", [0, 2])
def test_word_about_another_assignment_changes_nothing(generation: int) -> None:
    fleet = Fleet("a")
    said = Report("a", generation, Outcome.HEALTHY)
    assert report(fleet.rollout, said, T0) == fleet.rollout


def test_the_same_word_twice_is_taken_in_once() -> None:
    fleet = Fleet("a")
    said = Report("a", 1, Outcome.HEALTHY)
    once = report(fleet.rollout, said, T0)
    assert report(once, said, T0 + MINUTE) == once


def test_the_generation_goes_on_from_that_of_earlier_rollouts() -> None:
    fleet = Fleet("a", not_before=T0 + MINUTE)
    world = World(now=T0 + MINUTE, online=frozenset("a"), generations={"a": 41})
    assert [one.generation for one in decide(fleet.rollout, world).effects if isinstance(one, Offer)] == [42]


def test_a_rollout_that_nobody_ends_ends_itself() -> None:
    fleet = Fleet("a", "b")
    fleet.do(Verb.PAUSE)
    fleet.rollout = replace(fleet.rollout, targets={})
    fleet.go(timedelta(days=30))
    assert fleet.state == State.CANCELLED


def test_a_wave_passes_only_where_enough_of_it_is_healthy() -> None:
    policy = RolloutPolicy(waves=(), failure_threshold=Share(3), success_percent=75)
    fleet = Fleet("a", "b", "c", policy=policy)
    fleet.tell(Outcome.FAILED, "a")
    fleet.tell(Outcome.HEALTHY, "b", "c")
    fleet.soak()
    assert (fleet.state, fleet.rollout.reason) == (State.PAUSED, "too few of wave 1 could be updated")


def completed_without(*offline: str) -> Fleet:
    """A completed rollout that these were not there for."""
    fleet = Fleet("a", *offline, policy=RolloutPolicy(waves=(), parallel=Share(1)))
    fleet.online -= set(offline)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(minutes=10))
    fleet.soak()
    assert fleet.state == State.COMPLETED
    fleet.online |= set(offline)
    return fleet


def test_what_returns_after_the_end_catches_up_one_after_another() -> None:
    fleet = completed_without("b", "c")
    assert offered(fleet.go()) == [("b", NEW)]
    assert offered(fleet.tell(Outcome.HEALTHY, "b")) == [("c", NEW)]


def test_what_returns_after_the_end_is_not_given_a_release_that_is_bad_or_outdated_by_then() -> None:
    bad, old = completed_without("b"), completed_without("b")
    bad.quarantine, old.superseded_by = {NEW}, "8"
    assert (bad.go(), old.go()) == ([], [])


def test_one_that_went_offline_in_its_update_may_run_the_release_and_goes_back_with_the_others() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.BEGUN, "a")
    fleet.online.remove("a")
    fleet.go(timedelta(minutes=9))
    fleet.tell(Outcome.BEGUN, "b")
    fleet.go(MINUTE)
    fleet.tell(Outcome.FAILED, "b", blame=True)
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "offline")
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]


def test_a_target_is_forced_once_and_then_skipped() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FORCE))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(hours=1))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=1))
    assert fleet.progress()["a"] == "skipped"


def test_the_wait_for_a_busy_target_begins_when_it_was_busy_first() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FAIL))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=59))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(MINUTE)
    assert fleet.progress()["a"] == "failed"


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
    fleet.do(Verb.PAUSE)
    assert (fleet.do(Verb.RETRY), fleet.state) == ([], State.AWAITING_APPROVAL)


def test_who_says_only_afterwards_that_it_runs_the_release_goes_back_too() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.online.remove("a")  # with the offer in its hands
    fleet.go(timedelta(minutes=9))
    fleet.tell(Outcome.BEGUN, "b")
    fleet.go(MINUTE)
    fleet.tell(Outcome.FAILED, "b", blame=True)
    assert fleet.state == State.ROLLED_BACK
    fleet.online.add("a")
    assert offered(fleet.tell(Outcome.HEALTHY, "a")) == [("a", OLD)]


def test_what_an_agent_has_not_taken_up_in_time_is_taken_back() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(on_failure=OnFailure.PAUSE))
    effects = fleet.go(timedelta(minutes=10))
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["a"]


def test_a_target_of_an_outdated_rollout_is_not_held_for_ever() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.superseded_by = "8"
    fleet.go()
    assert fleet.wake_at == T0 + timedelta(minutes=10)
    fleet.go(timedelta(minutes=10))
    assert fleet.progress()["a"] == "failed"


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


def test_who_is_forced_waits_for_its_window_and_its_host_all_the_same() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FORCE))
    fleet.tell(Outcome.BUSY, "a")
    fleet.gates = {"a": Gate(open=False, reason="its window is closed")}
    assert offered(fleet.go(timedelta(hours=1))) == []
    fleet.gates = {}
    fleet.do(Verb.PAUSE)
    effects = fleet.do(Verb.RESUME)
    assert [one.forced for one in effects if isinstance(one, Offer)] == [True]


@pytest.mark.parametrize("verb", [Verb.RESUME, Verb.RETRY])
def test_a_pause_before_its_time_does_not_let_a_release_out_early(verb: Verb) -> None:
    fleet = Fleet("a", "b", not_before=T0 + timedelta(days=3))
    fleet.do(Verb.PAUSE)
    assert (fleet.do(verb), fleet.state) == ([], State.SCHEDULED)
    assert told(fleet.go(timedelta(days=3))) == [Notice.STARTED]


def test_who_was_not_put_back_does_not_keep_the_offline_ones_from_it() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a", "b")
    fleet.online.remove("b")
    fleet.tell(Outcome.FAILED, "c", blame=True)
    fleet.tell(Outcome.FAILED, "a")
    fleet.tell(Outcome.FAILED, "a")
    fleet.go(timedelta(minutes=10))
    assert fleet.state == State.FAILED
    fleet.online.add("b")
    assert offered(fleet.go()) == [("b", OLD)]


def test_who_returns_after_the_end_while_its_window_is_closed_is_thought_of_when_it_opens() -> None:
    fleet, opens = completed_without("b"), T0 + timedelta(days=1)
    fleet.gates = {"b": Gate(open=False, reason="its window is closed", next_open=opens)}
    assert (fleet.go(), fleet.wake_at) == ([], opens)


def test_a_release_that_fails_on_who_returns_late_is_told_and_goes_no_further() -> None:
    fleet = completed_without("b", "c")
    fleet.go()
    effects = fleet.tell(Outcome.FAILED, "b", reason="never healthy", blame=True)
    assert (told(effects), offered(effects)) == ([Notice.LATE_FAILURE], [])
    assert [one.digest for one in effects if isinstance(one, Quarantine)] == [NEW]


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


def test_a_rollback_that_a_later_rollout_overtakes_puts_back_nothing_more() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.BEGUN, "b")
    fleet.online.remove("a")
    fleet.do(Verb.ROLL_BACK)
    fleet.superseded_by = "8"
    fleet.online.add("a")
    assert (offered(fleet.go()), fleet.state) == ([], State.SUPERSEDED)


def test_who_returns_during_the_soak_soaks_as_long_as_the_others() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.online.remove("b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(minutes=10))
    fleet.online.add("b")
    fleet.go(timedelta(minutes=4))
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.go(timedelta(seconds=10))
    fleet.go(timedelta(minutes=4))
    assert fleet.state == State.RUNNING
    fleet.go(MINUTE)
    assert fleet.state == State.COMPLETED


def test_a_failure_in_the_soak_counts_against_the_success_that_is_asked_for() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=(), failure_threshold=Share(2)))
    fleet.tell(Outcome.HEALTHY, "a", "b")
    fleet.go(timedelta(seconds=10))
    fleet.tell(Outcome.FAILED, "b")
    assert fleet.state == State.PAUSED


def test_to_go_back_asks_nobody_for_approval() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=2), kind=Kind.ROLLBACK)
    assert offered(fleet.effects) == [("a", NEW)]


def test_an_offer_holds_for_as_long_as_its_target_may_be_busy() -> None:
    fleet = Fleet("a")
    assert [one.expires_at for one in fleet.effects if isinstance(one, Offer)] == [T0 + timedelta(minutes=70)]


def test_a_rollout_does_not_begin_before_the_first_window_of_its_first_wave_opens() -> None:
    opens = T0 + timedelta(hours=2)
    fleet = Fleet("a", "b", not_before=T0 + MINUTE)
    fleet.gates = {"a": Gate(open=False, reason="its window is closed", next_open=opens)}
    assert (fleet.go(MINUTE), fleet.state, fleet.wake_at) == ([], State.SCHEDULED, opens)


def test_failures_that_were_put_up_with_are_not_told_as_late_ones_after_the_end() -> None:
    policy = RolloutPolicy(waves=(), failure_threshold=Share(2), success_percent=50)
    fleet = Fleet("a", "b", policy=policy)
    fleet.tell(Outcome.FAILED, "a", blame=True)
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.soak()
    assert told(fleet.effects) == [Notice.STARTED, Notice.COMPLETED]
    assert not [one for one in fleet.effects if isinstance(one, Quarantine)]


def test_a_rollback_that_was_paused_asks_nobody_for_approval_either() -> None:
    fleet = Fleet("a", policy=RolloutPolicy(approvals=2), kind=Kind.ROLLBACK)
    fleet.do(Verb.PAUSE)
    fleet.do(Verb.RESUME)
    assert fleet.state == State.RUNNING
