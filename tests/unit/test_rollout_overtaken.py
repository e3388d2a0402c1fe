"""Two rollouts of a channel at the same targets: who moves them, and who brings back what was bad."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.rollouts import MINUTE, NEW, OLD, Fleet, completed_without, offered

from tidegate.domain.rollout import State
from tidegate.domain.rollout_apply import Outcome, Verb
from tidegate.domain.rollout_effects import Withdraw
from tidegate.domain.rollout_policy import RolloutPolicy

OLDER = "sha256:older"
AT_ONCE = RolloutPolicy(waves=())


def going_back(*targets: str) -> Fleet:
    """A rollout that has updated these, and goes back because of one more."""
    fleet = Fleet(*targets, "z", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, *targets)
    fleet.tell(Outcome.FAILED, "z", blame=True)
    return fleet


def withdrawn(fleet: Fleet) -> list[str]:
    return [one.target for one in fleet.go() if isinstance(one, Withdraw)]


# the way back


def test_a_rollback_goes_on_though_a_newer_release_begins() -> None:
    fleet = going_back("a")
    fleet.superseded_by = "8"
    assert (withdrawn(fleet), fleet.state) == ([], State.ROLLING_BACK)
    fleet.tell(Outcome.HEALTHY, "a")
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "went_back")


def test_who_was_offline_is_put_back_when_it_returns_though_a_newer_release_has_begun() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.tell(Outcome.BEGUN, "b")
    fleet.online.remove("a")
    fleet.do(Verb.ROLL_BACK)
    fleet.superseded_by = "8"
    fleet.tell(Outcome.FAILED, "b")
    fleet.go(timedelta(minutes=10))
    assert fleet.state == State.ROLLED_BACK
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]


def test_who_is_being_moved_on_is_put_back_only_where_that_comes_to_nothing() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.taken = {"a"}
    fleet.tell(Outcome.FAILED, "b", blame=True)
    fleet.go(timedelta(minutes=10))
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "offline")
    assert fleet.wake_at is not None
    fleet.taken = set()
    assert offered(fleet.go()) == [("a", OLD)]


@pytest.mark.parametrize("ended", [False, True])
def test_who_was_moved_on_meanwhile_is_not_put_back(*, ended: bool) -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online -= {"a"} if ended else set()
    fleet.taken = {"a"}
    fleet.tell(Outcome.FAILED, "b", blame=True)
    fleet.go(timedelta(minutes=10) if ended else timedelta())
    fleet.online.add("a")
    fleet.taken, fleet.moved_on = set(), {"a"}
    assert offered(fleet.go()) == []
    assert (fleet.state, fleet.progress()["a"]) == (State.ROLLED_BACK, "left_alone")


def test_where_what_ran_before_is_bad_it_goes_to_what_ran_before_that() -> None:
    fleet = Fleet("a", "z", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.quarantine, fleet.earlier = {OLD}, {"a": OLDER}
    assert offered(fleet.tell(Outcome.FAILED, "z", blame=True)) == [("a", OLDER)]
    assert fleet.rollout.targets["a"].before == OLDER


@pytest.mark.parametrize("late", [False, True])
def test_a_way_back_that_has_not_begun_is_withdrawn_where_what_ran_before_turns_out_bad(*, late: bool) -> None:
    fleet = Fleet("a", "z", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online -= {"a"} if late else set()
    fleet.tell(Outcome.FAILED, "z", blame=True)
    if late:
        fleet.go(timedelta(minutes=10))
        fleet.online.add("a")
        assert offered(fleet.go()) == [("a", OLD)]
    fleet.quarantine, fleet.earlier = {NEW, OLD}, {"a": OLDER}
    assert withdrawn(fleet) == ["a"]
    assert offered(fleet.tell(Outcome.WITHDRAWN, "a")) == [("a", OLDER)]
    assert fleet.state is (State.ROLLED_BACK if late else State.ROLLING_BACK)


def test_a_way_back_that_was_withdrawn_as_bad_was_no_try() -> None:
    fleet = going_back("a")
    fleet.quarantine, fleet.earlier = {NEW, OLD}, {"a": OLDER}
    fleet.go()
    effects = fleet.tell(Outcome.WITHDRAWN, "a") + fleet.tell(Outcome.FAILED, "a")
    assert offered(effects) == [("a", OLDER)] * 2


def test_who_may_run_the_release_goes_back_though_a_newer_one_goes_to_it() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "a")
    fleet.tell(Outcome.HEALTHY, "b")
    fleet.online.remove("a")
    fleet.go(10 * MINUTE)
    fleet.overtaken = {"a": "8"}
    fleet.go()
    fleet.do(Verb.ROLL_BACK)
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", OLD)]


# the way forward


def test_who_gets_a_newer_release_by_itself_leaves_the_earlier_rollout() -> None:
    fleet = Fleet("a", "b", "c")
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.overtaken = {"b": "8"}
    assert offered(fleet.soak()) == [("c", NEW)]
    assert fleet.progress()["b"] == "left_alone"
    assert fleet.rollout.targets["b"].reason == "rollout 8 brings it a newer release"


def test_what_was_offered_to_it_is_taken_back_and_what_has_begun_goes_to_its_end() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.BEGUN, "b")
    fleet.overtaken = {"a": "8", "b": "8"}
    assert withdrawn(fleet) == ["a"]
    fleet.tell(Outcome.WITHDRAWN, "a")
    fleet.tell(Outcome.HEALTHY, "b")
    assert fleet.progress() == {"a": "left_alone", "b": "healthy"}


@pytest.mark.parametrize("taken_up", [False, True])
def test_who_gets_a_newer_release_does_not_catch_up_with_an_earlier_one(*, taken_up: bool) -> None:
    fleet = completed_without("b")
    if taken_up:
        fleet.go()
    fleet.overtaken = {"b": "8"}
    assert withdrawn(fleet) == (["b"] if taken_up else [])
    if taken_up:
        assert offered(fleet.tell(Outcome.WITHDRAWN, "b")) == []
    assert fleet.progress()["b"] == "left_alone"


def test_nor_does_who_may_run_it_already() -> None:
    fleet = Fleet("a", "b", policy=AT_ONCE)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.online.remove("b")
    fleet.go(timedelta(minutes=10))
    fleet.soak()
    assert (fleet.state, fleet.progress()["b"]) == (State.COMPLETED, "offline")
    fleet.overtaken, fleet.online = {"b": "8"}, {"a", "b"}
    assert fleet.go() == []


def test_nobody_catches_up_with_a_release_once_a_newer_one_goes_out_to_all() -> None:
    fleet = completed_without("b", "c")
    fleet.go()
    fleet.superseded_by = "8"
    assert withdrawn(fleet) == ["b"]
    assert offered(fleet.tell(Outcome.WITHDRAWN, "b")) == []


def test_a_late_failure_is_told_though_a_newer_release_goes_out() -> None:
    fleet = completed_without("b")
    fleet.go()
    fleet.tell(Outcome.BEGUN, "b")
    fleet.superseded_by = "8"
    assert [str(one.notice) for one in fleet.tell(Outcome.FAILED, "b") if hasattr(one, "notice")] == ["late_failure"]


def test_a_canary_that_was_overtaken_has_proved_nothing() -> None:
    fleet = Fleet("a", "b")
    fleet.overtaken = {"a": "8"}
    fleet.go()
    fleet.tell(Outcome.WITHDRAWN, "a")
    fleet.go(MINUTE)
    assert fleet.state == State.PAUSED


# what is cut off


@pytest.mark.parametrize("online", [False, True])
def test_what_is_cut_off_in_a_rollout_that_was_aborted_is_not_begun_again(*, online: bool) -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.online -= set() if online else {"a"}
    assert [one.target for one in fleet.do(Verb.ABORT) if isinstance(one, Withdraw)] == ["a"]


def test_who_went_away_in_its_update_does_not_begin_it_again_by_itself() -> None:
    fleet = Fleet("a", "b")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.online.remove("a")
    effects = fleet.go(timedelta(minutes=10))
    assert [one.target for one in effects if isinstance(one, Withdraw)] == ["a"]
    fleet.do(Verb.RESUME)
    fleet.online.add("a")
    assert offered(fleet.go()) == [("a", NEW)]


def test_who_went_away_on_its_way_back_goes_to_the_end_of_it() -> None:
    fleet = going_back("a")
    fleet.tell(Outcome.BEGUN, "a")
    fleet.online.remove("a")
    assert not [one for one in fleet.go(timedelta(minutes=10)) if isinstance(one, Withdraw)]
