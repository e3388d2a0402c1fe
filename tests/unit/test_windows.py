"""Windows and freezes: what can be written, and when an update may begin."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cron import occurrences
from tidegate.domain.cronfields import complaint
from tidegate.domain.windows import (
    Freeze,
    Gate,
    Window,
    WindowError,
    gate,
    parse_freeze,
    parse_freezes,
    parse_window,
    parse_windows,
)

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"


def ask(now: datetime, windows: str = "", freezes: str = "", zone: str = "UTC") -> Gate:
    return gate(
        now,
        parse_windows(windows, default_zone=zone),
        parse_freezes(freezes, default_zone=zone),
        occurrences,
    )


def at(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def utc(text: str) -> datetime:
    return at(text).astimezone(UTC)


# what can be written


def test_a_window_is_five_cron_fields_a_duration_and_a_zone() -> None:
    assert parse_window("0 2 * * 1-5 4h Europe/Berlin") == Window("0 2 * * 1-5", timedelta(hours=4), BERLIN)


def test_a_window_without_a_zone_is_in_the_default_zone() -> None:
    assert parse_window("0 2 * * * 90m", default_zone=NEW_YORK).zone == NEW_YORK


def test_several_windows_are_separated_by_semicolons() -> None:
    assert [w.cron for w in parse_windows("0 2 * * 1-5 4h ; 0 0 * * SAT,SUN 1d;")] == [
        "0 2 * * 1-5",
        "0 0 * * SAT,SUN",
    ]


@pytest.mark.parametrize(
    ("word", "length"),
    [
        ("1h30m", timedelta(minutes=90)),
        ("90m", timedelta(minutes=90)),
        ("3600", timedelta(hours=1)),
        ("1d", timedelta(days=1)),
    ],
)
def test_a_duration_may_be_written_several_ways(word: str, length: timedelta) -> None:
    assert parse_window(f"0 2 * * * {word}").duration == length


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("0 2 * * 1-5", "CRON DURATION"),
        ("nightly", "CRON DURATION"),
        ("0 2 * * 1-5 forever", "'forever'"),
        ("0 2 * * 1-5 0h", "'0h'"),
        ("0 2 * * 1-5 99999999999d", "'99999999999d'"),
        ("0 2 * * 1-5 h", "'h'"),
        ("0 25 * * * 4h", "hour '25'"),
        ("0 2 * * 5-1 4h", "day of the week '5-1'"),
        ("*/0 2 * * * 4h", "minute '*/0'"),
        ("0 2 L-3 * * 4h", "day of the month 'L-3'"),
        ("0 2 * FOO * 4h", "month 'FOO'"),
        ("0 2 * * * 4h Europe/Atlantis", "'Europe/Atlantis'"),
        ("0 2 * * * 4h Europe", "'Europe'"),
        ("0 2 * * * 4h ../etc/passwd", "'../etc/passwd'"),
    ],
)
def test_a_window_that_cannot_be_read_is_quoted_with_what_is_wrong(text: str, named: str) -> None:
    with pytest.raises(WindowError) as refused:
        parse_windows(text)
    assert named in str(refused.value)
    assert repr(text) in str(refused.value)


def test_a_freeze_of_dates_lasts_to_the_end_of_its_last_day_in_its_zone() -> None:
    freeze = parse_freeze("2026-12-20/2027-01-03 year end", default_zone=BERLIN)
    assert (freeze.start, freeze.end) == (at("2026-12-20T00:00", BERLIN), at("2027-01-04T00:00", BERLIN))
    assert freeze.reason == "year end"


def test_a_freeze_may_name_its_zone_before_its_reason() -> None:
    freeze = parse_freeze("2026-12-20T18:00/2026-12-21T06:00 America/New_York big sale")
    assert freeze.start.astimezone(UTC) == utc("2026-12-20T23:00")
    assert freeze.reason == "big sale"


@pytest.mark.parametrize("zone", ["Japan", "CET", "EST5EDT"])
def test_a_freeze_may_name_a_zone_of_one_word(zone: str) -> None:
    freeze = parse_freeze(f"2026-12-20T18:00/2026-12-21T06:00 {zone} big sale")
    assert freeze.start == at("2026-12-20T18:00", zone)
    assert freeze.reason == "big sale"


def test_a_freeze_may_carry_offsets() -> None:
    freeze = parse_freeze("2026-12-20T18:00+01:00/2026-12-21T06:00Z")
    assert freeze.start.astimezone(UTC) == utc("2026-12-20T17:00")
    assert freeze.end.astimezone(UTC) == utc("2026-12-21T06:00")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("2026-12-20", "FROM/TO"),
        ("christmas/newyear", "'christmas'"),
        ("2026-12-20/", "''"),
        ("2026-13-01/2026-13-02", "'2026-13-01'"),
        ("2027-01-03/2026-12-20", "ends before it begins"),
        ("2026-03-29T02:30/2026-03-29T03:10 Europe/Berlin", "clocks are put forward over 2026-03-29 02:30"),
        ("2026-03-29T02:30/2026-03-29T03:10 Europe/Berlin", "which is 03:30 there"),
        ("2026-12-20/2026-12-21 Mars/Crater", "'Mars/Crater'"),
        ("2026-12-20/9999-12-31", "the year of '9999-12-31' is not between 1970 and 9000"),
        ("2026-01-01T00:00/9999-12-31T23:59 America/New_York", "the year of '9999-12-31T23:59'"),
        ("0001-01-01/2027-01-01 Europe/Berlin", "the year of '0001-01-01'"),
    ],
)
def test_a_freeze_that_cannot_be_read_is_quoted_with_what_is_wrong(text: str, named: str) -> None:
    with pytest.raises(WindowError) as refused:
        parse_freezes(text)
    assert named in str(refused.value)
    assert text in str(refused.value)


# when an update may begin


def test_without_a_window_updates_may_begin_at_any_time() -> None:
    assert ask(utc("2026-05-01T12:00")) == Gate(open=True, reason="no window is set")


def test_inside_a_window_the_reason_says_until_when() -> None:
    answer = ask(at("2026-05-01T03:00", BERLIN), f"0 2 * * * 4h {BERLIN}")
    assert answer.open
    assert answer.reason == f"inside the window '0 2 * * * 4h {BERLIN}' until 2026-05-01 06:00 {BERLIN}"


def test_outside_a_window_the_reason_says_when_it_opens() -> None:
    answer = ask(at("2026-05-01T07:00", BERLIN), f"0 2 * * 1-5 4h {BERLIN}")
    assert not answer.open
    assert answer.next_open == utc("2026-05-04T00:00")
    assert answer.reason == f"outside every update window; opens 2026-05-04 02:00 {BERLIN}"


def test_a_window_opens_on_its_first_instant_and_is_closed_on_its_last() -> None:
    assert ask(utc("2026-05-01T02:00"), "0 2 * * * 4h").open
    assert not ask(utc("2026-05-01T06:00"), "0 2 * * * 4h").open
    assert ask(utc("2026-05-01T05:59:59.999999"), "0 2 * * * 4h").open


def test_a_window_that_began_yesterday_is_open_after_midnight() -> None:
    assert ask(utc("2026-05-02T01:30"), "0 22 * * FRI 4h").open
    assert not ask(utc("2026-05-01T01:30"), "0 22 * * FRI 4h").open


def test_any_of_several_windows_will_do() -> None:
    windows = "0 2 * * 1-5 4h; 0 0 * * SAT 1d"
    assert ask(utc("2026-05-02T20:00"), windows).open
    assert ask(utc("2026-05-03T20:00"), windows).next_open == utc("2026-05-04T02:00")


def test_a_freeze_closes_an_open_window_and_says_why() -> None:
    answer = ask(utc("2026-12-24T03:00"), "0 2 * * * 4h", "2026-12-20/2027-01-03 year end")
    assert not answer.open
    assert answer.reason == "frozen until 2027-01-04 00:00 UTC (year end); opens 2027-01-04 02:00 UTC"


def test_a_freeze_that_has_a_name_is_called_by_it_and_its_end_is_said_once() -> None:
    opens = utc("2026-12-27T08:00")
    named = Freeze(utc("2026-12-20T00:00"), opens, "accounts are closed", "year end")
    answer = gate(utc("2026-12-24T03:00"), (), (named,), occurrences)
    assert answer.reason == 'frozen until 2026-12-27 08:00 UTC by "year end": accounts are closed'
    assert answer.next_open == opens
    unexplained = gate(utc("2026-12-24T03:00"), (), (replace(named, reason=""),), occurrences)
    assert unexplained.reason == 'frozen until 2026-12-27 08:00 UTC by "year end"'


def test_updates_begin_again_inside_a_window_that_a_freeze_ends_in() -> None:
    answer = ask(utc("2026-12-24T03:00"), "0 2 * * * 4h", "2026-12-20T00:00/2026-12-25T04:30")
    assert answer.next_open == utc("2026-12-25T04:30")


def test_freezes_that_follow_on_each_other_are_passed_together() -> None:
    answer = ask(utc("2026-12-24T03:00"), "", "2026-12-24/2026-12-26 a; 2026-12-27/2026-12-28 b")
    assert answer.next_open == utc("2026-12-29T00:00")


@pytest.mark.parametrize("cron", ["0 2 30 2 *", "0 2 31 4,6 *"])
def test_a_window_on_a_day_that_never_comes_is_said_to_never_open(cron: str) -> None:
    never = ask(utc("2026-05-01T12:00"), f"{cron} 4h")
    assert never == Gate(open=False, reason="outside every update window; no window opens after that")


def test_a_window_that_never_opens_does_not_close_the_others() -> None:
    assert ask(utc("2026-05-01T03:00"), "0 2 30 2 * 4h; 0 2 * * * 4h").open


# clocks change


@pytest.mark.parametrize(
    ("zone", "before", "first", "last"),
    [
        (BERLIN, "2026-03-29T00:59:59", "2026-03-29T01:00", "2026-03-29T02:59:59"),
        (NEW_YORK, "2026-03-08T06:59:59", "2026-03-08T07:00", "2026-03-08T08:59:59"),
    ],
)
def test_a_window_whose_start_falls_into_the_spring_gap_opens_when_the_gap_ends(
    zone: str, before: str, first: str, last: str
) -> None:
    window = f"30 2 * * * 2h {zone}"
    assert ask(utc(before), window).next_open == utc(first)
    assert ask(utc(first), window).open
    assert ask(utc(last), window).open
    assert not ask(utc(last) + timedelta(seconds=1), window).open


@pytest.mark.parametrize(
    ("zone", "first", "second"),
    [
        (BERLIN, "2026-10-25T00:30", "2026-10-25T01:30"),
        (NEW_YORK, "2026-11-01T05:30", "2026-11-01T06:30"),
    ],
)
def test_a_window_in_the_repeated_hour_opens_once_the_first_time(zone: str, first: str, second: str) -> None:
    hour = at(first).astimezone(ZoneInfo(zone)).hour
    window = f"30 {hour} * * * 30m {zone}"
    assert ask(utc(first), window).open
    assert not ask(utc(second), window).open
    assert ask(utc(second), window).next_open == utc(first) + timedelta(hours=25)


@pytest.mark.parametrize(("day", "clock"), [("2026-03-29", "07:00"), ("2026-10-25", "05:00")])
def test_a_window_lasts_its_elapsed_time_on_the_days_when_clocks_change(day: str, clock: str) -> None:
    window = f"0 0 * * * 6h {BERLIN}"
    closes = at(f"{day}T{clock}", BERLIN)
    assert ask(closes - timedelta(seconds=1), window).open
    assert not ask(closes, window).open


ZONES = st.sampled_from([BERLIN, NEW_YORK, "UTC", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata"])
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is `timezones`
WINDOWS = st.builds(
    Window,
    cron=st.builds(
        "{} {} * * {}".format,
        st.sampled_from(["0", "30", "*/20", "59"]),
        st.sampled_from(["0", "1", "2", "3", "23", "*/6", "*"]),
        st.sampled_from(["*", "1-5", "SUN"]),
    ),
    duration=st.integers(1, 30 * 60).map(lambda minutes: timedelta(minutes=minutes)),
    zone=ZONES,
)


def test_the_hour_after_a_midnight_that_does_not_exist_is_not_left_out() -> None:
    # in Havana 2026-03-08 begins at 1:00
    began = occurrences("*/20 1 * * SUN", "America/Havana", utc("2026-03-07T12:00"))
    assert list(itertools.islice(began, 3)) == [utc(f"2026-03-08T05:{minute}:00") for minute in ("00", "20", "40")]


@given(MOMENTS, WINDOWS)
def test_a_window_is_open_exactly_when_an_occurrence_is_less_than_its_duration_ago(
    now: datetime, window: Window
) -> None:
    recent = occurrences(window.cron, window.zone, now - timedelta(days=9))
    began = []
    for moment in recent:
        if moment > now:
            break
        began.append(moment)
    assert gate(now, [window], [], occurrences).open == any(now - b < window.duration for b in began)


@given(MOMENTS, st.lists(WINDOWS, min_size=1, max_size=3))
def test_the_gate_is_open_when_it_said_it_would_be_and_not_just_before(now: datetime, windows: list[Window]) -> None:
    promised = gate(now, windows, [], occurrences).next_open
    if promised is not None:
        assert promised > now
        assert gate(promised, windows, [], occurrences).open
        assert not gate(promised - timedelta(microseconds=1), windows, [], occurrences).open


@given(MOMENTS, WINDOWS)
def test_occurrences_are_later_than_their_start_and_ascend(now: datetime, window: Window) -> None:
    moments = occurrences(window.cron, window.zone, now)
    seen = [now, *(next(moments) for _ in range(30))]
    assert all(earlier < later for earlier, later in itertools.pairwise(seen))


@given(WINDOWS)
def test_a_window_written_out_reads_back_as_itself(window: Window) -> None:
    assert parse_window(str(window)) == window


WORDS = st.text(alphabet="0123456789*/,-#LWSUNMOADECJ", min_size=1, max_size=6)


@given(st.lists(st.one_of(WORDS, st.sampled_from(["*", "5", "1-5", "*/2", "L"])), min_size=5, max_size=5))
def test_cronsim_reads_every_expression_that_is_accepted(words: list[str]) -> None:
    cron = " ".join(words)
    if complaint(cron) is None:
        refusal = ""
        try:
            CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            refusal = str(error)
        # the one thing left to refuse is a day that none of the months has
        assert refusal in {"", "Bad day-of-month"}


@pytest.mark.parametrize("windows", ["", "0 2 29 2 * 366d America/New_York"])
def test_a_freeze_may_last_for_thousands_of_years(windows: str) -> None:
    freeze = "1970-01-01/9000-12-31T23:59-12:00 America/New_York"
    found = ask(utc("2026-03-01T12:00"), windows, freeze)
    assert (found.open, "frozen until 9000-12-31" in found.reason) == (False, True)


# when it closes again


@pytest.mark.parametrize(
    ("now", "windows", "freezes", "closes"),
    [
        ("2026-05-01T03:00", "0 2 * * * 4h", "", "2026-05-01T06:00"),
        ("2026-05-01T03:00", "0 2 * * * 4h; 0 5 * * * 4h", "", "2026-05-01T09:00"),
        ("2026-05-01T03:00", "0 2 * * * 4h; 0 6 * * * 1h", "", "2026-05-01T07:00"),
        ("2026-05-01T03:00", "0 2 * * * 4h", "2026-05-01T05:00/2026-05-02", "2026-05-01T05:00"),
        ("2026-05-01T03:00", "0 2 * * * 4h", "2026-05-01T06:00/2026-05-02", "2026-05-01T06:00"),
        ("2026-05-01T03:00", "", "2026-06-01/2026-06-02; 2026-05-03/2026-05-04", "2026-05-03T00:00"),
        ("2026-05-01T03:00", "", "2026-04-01/2026-04-02", None),
        ("2026-05-01T03:00", "0 5 * * * 4h", "", None),
    ],
)
def test_it_is_known_when_no_update_may_begin_any_more(
    now: str, windows: str, freezes: str, closes: str | None
) -> None:
    assert ask(utc(now), windows, freezes).closes_at == (None if closes is None else utc(closes))


def test_a_window_that_is_open_all_day_is_open_for_long() -> None:
    closes = ask(utc("2026-05-01T03:00"), "0 0 * * * 1d").closes_at
    assert closes is not None
    assert closes > utc("2026-06-01T00:00")


@given(st.integers(0, 365 * 24 * 60), st.integers(1, 30))
def test_until_it_closes_it_is_open_and_then_it_is_closed(minute: int, hours: int) -> None:
    windows, moment = f"0 2 * * 1-5 {hours}h {BERLIN}; 0 */6 * * * 1h", utc("2026-01-01") + timedelta(minutes=minute)
    closes = ask(moment, windows, "2026-07-01/2026-07-02").closes_at
    if closes is not None:
        assert ask(closes - timedelta(microseconds=1), windows, "2026-07-01/2026-07-02").open
        assert ask(moment + (closes - moment) / 2, windows, "2026-07-01/2026-07-02").open
        assert not ask(closes, windows, "2026-07-01/2026-07-02").open
