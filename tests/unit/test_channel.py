"""Which release of a channel goes out by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.domain.channel import Choice, Release, choose, newest
from tidegate.domain.channel_policy import ChannelPolicy
from tidegate.domain.rollout_policy import Mode

T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO = Release("sha256:1", T0, T0, "1.0"), Release("sha256:2", T0 + HOUR, T0 + HOUR)


def chosen(policy: ChannelPolicy | None = None, **more: Any) -> Choice:
    given: dict[str, Any] = {"running": ["sha256:1"], "quarantined": [], **more}
    return choose(policy or ChannelPolicy(), [ONE, TWO], **given)


def test_the_newest_release_goes_out_where_something_else_runs() -> None:
    assert chosen() == Choice(TWO, "sha256:2 is the newest release", TWO.seen_at)
    assert chosen(running=["sha256:1", "sha256:2"]).release == TWO


def test_a_release_waits_until_it_has_been_known_for_long_enough() -> None:
    choice = chosen(ChannelPolicy(minimum_age=24 * HOUR))
    assert (choice.release, choice.not_before) == (TWO, TWO.seen_at + 24 * HOUR)
    assert choice.reason.endswith("it goes out once it has been known for 24h")


def test_a_tag_that_was_moved_back_names_the_earlier_release_again() -> None:
    again = Release("sha256:1", T0, T0 + 2 * HOUR, "1.0")
    assert newest([again, TWO]) == again
    assert choose(ChannelPolicy(), [again, TWO], running=["sha256:2"], quarantined=[]).release == again


@pytest.mark.parametrize(
    ("policy", "more", "reason"),
    [
        (ChannelPolicy(mode=Mode.PINNED), {}, "its policy is pinned: releases go out by hand only"),
        (ChannelPolicy(mode=Mode.MONITOR_ONLY), {}, "its policy is monitor-only: releases go out by hand only"),
        (None, {"running": []}, "no target follows it"),
        (None, {"running": ["sha256:2"]}, "every target runs the newest release"),
        (None, {"quarantined": ["sha256:2"]}, "sha256:2 is in quarantine"),
        (None, {"under_way": ["sha256:2"]}, "sha256:2 is on its way"),
        (
            None,
            {"dealt_with": {"sha256:2": "was turned down by bob"}},
            "sha256:2 was turned down by bob; start a rollout",
        ),
        (None, {"dealt_with": {"sha256:2": "went back: no result"}}, "sha256:2 went back: no result; start a rollout"),
    ],
)
def test_otherwise_nothing_goes_out_and_the_reason_is_told(
    policy: ChannelPolicy | None, more: dict[str, Any], reason: str
) -> None:
    choice = chosen(policy, **more)
    assert (choice.release, choice.not_before) == (None, None)
    assert reason in choice.reason


def test_what_became_of_another_release_holds_nothing_up() -> None:
    assert chosen(dealt_with={"sha256:1": "was turned down by bob"}).release == TWO


def test_an_earlier_release_does_not_go_out_in_the_place_of_one_that_may_not() -> None:
    assert chosen(running=["sha256:0"], quarantined=["sha256:2"]).release is None


def test_a_channel_on_which_nothing_was_seen_says_so() -> None:
    assert choose(ChannelPolicy(), [], running=["sha256:1"], quarantined=[]).reason == "nothing was seen on it yet"
