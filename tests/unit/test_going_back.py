"""Going back by hand, as decided: the newest before what runs, and what becomes of an update under way."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.going_back import newest, ran_before, reached, stops, without
from tidegate.domain.rollout import Planned, Progress, Rollout, State, plan_rollout
from tidegate.domain.rollout_apply import Verb
from tidegate.domain.rollout_policy import RolloutPolicy

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
    assert [one.progress for one in after.targets.values()] == [Progress.WAITING, Progress.SKIPPED]
    assert after.targets["b"].excused


def test_one_that_has_ended_keeps_what_it_has_done_and_lets_nobody_catch_up() -> None:
    it = update(progress=Progress.HEALTHY, touched=True)
    it = replace(
        it, state=State.COMPLETED, targets={**it.targets, "b": replace(it.targets["b"], progress=Progress.OFFLINE)}
    )
    after = without(it, {"a", "b"}, "left alone")
    assert [one.progress for one in after.targets.values()] == [Progress.HEALTHY, Progress.SKIPPED]
    assert without(after, {"a", "b"}, "left alone") is after
