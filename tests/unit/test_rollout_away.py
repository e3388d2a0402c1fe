"""Hosts that are offline or busy, and word that comes late."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, OLD, T0, Fleet, completed_without, offered, told

from tidegate.domain.rollout import Kind, State
from tidegate.domain.rollout_apply import Outcome, Report, Verb, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Notice, Offer, Quarantine, Withdraw
from tidegate.domain.rollout_policy import BusyThen, OnFailure, RolloutPolicy, Share, WaveRule
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate


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


def test_what_was_taken_back_as_it_began_and_was_then_cut_off_is_not_waited_for() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    effects = fleet.tell(Outcome.FAILED, "a")
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["b"]
    fleet.tell(Outcome.BEGUN, "b")
    assert fleet.state == State.ROLLING_BACK
    fleet.tell(Outcome.WITHDRAWN, "b")
    assert fleet.state == State.ROLLED_BACK


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


def test_what_was_offline_when_all_went_back_goes_back_when_it_returns() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online.remove("a")
    fleet.tell(Outcome.FAILED, "b", blame=True)
    fleet.go(timedelta(seconds=10))
    assert fleet.wake_at == T0 + timedelta(minutes=10)
    fleet.go(timedelta(minutes=10))
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "offline")
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]


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


def test_how_long_it_was_busy_is_told_as_people_write_durations() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_wait=timedelta(minutes=90)))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=90))
    assert fleet.rollout.targets["a"].reason == "busy for longer than 1h30m"


def test_a_target_that_stops_being_busy_goes_on() -> None:
    fleet = Fleet("a")
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=30))
    fleet.tell(Outcome.BEGUN, "a")
    fleet.go(timedelta(minutes=9))
    fleet.tell(Outcome.HEALTHY, "a")
    assert fleet.progress() == {"a": "healthy"}


def test_a_newer_rollout_takes_the_place_of_an_older_one() -> None:
    fleet = Fleet("a", "b")
    fleet.superseded_by = "8"
    fleet.go()
    assert (fleet.state, fleet.rollout.reason) == (State.SUPERSEDED, "rollout 8 is newer")


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


def test_nobody_is_forced_to_catch_up() -> None:
    fleet = completed_without("b")
    policy = replace(fleet.rollout.policy, busy_then=BusyThen.FORCE)
    fleet.rollout = replace(fleet.rollout, policy=policy)
    fleet.go()
    fleet.tell(Outcome.BUSY, "b")
    assert offered(fleet.go(timedelta(hours=1))) == []
    assert fleet.progress()["b"] == "waiting"


def test_the_wait_for_a_busy_target_begins_when_it_was_busy_first() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FAIL))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=59))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(MINUTE)
    assert fleet.progress()["a"] == "failed"


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


def test_who_is_forced_waits_for_its_window_and_its_host_all_the_same() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FORCE))
    fleet.tell(Outcome.BUSY, "a")
    fleet.gates = {"a": Gate(open=False, reason="its window is closed")}
    assert offered(fleet.go(timedelta(hours=1))) == []
    fleet.gates = {}
    fleet.do(Verb.PAUSE)
    effects = fleet.do(Verb.RESUME)
    assert [one.forced for one in effects if isinstance(one, Offer)] == [True]


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


@pytest.mark.parametrize("offered_anew", [True, False])
def test_a_release_that_fails_late_on_whom_people_had_gone_on_without_goes_to_quarantine(*, offered_anew: bool) -> None:
    fleet = Fleet("a", "b")
    fleet.online.remove("a")
    fleet.go(timedelta(minutes=10))
    fleet.do(Verb.RESUME)
    fleet.soak()
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.soak()
    assert fleet.state == State.COMPLETED
    if offered_anew:
        fleet.online.add("a")
        assert offered(fleet.go()) == [("a", NEW)]
    effects = fleet.tell(Outcome.FAILED, "a", blame=True)
    assert told(effects) == [Notice.LATE_FAILURE]
    assert [one.digest for one in effects if isinstance(one, Quarantine)] == [NEW]


def test_a_rollback_that_fails_late_is_told_and_puts_nothing_in_quarantine() -> None:
    fleet = completed_without("b", kind=Kind.ROLLBACK)
    fleet.go()
    effects = fleet.tell(Outcome.FAILED, "b", blame=True)
    assert told(effects) == [Notice.LATE_FAILURE]
    assert not [one for one in effects if isinstance(one, Quarantine)]


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


def test_who_returns_once_the_next_wave_is_open_takes_part_in_that() -> None:
    fleet = Fleet("a", "b", "c", policy=RolloutPolicy(waves=(WaveRule(Share(2)),)))
    fleet.online.remove("b")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(minutes=10))
    assert offered(fleet.soak()) == [("c", NEW)]
    fleet.online.add("b")
    assert offered(fleet.go()) == [("b", NEW)]


def test_who_has_begun_by_the_time_it_is_heard_of_again_is_offered_nothing_anew() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.online.remove("a")
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.go(timedelta(minutes=10))
    fleet.online.add("a")
    assert offered(fleet.tell(Outcome.BEGUN, "a")) == []
    assert fleet.progress()["a"] == "updating"


def test_an_offer_holds_for_as_long_as_its_target_may_be_busy() -> None:
    fleet = Fleet("a")
    assert [one.expires_at for one in fleet.effects if isinstance(one, Offer)] == [T0 + timedelta(minutes=70)]


def test_failures_that_were_put_up_with_are_not_told_as_late_ones_after_the_end() -> None:
    policy = RolloutPolicy(waves=(), failure_threshold=Share(2), success_percent=50)
    fleet = Fleet("a", "b", policy=policy)
    fleet.tell(Outcome.FAILED, "a", blame=True)
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.soak()
    assert told(fleet.effects) == [Notice.STARTED, Notice.COMPLETED]
    assert not [one for one in fleet.effects if isinstance(one, Quarantine)]


def test_an_offer_that_was_not_taken_up_before_the_host_went_is_taken_back() -> None:
    fleet = Fleet("a", "b")
    fleet.online.remove("a")
    effects = fleet.go(timedelta(minutes=10))
    assert [(one.target, one.generation) for one in effects if isinstance(one, Withdraw)] == [("a", 1)]
    assert fleet.progress()["a"] == "offline"
    fleet.do(Verb.ABORT)
    fleet.online.add("a")
    fleet.tell(Outcome.WITHDRAWN, "a")
    assert (fleet.state, fleet.progress()["a"]) == (State.CANCELLED, "offline")


def test_who_returns_to_an_offer_that_was_taken_back_is_offered_it_anew() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.online.remove("a")
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.go(timedelta(minutes=10))
    fleet.online.add("a")
    fleet.tell(Outcome.WITHDRAWN, "a")
    assert (fleet.progress()["a"], fleet.rollout.targets["a"].generation) == ("offered", 2)
    fleet.tell(Outcome.HEALTHY, "a")
    assert fleet.progress()["a"] == "healthy"


def test_who_is_cut_off_after_the_end_in_what_was_taken_back_catches_up_all_the_same() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.online.remove("b")  # with the offer in its hands
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(minutes=10))
    fleet.soak()
    assert (fleet.state, fleet.progress()["b"]) == (State.COMPLETED, "offline")
    fleet.tell(Outcome.BEGUN, "b")
    fleet.online.add("b")
    assert offered(fleet.tell(Outcome.WITHDRAWN, "b")) == [("b", NEW)]


def test_a_way_back_that_was_never_taken_up_is_no_try() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.FAILED, "b")
    for _ in range(3):
        assert fleet.progress()["a"] == "offered"
        fleet.online.remove("a")
        effects = fleet.go(timedelta(minutes=10))
        assert [one.target for one in effects if isinstance(one, Withdraw)] == ["a"]
        fleet.online.add("a")
        assert offered(fleet.go()) == [("a", OLD)]
    fleet.tell(Outcome.HEALTHY, "a")
    assert fleet.progress()["a"] == "went_back"


@pytest.mark.parametrize("busy", [False, True])
def test_what_has_not_begun_when_its_window_closes_is_taken_back_and_offered_when_it_opens(*, busy: bool) -> None:
    fleet, opens = Fleet("a", "b", policy=RolloutPolicy(waves=())), T0 + timedelta(days=1)
    if busy:
        fleet.tell(Outcome.BUSY, "a")
    fleet.gates = {"a": Gate(open=False, reason="frozen", next_open=opens)}
    effects = fleet.go(MINUTE)
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["a"]
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.tell(Outcome.WITHDRAWN, "a")
    fleet.go(timedelta(seconds=10))
    assert (fleet.progress()["a"], fleet.wake_at) == ("waiting", opens)
    fleet.gates = {}
    assert offered(fleet.go(timedelta(days=1))) == [("a", NEW)]


def test_only_the_time_in_which_a_busy_target_was_asked_counts() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(busy_then=BusyThen.FORCE))
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=40))
    fleet.do(Verb.PAUSE)
    fleet.tell(Outcome.WITHDRAWN, "a")
    fleet.go(timedelta(hours=3))
    fleet.do(Verb.RESUME)
    fleet.tell(Outcome.BUSY, "a")
    fleet.go(timedelta(minutes=19))
    assert fleet.progress()["a"] == "busy"
    assert [one.forced for one in fleet.go(MINUTE) if isinstance(one, Offer)] == [True]


def test_a_busy_target_that_does_not_answer_in_a_pause_is_not_waited_for_longer() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BUSY, "a")
    fleet.do(Verb.PAUSE)
    fleet.go(timedelta(hours=1))
    assert fleet.progress()["a"] == "skipped"


def test_a_freeze_holds_who_catches_up_after_the_end_too() -> None:
    fleet = completed_without("b")
    fleet.go()
    fleet.tell(Outcome.BUSY, "b")
    fleet.gates = {"b": Gate(open=False, reason="frozen", next_open=T0 + timedelta(days=1))}
    effects = fleet.go(MINUTE)
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["b"]
    fleet.tell(Outcome.WITHDRAWN, "b")
    fleet.gates = {}
    assert offered(fleet.go(timedelta(days=1))) == [("b", NEW)]


def test_who_catches_up_does_not_begin_a_release_that_is_put_in_quarantine_meanwhile() -> None:
    fleet = completed_without("b")
    fleet.go()
    fleet.quarantine = {NEW}
    assert [one.target for one in fleet.go() if isinstance(one, Withdraw)] == ["b"]
    assert offered(fleet.tell(Outcome.WITHDRAWN, "b")) == []


def test_the_way_back_is_not_held_by_a_window() -> None:
    fleet = Fleet("a", "b", policy=RolloutPolicy(waves=()))
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.FAILED, "b")
    fleet.gates = {"a": Gate(open=False, reason="frozen")}
    assert (fleet.go(MINUTE), fleet.progress()["a"]) == ([], "offered")


# after the end


def test_a_late_failure_that_is_not_the_releases_puts_nothing_in_quarantine() -> None:
    fleet = completed_without("b")
    fleet.go()
    effects = fleet.tell(Outcome.FAILED, "b")
    assert (told(effects), [one for one in effects if isinstance(one, Quarantine)]) == ([Notice.LATE_FAILURE], [])


def test_who_catches_up_waits_for_another_rollout_that_is_at_it() -> None:
    fleet = completed_without("b")
    fleet.taken = {"b"}
    assert fleet.go() == []
