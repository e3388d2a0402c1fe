from datetime import UTC, datetime

from tidegate.agent.schedule import parse_schedule, parse_zone


def test_a_daily_check_happens_once_in_the_night_that_repeats_an_hour() -> None:
    schedule = parse_schedule("0 30 2 * * *", parse_zone("Europe/Berlin"))
    first = schedule.next_after(datetime(2026, 10, 24, 12, tzinfo=UTC))
    assert first < schedule.next_after(first)
    assert first.date() == datetime(2026, 10, 25, tzinfo=UTC).date()
