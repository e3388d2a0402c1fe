"""The verdict: which observations prove a container, and which condemn it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.verdict import Observation, Outcome, ProbeResult, Terms, Verdict, decide, decide_bake

START = datetime(2026, 5, 1, tzinfo=UTC)
TERMS = Terms(settle_s=10, deadline=START + timedelta(minutes=5))
OK = ProbeResult(ok=True, conclusive=True, detail="200")
REFUSED = ProbeResult(ok=False, conclusive=True, detail="connection refused")
UNRUN = ProbeResult(ok=False, conclusive=False, detail="sh not found")


def seen(**changes: Any) -> Observation:
    calm = Observation(
        running=True,
        exit_code=0,
        oom_killed=False,
        restart_count=0,
        health="none",
        health_output="",
        started_at=START,
    )
    return replace(calm, **changes)


def after(seconds: float, terms: Terms = TERMS, **changes: Any) -> Verdict:
    return decide(seen(**changes), terms, START + timedelta(seconds=seconds))


BROKEN = pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"running": False, "exit_code": 3}, "it exited with code 3"),
        ({"running": False, "exit_code": 0}, "it exited with code 0"),
        ({"running": False, "exit_code": 137, "oom_killed": True}, "it exited with code 137 for lack of memory"),
        ({"restart_count": 1, "exit_code": 2}, "it restarted once; its last exit code was 2"),
        (
            {"restart_count": 2, "exit_code": 137, "oom_killed": True},
            "it restarted 2 times, for lack of memory; its last exit code was 137",
        ),
        ({"oom_killed": True}, "a process in it was killed for lack of memory"),
        ({"health": "unhealthy", "health_output": "no\n answer\n"}, "its health check fails: no answer"),
        ({"health": "unhealthy"}, "its health check fails"),
    ],
)


@BROKEN
@pytest.mark.parametrize("judge", [decide, decide_bake])
def test_an_exit_a_restart_a_lack_of_memory_or_a_failed_health_check_is_unhealthy_at_once(
    judge: Callable[[Observation, Terms, datetime], Verdict], changes: dict[str, Any], reason: str
) -> None:
    assert judge(seen(**changes), TERMS, START) == Verdict(Outcome.UNHEALTHY, reason)


@BROKEN
def test_a_probe_that_succeeds_does_not_outweigh_it(changes: dict[str, Any], reason: str) -> None:
    assert after(1, probes=[OK], **changes) == Verdict(Outcome.UNHEALTHY, reason)


def test_without_health_check_or_probe_it_must_keep_running_for_the_settle_time() -> None:
    assert after(9.9) == Verdict(Outcome.PENDING, "it has to keep running for 10s")
    assert after(10) == Verdict(Outcome.HEALTHY, "it kept running for 10s")


def test_a_settle_time_longer_than_the_deadline_is_waited_for() -> None:
    assert after(301, replace(TERMS, settle_s=600)).outcome is Outcome.PENDING


def test_a_health_check_is_waited_for_beyond_the_settle_time() -> None:
    assert after(20, health="starting").outcome is Outcome.PENDING


def test_a_healthy_check_proves_it_without_the_settle_time() -> None:
    assert after(0.5, health="healthy") == Verdict(Outcome.HEALTHY, "its health check succeeded")


def test_a_health_check_still_starting_at_the_deadline_leaves_it_undecided() -> None:
    verdict = after(300, health="starting", health_output="warming up")
    assert verdict == Verdict(Outcome.UNDECIDED, "at its deadline its health check is still starting: warming up")


def test_a_probe_that_succeeds_proves_it() -> None:
    assert after(1, probes=[REFUSED, OK]) == Verdict(Outcome.HEALTHY, "its probe succeeded")


def test_a_probe_that_fails_while_it_boots_does_not_condemn_it() -> None:
    assert after(299, probes=[REFUSED] * 200) == Verdict(Outcome.PENDING, "its probe fails: connection refused")


def test_a_probe_that_fails_to_the_deadline_condemns_it() -> None:
    assert after(300, probes=[UNRUN, REFUSED]) == Verdict(
        Outcome.UNHEALTHY, "at its deadline its probe fails: connection refused"
    )


def test_a_probe_that_cannot_be_run_is_inconclusive_at_the_deadline() -> None:
    assert after(299, probes=[UNRUN]).outcome is Outcome.PENDING
    assert after(300, probes=[UNRUN]) == Verdict(
        Outcome.INCONCLUSIVE, "at its deadline its probe could not be run: sh not found"
    )


def test_a_probe_that_never_ran_is_inconclusive_at_the_deadline() -> None:
    assert after(300, probes=[]).outcome is Outcome.INCONCLUSIVE


def test_with_a_health_check_and_a_probe_both_must_succeed() -> None:
    assert after(20, health="healthy", probes=[REFUSED]).outcome is Outcome.PENDING
    assert after(20, health="starting", probes=[OK]).outcome is Outcome.PENDING
    assert after(20, health="healthy", probes=[OK]).reason == "its health check and probe succeeded"


def test_successes_count_only_in_a_row() -> None:
    thrice = replace(TERMS, successes=3)
    assert after(20, thrice, probes=[OK, OK, REFUSED, OK, OK]).outcome is Outcome.PENDING
    assert after(20, thrice, probes=[REFUSED, OK, OK, OK]).outcome is Outcome.HEALTHY


def test_a_long_output_of_a_health_check_is_cut_to_its_end() -> None:
    reason = after(1, health="unhealthy", health_output="x" * 5000 + " the end").reason
    assert reason.endswith("the end")
    assert len(reason) < 400


# the bake


def baked(seconds: float, **changes: Any) -> Verdict:
    return decide_bake(seen(**changes), TERMS, START + timedelta(seconds=seconds))


def test_what_keeps_serving_to_the_end_of_the_bake_is_healthy() -> None:
    assert baked(299, health="healthy", probes=[OK]).outcome is Outcome.PENDING
    assert baked(300, health="healthy", probes=[OK]) == Verdict(Outcome.HEALTHY, "it kept serving")


def test_failed_probes_in_a_row_end_the_bake() -> None:
    assert baked(5, probes=[OK, REFUSED, REFUSED]).outcome is Outcome.PENDING
    assert baked(5, probes=[REFUSED, REFUSED, OK, REFUSED]).outcome is Outcome.PENDING
    assert baked(5, probes=[OK, REFUSED, REFUSED, REFUSED]) == Verdict(
        Outcome.UNHEALTHY, "its probe failed 3 times in a row: connection refused"
    )


def test_probes_that_could_not_be_run_neither_count_nor_hide_the_failures_around_them() -> None:
    assert baked(300, probes=[UNRUN] * 9).outcome is Outcome.HEALTHY
    assert baked(5, probes=[REFUSED, UNRUN, REFUSED, UNRUN, REFUSED]).outcome is Outcome.UNHEALTHY


OBSERVATIONS = st.builds(
    Observation,
    running=st.booleans(),
    exit_code=st.integers(0, 255),
    oom_killed=st.booleans(),
    restart_count=st.integers(0, 3),
    health=st.sampled_from(["none", "starting", "healthy", "unhealthy"]),
    health_output=st.text(max_size=20),
    started_at=st.just(START),
    probes=st.none() | st.lists(st.sampled_from([OK, REFUSED, UNRUN]), max_size=6),
)


@given(OBSERVATIONS)
def test_after_deadline_and_settle_time_every_verdict_is_final(seen: Observation) -> None:
    late = TERMS.deadline + timedelta(seconds=TERMS.settle_s)
    assert decide(seen, TERMS, late).outcome is not Outcome.PENDING
    assert decide_bake(seen, TERMS, late).outcome is not Outcome.PENDING


@given(OBSERVATIONS, st.integers(0, 400))
def test_nothing_is_healthy_that_does_not_run_restarted_or_fails_its_check(seen: Observation, seconds: int) -> None:
    verdict = decide(seen, TERMS, START + timedelta(seconds=seconds))
    if verdict.outcome is Outcome.HEALTHY:
        assert seen.running
        assert not seen.restart_count
        assert not seen.oom_killed
        assert seen.health in {"none", "healthy"}
        assert seen.probes is None or seen.probes[-1] == OK


@given(OBSERVATIONS)
def test_a_probe_that_only_ever_could_not_be_run_never_condemns_a_running_container(
    seen: Observation,
) -> None:
    blind = replace(seen, running=True, restart_count=0, oom_killed=False, health="none", probes=[UNRUN] * 5)
    for outcome in (decide(blind, TERMS, TERMS.deadline).outcome, decide_bake(blind, TERMS, TERMS.deadline).outcome):
        assert outcome not in {Outcome.UNHEALTHY, Outcome.UNDECIDED}
