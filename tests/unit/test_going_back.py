"""Going back by hand, as decided: the newest before what runs, and what becomes of an update under way."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.going_back import Move, newest, not_left, ran_before, reached, stops, without
from tidegate.domain.rollout import Planned, Progress, Rollout, State, plan_rollout
from tidegate.domain.rollout_apply import Outcome, Report, Verb, act, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_policy import RolloutPolicy
from tidegate.domain.rollout_world import World

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ORDER = ["v3", "v2", "v1"]


def update(**canary: Any) -> Rollout:
    """Of v2 to two targets that run v1; `canary` is so of the first."""
    targets = [Planned(name, {}, "v1") for name in ("a", "b")]
    it = plan_rollout("7", "1", "v2", targets, RolloutPolicy(), requested_by="ann", now=NOW)
    return replace(it, state=State.RUNNING, targets={**it.targets, "a": replace(it.targets["a"], **canary)})


@pytest.mark.parametrize(
    ("ran", "running", "held", "to"),
    [
        ({"v1", "v2", "v3"}, "v3", set(), "v2"),
        ({"v1", "v2", "v3"}, "v3", {"v2"}, "v1"),
        ({"v1", "v2"}, "v1", set(), ""),  # it was put back from v2
        ({"v3"}, "v3", set(), ""),
        ({"v1"}, "v9", set(), "v1"),  # what runs was not noted yet
    ],
)
def test_a_target_goes_to_the_newest_that_ran_before(ran: set[str], running: str, held: set[str], to: str) -> None:
    assert ran_before(ORDER, ran, running, held) == to


@given(st.sampled_from(ORDER), st.sets(st.sampled_from(ORDER)), st.sets(st.sampled_from(ORDER)))
def test_nothing_goes_forward_and_going_back_comes_to_an_end(running: str, ran: set[str], held: set[str]) -> None:
    at, steps = running, [running]
    while at := ran_before(ORDER, ran | {running}, at, held):
        steps.append(at)
    assert steps == sorted(steps, reverse=True)
    assert not held & set(steps[1:])


@pytest.mark.parametrize(
    ("moves", "kept"),
    [
        ([Move("v1"), Move("v2"), Move("v3")], {"v1", "v2", "v3"}),
        ([Move("v1"), Move("v2"), Move("v1", "v2"), Move("v1"), Move("v3")], {"v1", "v3"}),
        ([Move("v1"), Move("v2"), Move("v1"), Move("v2"), Move("v3")], {"v1", "v2", "v3"}),
        ([Move("v1"), Move("v2"), Move("v1", "v2"), Move("v3")], {"v1", "v3"}),  # it was not there to go back
        ([Move("v1"), Move("v2"), Move("v3"), Move("v1", "v2")], {"v1", "v3"}),  # another has moved it on since
        ([Move("v1"), Move("v2"), Move("v2", "v1")], {"v1", "v2"}),  # forward again: a rollback was taken back
        ([Move("v1"), Move("v2"), Move("", "v2")], {"v1", "v2"}),  # what it was to go to is not known
    ],
)
def test_what_a_target_has_left_it_does_not_go_back_to(moves: list[Move], kept: set[str]) -> None:
    assert not_left(ORDER, moves) == kept


@given(st.lists(st.builds(Move, st.sampled_from(ORDER), st.sampled_from(["", *ORDER]))), st.sampled_from(ORDER))
def test_what_it_came_to_run_last_was_not_left_and_nothing_newer_is_kept(moves: list[Move], last: str) -> None:
    kept = not_left(ORDER, [*moves, Move(last)])
    assert last in kept
    assert all(ORDER.index(one) >= ORDER.index(last) for one in kept)


def test_the_newest_of_what_runs_is_left() -> None:
    assert newest(ORDER, {"v1", "v2", ""}) == "v2"
    assert newest(ORDER, {"v1", "v9"}) == "v9"
    assert newest(ORDER, {""}) == ""


def test_an_update_is_turned_round_where_that_brings_its_targets_there() -> None:
    soaking = update(progress=Progress.HEALTHY, touched=True, generation=1, before="v1")
    assert [stops(soaking, to) for to in (None, "v1", "v0", "v2")] == [Verb.ROLL_BACK, Verb.ROLL_BACK, Verb.ABORT, None]
    assert [one.id for one in reached(soaking)] == ["a"]


def test_one_that_has_offered_nothing_is_aborted_and_one_that_failed_alone_is_turned_round() -> None:
    assert stops(update(), None) is Verb.ABORT
    assert stops(update(progress=Progress.FAILED, generation=1, failed_in=0), None) is Verb.ROLL_BACK


def test_a_rollout_leaves_targets_alone_that_go_back() -> None:
    after = without(update(), {"b"}, "left alone")
    assert [one.progress for one in after.targets.values()] == [Progress.WAITING, Progress.LEFT_ALONE]


def test_one_that_has_ended_keeps_what_it_has_done_and_lets_nobody_catch_up() -> None:
    it = update(progress=Progress.HEALTHY, touched=True)
    it = replace(
        it, state=State.COMPLETED, targets={**it.targets, "b": replace(it.targets["b"], progress=Progress.OFFLINE)}
    )
    after = without(it, {"a", "b"}, "left alone")
    assert [one.progress for one in after.targets.values()] == [Progress.HEALTHY, Progress.LEFT_ALONE]
    assert without(after, {"a", "b"}, "left alone") is after


def left(it: Rollout, name: str) -> Rollout:
    return without(it, {name}, "left alone: ann rolls it back")


@pytest.mark.parametrize("progress", [Progress.FAILED, Progress.SKIPPED, Progress.HEALTHY, Progress.INCONCLUSIVE])
@pytest.mark.parametrize("verb", [Verb.RETRY, Verb.RESUME, Verb.ADVANCE])
def test_who_was_taken_back_by_hand_is_brought_forward_by_nothing_that_people_do(
    progress: Progress, verb: Verb
) -> None:
    it = replace(update(progress=progress, touched=True, generation=1), state=State.PAUSED, begun=True)
    it = act(left(it, "a"), verb, "bob", NOW)
    for _ in range(3):
        it = decide(it, World(now=NOW, online=frozenset("ab"))).rollout
    assert (it.targets["a"].progress, it.targets["a"].touched) == (Progress.LEFT_ALONE, False)


def test_a_wave_that_people_took_back_opens_the_next_one_only_once_somebody_says_so() -> None:
    world = World(now=NOW, online=frozenset("ab"))
    paused = decide(left(update(progress=Progress.HEALTHY, generation=1), "a"), world).rollout
    assert (paused.state, paused.reason) == (State.PAUSED, "too few of wave 1 could be updated")
    soaking = decide(act(paused, Verb.RESUME, "bob", NOW), world).rollout
    assert (soaking.state, soaking.passed_at) == (State.RUNNING, NOW)


def test_a_last_wave_that_people_took_back_is_the_end() -> None:
    it = replace(update(progress=Progress.HEALTHY, since=NOW), wave=1)
    it = decide(left(it, "b"), World(now=NOW, online=frozenset("ab"))).rollout
    later = NOW + it.policy.soak
    assert decide(it, World(now=later, online=frozenset("ab"))).rollout.state is State.COMPLETED


def test_who_is_left_alone_and_fails_all_the_same_counts_for_nothing() -> None:
    it = report(left(update(progress=Progress.OFFLINE, generation=1), "a"), Report("a", 1, Outcome.FAILED), NOW)
    assert (it.targets["a"].progress, it.targets["a"].failed_in) == (Progress.LEFT_ALONE, None)
    assert report(it, Report("a", 1, Outcome.HEALTHY), NOW).targets["a"].touched


def test_who_waits_to_catch_up_after_the_end_is_left_alone_too() -> None:
    ended = replace(update(progress=Progress.WAITING, generation=1), state=State.COMPLETED)
    it = decide(left(ended, "a"), World(now=NOW, online=frozenset("a"))).rollout
    assert it.targets["a"].progress is Progress.LEFT_ALONE
