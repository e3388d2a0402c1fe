from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.registry.backoff import Backoff, Backoffs, parse_retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def failed(times: int, jitter: float = 0.999) -> Backoff:
    backoff = Backoff()
    for _ in range(times):
        backoff = backoff.failed(0.0, jitter=jitter, asked_at=backoff.not_before)
    return backoff


def test_a_registry_that_did_not_fail_may_be_asked_at_once() -> None:
    assert Backoff().next_allowed(7.0) == 7.0


def test_the_delay_doubles_with_each_failure() -> None:
    assert [failed(times, jitter=0.0).not_before for times in (1, 2, 3)] == [15, 30, 60]


def test_questions_that_fail_together_are_one_failure() -> None:
    together = Backoff()
    for moment in range(8):
        together = together.failed(float(moment), jitter=0.0, asked_at=0.0)
    assert (together.failures, together.not_before) == (1, 15)


def test_of_questions_that_fail_together_the_longest_retry_after_counts() -> None:
    together = Backoff().failed(1.0, jitter=0.0, asked_at=0.0)
    assert together.failed(2.0, jitter=0.0, asked_at=0.0, retry_after_s=300).not_before == 302


def test_an_answer_to_what_was_asked_before_the_failure_does_not_end_the_wait() -> None:
    limited = Backoff().failed(2.0, jitter=0.0, retry_after_s=300)
    assert limited.succeeded(asked_at=1.0) == Backoff(0, 302, 2.0)
    assert limited.succeeded(asked_at=3.0) == Backoff()


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_the_delay_is_never_longer_than_an_hour(times: int, jitter: float) -> None:
    assert 15 <= failed(times, jitter).not_before <= 3600


def test_chance_spreads_the_delay_over_its_upper_half() -> None:
    assert [Backoff().failed(0.0, jitter=jitter).not_before for jitter in (0.0, 0.5)] == [15, 22.5]


@given(st.floats(0, 80000), st.floats(0, 1, exclude_max=True))
def test_retry_after_is_never_cut_short(retry_after_s: float, jitter: float) -> None:
    assert Backoff().failed(100.0, jitter=jitter, retry_after_s=retry_after_s).not_before >= 100 + retry_after_s


def test_a_retry_after_without_reason_is_bounded_by_a_day() -> None:
    assert Backoff().failed(0.0, jitter=0.0, retry_after_s=1e9).not_before == 86400


def test_a_later_failure_does_not_shorten_what_was_promised() -> None:
    promised = Backoff().failed(0.0, jitter=0.0, retry_after_s=5000)
    assert promised.failed(1.0, jitter=0.0).not_before == 5000


def test_what_something_else_was_refused_holds_without_being_a_failure_more() -> None:
    held = Backoff().held(until=40.0, now=10.0)
    assert held.succeeded(asked_at=5.0).next_allowed(20.0) == 40
    assert held.failed(50.0, jitter=0.0).not_before == 65


def test_what_holds_for_longer_is_not_cut_short_by_what_something_else_was_refused() -> None:
    assert Backoff(not_before=100.0).held(until=40.0, now=10.0).not_before == 100


def test_registries_back_off_each_on_its_own() -> None:
    backoffs = Backoffs().failed("a", 0.0, jitter=0.0)
    assert (backoffs.next_allowed("a", 0.0), backoffs.next_allowed("b", 0.0)) == (15, 0)


def test_an_answer_forgets_the_failures() -> None:
    backoffs = Backoffs().failed("a", 0.0, jitter=0.0).succeeded("a", 0.0)
    assert backoffs.failed("a", 0.0, jitter=0.0).next_allowed("a", 0.0) == 15


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        (" 0 ", 0),
        ("9" * 5000, 999999999),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0),
        ("Fri, 02 Jan 2026 03:05:05 -0000", 60),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        (f"1 Jan {'9' * 20} 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_header_breaks_anything(header: str) -> None:
    seconds = parse_retry_after(header, NOW)
    assert seconds is None or seconds >= 0
