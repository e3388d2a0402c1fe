"""How a transaction that was cut short is settled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.transaction import (
    Party,
    Scene,
    Settlement,
    Step,
    Strategy,
    Touch,
    needs_candidate,
    serves,
    settle,
    steps_of,
)

HERE, GONE = Party(present=True), Party(present=False)


def touched(touch: Touch, *, present: bool = True) -> Party:
    return Party(present=present, touch=touch)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_candidate_is_proved_before_the_incumbent_is_removed(strategy: Strategy) -> None:
    steps = steps_of(strategy)
    assert steps.index(Step.PROVE) < steps.index(Step.REMOVE) < steps.index(Step.NAME)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_engine_is_told_not_to_restart_the_incumbent_before_it_is_stopped(strategy: Strategy) -> None:
    steps = steps_of(strategy)
    assert steps.index(Step.HOLD) < steps.index(Step.STOP)


def test_only_stop_first_stops_before_it_starts() -> None:
    first_stop = {one: steps_of(one).index(Step.STOP) < steps_of(one).index(Step.START) for one in Strategy}
    assert [one for one, stops in first_stop.items() if stops] == [Strategy.STOP_FIRST]


def test_an_overlapping_candidate_is_proved_before_anything_is_taken_from_the_incumbent() -> None:
    for strategy in (Strategy.SWAP, Strategy.START_FIRST):
        before = steps_of(strategy)[: steps_of(strategy).index(Step.PROVE)]
        assert not {Step.HOLD, Step.DRAIN, Step.CUT, Step.STOP, Step.REMOVE} & set(before)


def test_a_candidate_serves_only_once_it_has_been_looked_at_where_it_serves() -> None:
    assert not serves(Strategy.SWAP, frozenset({Step.PROVE, Step.JOIN}))
    assert serves(Strategy.SWAP, frozenset({Step.PROVE, Step.JOIN, Step.CONFIRM}))
    assert serves(Strategy.STOP_FIRST, frozenset({Step.PROVE}))


def test_a_kill_before_the_candidate_serves_leaves_the_incumbent() -> None:
    assert settle(Scene(HERE, HERE)) is Settlement.INCUMBENT


def test_a_kill_after_the_candidate_serves_leaves_the_candidate() -> None:
    assert settle(Scene(HERE, HERE, serves=True)) is Settlement.CANDIDATE


def test_a_kill_between_removal_and_naming_leaves_the_candidate() -> None:
    assert settle(Scene(GONE, HERE, serves=True, candidate_runs=False)) is Settlement.CANDIDATE


def test_a_candidate_that_does_not_run_any_more_takes_nobodys_place() -> None:
    assert settle(Scene(HERE, HERE, serves=True, candidate_runs=False)) is Settlement.INCUMBENT


def test_what_was_removed_before_anybody_looked_is_not_brought_back_by_a_candidate_that_never_ran() -> None:
    assert settle(Scene(GONE, HERE, candidate_runs=False)) is Settlement.NOTHING


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_candidate_is_looked_at_before_anything_is_taken_for_its_sake(strategy: Strategy) -> None:
    takes = {Step.CUT, Step.STOP, Step.REMOVE} & set(steps_of(strategy))
    before_its_start = {Step.STOP} if strategy is Strategy.STOP_FIRST else set()
    assert all(needs_candidate(strategy, step) for step in takes - before_its_start)
    assert not any(needs_candidate(strategy, step) for step in before_its_start)


def test_compose_down_leaves_nothing() -> None:
    gone = touched(Touch.REMOVED, present=False)
    assert settle(Scene(gone, gone)) is Settlement.NOTHING


def test_compose_down_that_had_not_seen_the_candidate_leaves_nothing() -> None:
    assert settle(Scene(touched(Touch.REMOVED, present=False), HERE, unseen=True)) is Settlement.NOTHING


def test_compose_scaling_down_to_the_candidate_leaves_the_candidate() -> None:
    assert settle(Scene(touched(Touch.REMOVED, present=False), HERE)) is Settlement.CANDIDATE


def test_a_container_removed_by_force_is_not_resurrected_by_its_candidate() -> None:
    assert settle(Scene(touched(Touch.KILLED, present=False), HERE)) is Settlement.NOTHING


def test_clearing_away_the_incumbent_that_was_stopped_already_leaves_the_candidate() -> None:
    assert settle(Scene(touched(Touch.CLEARED, present=False), HERE)) is Settlement.CANDIDATE


def test_compose_stop_before_the_candidate_serves_leaves_the_incumbent_stopped() -> None:
    stopped = touched(Touch.STOPPED)
    assert settle(Scene(stopped, stopped)) is Settlement.INCUMBENT_STOPPED


def test_compose_stop_after_the_candidate_serves_leaves_the_candidate_stopped() -> None:
    stopped = touched(Touch.STOPPED)
    assert settle(Scene(stopped, stopped, serves=True)) is Settlement.CANDIDATE_STOPPED


def test_compose_stop_while_only_the_candidate_runs_leaves_the_service_stopped() -> None:
    scene = Scene(HERE, touched(Touch.STOPPED), incumbent_stopped=True)
    assert settle(scene) is Settlement.INCUMBENT_STOPPED


def test_stopping_the_candidate_alone_leaves_the_incumbent_running() -> None:
    assert settle(Scene(HERE, touched(Touch.STOPPED))) is Settlement.INCUMBENT


def test_compose_restart_leaves_the_incumbent_running() -> None:
    restarted = touched(Touch.RESTARTED)
    assert settle(Scene(restarted, restarted)) is Settlement.INCUMBENT


def test_a_container_made_by_somebody_else_stays() -> None:
    assert settle(Scene(HERE, HERE, serves=True, stranger=True)) is Settlement.STRANGER


def test_a_container_that_somebody_made_and_never_started_takes_nobodys_place() -> None:
    idle = {"stranger": True, "stranger_idle": True}
    assert settle(Scene(HERE, HERE, **idle)) is Settlement.INCUMBENT
    assert settle(Scene(GONE, HERE, serves=True, **idle)) is Settlement.CANDIDATE


@pytest.mark.parametrize("touch", [Touch.STOPPED, Touch.REMOVED])
def test_one_that_takes_the_place_of_what_its_maker_took_away_stays(touch: Touch) -> None:
    incumbent = touched(touch, present=touch is Touch.STOPPED)
    assert settle(Scene(incumbent, HERE, stranger=True, stranger_idle=True)) is Settlement.STRANGER


parties = st.builds(Party, present=st.booleans(), touch=st.sampled_from(list(Touch)))
flags = ("serves", "candidate_runs", "incumbent_stopped", "unseen")
scenes = st.builds(Scene, parties, parties, **{flag: st.booleans() for flag in flags})


@given(scenes)
def test_what_stays_exists(scene: Scene) -> None:
    end = settle(scene)
    if end in {Settlement.INCUMBENT, Settlement.INCUMBENT_STOPPED}:
        assert scene.incumbent.present
    if end in {Settlement.CANDIDATE, Settlement.CANDIDATE_STOPPED}:
        assert scene.candidate.present


@given(scenes)
def test_what_a_person_stopped_by_name_is_not_started_again(scene: Scene) -> None:
    both_stopped = scene.incumbent.touch is Touch.STOPPED and scene.candidate.touch is Touch.STOPPED
    if both_stopped and scene.incumbent.present:
        assert settle(scene) in {Settlement.INCUMBENT_STOPPED, Settlement.CANDIDATE_STOPPED}


@given(scenes)
def test_nothing_is_thrown_away_without_a_person_having_done_so(scene: Scene) -> None:
    untouched = scene.incumbent.touch is Touch.NONE and scene.candidate.touch is Touch.NONE
    never_ran = not scene.serves and not scene.candidate_runs
    if untouched and (scene.incumbent.present or (scene.candidate.present and not never_ran)):
        assert settle(scene) is not Settlement.NOTHING
