"""What was waited for in a transaction, as its journal tells."""

from __future__ import annotations

from typing import Any

from tidegate.agent.course import course_of
from tidegate.domain.course import StepTook

BEGIN = {"kind": "begin", "replacements": [{"id": "tx.0", "name": "web-1"}, {"id": "tx.1", "name": "web-2"}]}
SECOND_NS = 10**9


def at(seconds: float, kind: str, **more: Any) -> dict[str, Any]:
    """A record that was written then."""
    return {"kind": kind, "time_ns": int(seconds * SECOND_NS), **more}


def step(seconds: float, doing: str, id_: str = "tx.0") -> dict[str, Any]:
    return at(seconds, "step", id=id_, doing=doing)


def test_each_step_takes_until_the_next_one_begins_or_its_container_serves() -> None:
    records = [
        BEGIN,
        step(1, "create"),
        step(1.2, "prove"),
        at(7.2, "replaced", id="tx.0"),
        step(8, "stop", "tx.1"),
        at(8.5, "replaced", id="tx.1"),
        at(9, "bake"),
        at(39, "end"),
        at(50, "booked"),
    ]
    assert course_of(records) == (
        StepTook("create", 0.2, "web-1"),
        StepTook("prove", 6.0, "web-1"),
        StepTook("stop", 0.5, "web-2"),
        StepTook("bake", 30.0),
    )


def test_what_nobody_waits_for_is_passed_over() -> None:
    records = [BEGIN, step(1, "move-tag"), step(1.04, "name"), step(1.05, "adopt"), at(1.1, "end")]
    assert course_of(records) == (StepTook("adopt", 0.05, "web-1"),)


def test_a_verdict_ends_the_step_that_it_is_about_and_the_way_back_is_told_as_such() -> None:
    back = {"id": "tx.0-back", "name": "web-1"}
    records = [
        BEGIN,
        step(0, "prove"),
        at(3, "second-opinion", id="tx.0", first="it is sick"),
        at(5, "verdict", reason="it is sick", container="web-1"),
        at(6, "settling", id="tx.0", end="incumbent"),
        at(8, "settled", id="tx.0"),
        at(9, "reverse", replacement=back),
        step(9, "create", "tx.0-back"),
        at(10, "reversed", id="tx.0-back"),
        at(11, "end"),
    ]
    assert course_of(records) == (
        StepTook("prove", 3.0, "web-1"),
        StepTook("second-opinion", 2.0, "web-1"),
        StepTook("settle", 2.0, "web-1"),
        StepTook("create", 1.0, "web-1", back=True),
    )


def test_what_has_not_ended_and_a_clock_that_goes_back_are_borne() -> None:
    assert course_of([BEGIN, step(5, "create"), step(4, "prove")]) == ()
    assert course_of([]) == ()
