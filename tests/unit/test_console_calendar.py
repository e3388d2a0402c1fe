"""Windows and freezes as days: what is drawn is what the gate of updates says."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.cron import occurrences
from tidegate.domain.windows import Freeze, Window, gate, parse_freeze, parse_window
from tidegate.manager.console.calendar import Calendar, Day, Entry, calendar
from tidegate.manager.console.day import extents, first_moment, local

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "Pacific/Apia",
    "Asia/Kathmandu", "America/Scoresbysund", "Pacific/Chatham", "America/Sao_Paulo", "America/Toronto",
]  # fmt: skip


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def shown(now: datetime, *rules: str, zone: ZoneInfo = BERLIN, count: int = 2) -> Calendar:
    read: list[Window | Freeze] = [
        parse_freeze(one) if "/" in one.split()[0] and one[0] == "2" else parse_window(one) for one in rules
    ]
    entries = [Entry(str(at), rule, f"rule {at}") for at, rule in enumerate(read)]
    return calendar(entries, zone, now, count, occurrences)


def said(day: Day) -> list[str]:
    return [one.when.replace("\N{EN DASH}", "-") for one in day.bands]


def test_a_window_is_a_band_of_its_day_in_the_viewers_zone() -> None:
    found = shown(utc("2026-12-01T12:00"), "0 2 * * * 4h Europe/Berlin", zone=ZoneInfo("America/New_York"))
    (band,) = found.days[1].bands
    assert (found.days[1].extent.date, band.when) == (date(2026, 12, 2), "20:00\N{EN DASH}24:00")
    assert (round(band.left, 3), round(band.width, 3)) == (83.333, 16.667)


def test_a_window_across_midnight_is_on_both_days() -> None:
    today, tomorrow = shown(utc("2026-12-01T12:00"), "0 22 * * 2 6h Europe/Berlin").days
    assert (said(today), said(tomorrow)) == (["from 22:00"], ["until 04:00"])


def test_a_window_that_opened_yesterday_is_on_today() -> None:
    today, _ = shown(utc("2026-12-01T12:00"), "0 22 * * 1 6h Europe/Berlin").days
    assert said(today) == ["until 04:00"]


def test_a_freeze_lies_above_windows_for_its_days() -> None:
    rules = ("0 2 * * * 4h Europe/Berlin", "2026-12-02/2026-12-02 Europe/Berlin stocktaking")
    today, tomorrow = shown(utc("2026-12-01T12:00"), *rules).days
    assert (said(today), said(tomorrow)) == (["02:00-06:00"], ["all day", "02:00-06:00"])
    assert [(one.entry.said, one.lane) for one in tomorrow.bands] == [("rule 1: stocktaking", 0), ("rule 0", 1)]


def test_a_window_is_in_no_lane_of_a_freeze_even_where_they_do_not_meet() -> None:
    today, _ = shown(utc("2026-12-01T12:00"), "0 12 * * * 1h", "2026-12-01T02:00/2026-12-01T03:00").days
    assert [(one.entry.key, one.lane) for one in today.bands] == [("1", 0), ("0", 1)]


@pytest.mark.parametrize(
    ("day", "length", "says", "band", "width"),
    [
        ("2026-03-29", 23, "clocks are put forward: a day of 23 hours", "01:00-06:00", 4 / 23),
        ("2026-10-25", 25, "clocks are put back: a day of 25 hours", "01:00-04:00", 4 / 25),
        ("2026-10-26", 24, "", "01:00-05:00", 4 / 24),
    ],
)
def test_where_clocks_change_the_window_is_as_long_as_ever_and_the_day_is_not(
    day: str, length: int, says: str, band: str, width: float
) -> None:
    first, _ = shown(utc(f"{day}T08:00"), "0 1 * * * 4h Europe/Berlin").days
    assert (first.extent.lasts, first.change) == (timedelta(hours=length), says)
    assert said(first) == [band]
    assert first.bands[0].width == pytest.approx(100 * width)


def test_in_the_hour_that_comes_twice_it_is_said_which_one_is_meant() -> None:
    first, _ = shown(utc("2026-10-25T08:00"), "30 2 * * * 1h Europe/Berlin").days
    assert said(first) == ["02:30 CEST-02:30 CET"]


def test_hours_of_the_clock_are_where_they_are_on_a_day_on_which_clocks_change() -> None:
    first, second = shown(utc("2026-03-29T08:00")).days
    assert [(hour, round(at, 2)) for hour, at in first.grid] == [(6, 21.74), (12, 47.83), (18, 73.91)]
    assert [(hour, round(at, 2)) for hour, at in second.grid] == [(6, 25.0), (12, 50.0), (18, 75.0)]


def test_a_day_begins_when_clocks_are_put_forward_over_its_midnight() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    assert first_moment(date(2026, 4, 24), cairo) == utc("2026-04-23T22:00")
    assert f"{first_moment(date(2026, 4, 24), cairo).astimezone(cairo):%H:%M}" == "01:00"


def test_a_date_that_a_zone_left_out_is_no_day() -> None:
    apia = ZoneInfo("Pacific/Apia")
    found = [one.date.day for one in extents(apia, utc("2011-12-29T12:00"), 3)]
    assert found == [29, 31]


def test_now_is_where_it_is_in_today() -> None:
    today, tomorrow = shown(utc("2026-12-01T11:00")).days
    assert (today.at, tomorrow.at) == (50, None)


def test_windows_that_meet_are_in_lanes_of_their_own_and_others_share_one() -> None:
    rules = ("0 2 * * * 4h", "0 4 * * * 1h", "0 12 * * * 1h")
    today, _ = shown(utc("2026-12-01T01:00"), *rules, zone=ZoneInfo("UTC")).days
    assert sorted((one.entry.key, one.lane, round(one.room)) for one in today.bands) == [
        ("0", 0, 42), ("1", 1, 83), ("2", 0, 50),
    ]  # fmt: skip


def test_openings_that_follow_on_each_other_are_one_band() -> None:
    today, tomorrow = shown(utc("2026-12-01T12:00"), "*/30 * * * * 30m").days
    assert (said(today), said(tomorrow)) == (["all day"], ["all day"])


def test_what_opens_many_times_a_day_is_one_band_that_says_so() -> None:
    today, _ = shown(utc("2026-12-01T12:00"), "0 * * * * 5m").days
    assert (said(today), today.bands[0].times) == (["24 times, 00:00-23:05"], 24)


def test_what_opens_every_few_moments_is_followed_so_far_only_and_it_is_said_from_when_on_not() -> None:
    found = shown(utc("2026-12-01T00:00"), "* * * * * 30s", "0 2 * * * 1h UTC", zone=ZoneInfo("UTC"), count=56)
    assert found.unknown == {"0": utc("2026-12-04T11:20")}
    assert said(found.days[40]) == ["02:00-03:00"]


def test_a_window_that_is_open_for_a_year_from_each_minute_of_a_distant_day_is_open() -> None:
    found = shown(utc("2026-12-01T00:00"), "* * 1 1 * 365d UTC", zone=ZoneInfo("UTC"))
    assert [said(one) for one in found.days] == [["all day"], ["all day"]]


def test_more_than_a_day_has_room_for_are_counted() -> None:
    today, _ = shown(utc("2026-12-01T12:00"), *(f"0 {hour} * * * 12h" for hour in range(10))).days
    assert (today.lanes, today.more > 0) == (8, True)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("2026-12-01T13:00", "14:00"),
        ("2026-12-02T01:00", "Wed 02:00"),
        ("2026-12-08T01:00", "Tue 8 Dec 02:00"),
        ("2027-01-03T01:00", "Sun 3 Jan 2027 02:00"),
        ("2026-11-30T01:00", "Mon 30 Nov 02:00"),
    ],
)
def test_a_moment_is_said_as_short_as_it_is_clear(moment: str, text: str) -> None:
    assert local(utc(moment), BERLIN, utc("2026-12-01T12:00")) == text


MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(  # noqa: DTZ001 - it is given its zone
    lambda one: one.replace(second=0, microsecond=0, tzinfo=UTC)
)
CRONS = st.builds(
    "{} {} {} * {}".format,
    st.sampled_from(["0", "30", "15,45", "*/20"]),
    st.sampled_from(["*", "0", "1", "2", "3", "22,23", "*/6"]),
    st.sampled_from(["*", "1", "25-31"]),
    st.sampled_from(["*", "1-5", "0"]),
)
LENGTHS = st.one_of(st.integers(5, 300), st.sampled_from([1440, 2000, 5000])).map(lambda one: timedelta(minutes=one))
WINDOWS = st.builds(Window, CRONS, LENGTHS, st.sampled_from(ZONES))
FREEZES = st.builds(lambda start, length: Freeze(start, start + length), MOMENTS, LENGTHS)


@given(now=MOMENTS, zone=st.sampled_from(ZONES).map(ZoneInfo), count=st.integers(1, 20))
@settings(deadline=None)
def test_days_follow_on_each_other_and_each_moment_is_in_the_day_of_its_date(
    now: datetime, zone: ZoneInfo, count: int
) -> None:
    found = list(extents(zone, now, count))
    assert found[0].start <= now < found[0].end
    assert all(one.end == other.start for one, other in pairwise(found))
    for one in found:
        for moment in (one.start, one.start + one.lasts / 2, one.end - timedelta(seconds=1)):
            assert moment.astimezone(zone).date() == one.date


@given(data=st.data(), now=MOMENTS, zone=st.sampled_from(ZONES).map(ZoneInfo), window=WINDOWS)
@settings(deadline=None)
def test_where_a_band_of_a_window_is_an_update_may_begin_and_elsewhere_not(
    data: st.DataObject, now: datetime, zone: ZoneInfo, window: Window
) -> None:
    (day, *_) = calendar([Entry("w", window, "w")], zone, now, 1, occurrences).days
    at = day.extent.start + data.draw(st.integers(0, int(day.extent.lasts.total_seconds()) - 1)) * timedelta(seconds=1)
    bands = [one for one in day.bands if one.span.start <= at < one.span.end]
    if all(one.times == 1 for one in day.bands):
        assert bool(bands) == gate(at, [window], [], occurrences).open
    else:
        assert bands or not gate(at, [window], [], occurrences).open
    for one in day.bands:
        assert (one.left, one.left + one.width) == pytest.approx(
            (day.extent.share(one.span.start), day.extent.share(one.span.end))
        )


@given(data=st.data(), zone=st.sampled_from(ZONES).map(ZoneInfo), freeze=FREEZES)
@settings(deadline=None)
def test_where_a_band_of_a_freeze_is_no_update_may_begin_and_elsewhere_one_may(
    data: st.DataObject, zone: ZoneInfo, freeze: Freeze
) -> None:
    now = freeze.start + data.draw(st.integers(-100, 200)) * timedelta(minutes=30)
    (day, *_) = calendar([Entry("f", freeze, "f")], zone, now, 1, occurrences).days
    frozen = any(one.span.start <= now < one.span.end for one in day.bands)
    assert frozen != gate(now, [], [freeze], occurrences).open


@given(now=MOMENTS, rules=st.lists(st.one_of(WINDOWS, FREEZES), max_size=12))
@settings(deadline=None, max_examples=50)
def test_no_two_bands_of_a_lane_meet_and_all_are_within_their_day(now: datetime, rules: list[Window | Freeze]) -> None:
    found = calendar([Entry(str(at), one, "n") for at, one in enumerate(rules)], BERLIN, now, 3, occurrences)
    for day in found.days:
        for one in day.bands:
            assert one.left >= 0
            assert one.left + max(one.width, one.room) <= 100 + 1e-9
            others = [other for other in day.bands if other.lane == one.lane and other is not one]
            assert all(one.span.end <= other.span.start or other.span.end <= one.span.start for other in others)
