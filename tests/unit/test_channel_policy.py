"""A channel's policy as a document: what it means, what is refused, and that it comes back as it was."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.channel_policy import (
    ChannelPolicy,
    ChannelPolicyError,
    read_channel_policy,
    write_channel_policy,
)
from tidegate.domain.rollout_policy import BusyThen, Mode, OnFailure, RolloutPolicy, Share, WaveRule

SHARES = st.builds(Share, st.integers(1, 5000)) | st.builds(Share, st.integers(1, 100), percent=st.just(True))
NAMES = st.text(min_size=1, max_size=5)
LABELS = st.dictionaries(NAMES, st.text(max_size=5), min_size=1, max_size=2)
WAVES = st.builds(WaveRule, SHARES) | st.builds(WaveRule, SHARES | st.none(), LABELS)


def lengths(least_s: int, most_s: int) -> st.SearchStrategy[timedelta]:
    return st.integers(least_s, most_s).map(lambda seconds: timedelta(seconds=seconds))


YEAR_S = 366 * 86400
LENGTHS, LONGER = lengths(0, YEAR_S), lengths(1, YEAR_S)
ROLLOUTS = st.builds(
    RolloutPolicy,
    waves=st.lists(WAVES, max_size=3).map(tuple),
    parallel=st.none() | SHARES,
    success_percent=st.integers(1, 100),
    failure_threshold=SHARES,
    healthy_for=LENGTHS,
    healthy_deadline=lengths(1, 3600),
    progress_deadline=lengths(3600, YEAR_S),
    soak=LENGTHS,
    on_failure=st.sampled_from(OnFailure),
    busy_wait=LENGTHS,
    busy_then=st.sampled_from(BusyThen),
    approvals=st.just(0),
    approval_expires=LONGER,
    expires=lengths(86401, YEAR_S),
)
POLICIES = st.builds(
    ChannelPolicy,
    mode=st.sampled_from([Mode.AUTOMATIC, Mode.PINNED, Mode.MONITOR_ONLY]),
    minimum_age=lengths(0, 86400),
    windows=st.lists(st.just("0 2 * * 1-5 4h Europe/Berlin"), max_size=2).map(tuple),
    freezes=st.lists(st.just("2026-12-20/2027-01-03 year end"), max_size=2).map(tuple),
    rollout=ROLLOUTS,
)


def faults(**document: Any) -> dict[str, str]:
    with pytest.raises(ChannelPolicyError) as caught:
        read_channel_policy(document)
    return caught.value.faults


@given(POLICIES)
def test_what_is_written_is_read_as_it_was(policy: ChannelPolicy) -> None:
    document = json.loads(json.dumps(write_channel_policy(policy)))
    assert read_channel_policy(document) == policy


def test_an_empty_document_is_the_default_policy_and_the_whole_one_names_every_rule() -> None:
    assert read_channel_policy({}) == ChannelPolicy()
    whole = write_channel_policy(ChannelPolicy())
    names = {one.name for one in (*fields(ChannelPolicy), *fields(RolloutPolicy))} - {"rollout"}
    assert set(whole) == names


def test_waves_are_shares_labels_or_both() -> None:
    document = {"waves": [1, "25%", {"labels": {"ring": "early"}}, {"labels": {"ring": "late"}, "share": "50%"}]}
    assert read_channel_policy(document).rollout.waves == (
        WaveRule(Share(1)),
        WaveRule(Share(25, percent=True)),
        WaveRule(None, {"ring": "early"}),
        WaveRule(Share(50, percent=True), {"ring": "late"}),
    )


def test_approval_asks_for_one_person_unless_it_says_more_and_the_others_for_none() -> None:
    assert read_channel_policy({"mode": "approval"}).rollout.approvals == 1
    assert read_channel_policy({"mode": "approval", "approvals": 3}).rollout.approvals == 3
    assert read_channel_policy({"mode": "pinned", "approvals": 3}).rollout.approvals == 3
    assert read_channel_policy({"mode": "pinned"}).rollout.approvals == 0
    assert faults(approvals=3) == {
        "approvals": "mode is automatic, which asks nobody; write mode approval, or leave 3 out"
    }
    assert faults(mode="approval", approvals=0) == {"approvals": "mode is approval, so at least 1"}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("mode", "manual", "'manual' is not one of automatic, approval, pinned, monitor-only"),
        ("mode", 1, "1 is not one of"),
        ("minimum_age", "soon", "'soon' is not a duration such as"),
        ("minimum_age", 60, "60 is not a duration such as"),
        ("minimum_age", "400d", "at most a year"),
        ("progress_deadline", "0s", "it has to be longer"),
        ("progress_deadline", "0.1ms", "it has to be longer"),
        ("progress_deadline", "4m", "4m is shorter than healthy_deadline, 5m"),
        ("minimum_age", "30d", "720h is not shorter than expires, 720h: none would begin"),
        ("waves", "1", "is not a list of waves"),
        ("waves", [0], "neither a count of targets"),
        ("waves", [True], "neither a count of targets"),
        ("waves", [{}], "it has a share, labels"),
        ("waves", [{"lables": {}}], "it has a share, labels"),
        ("waves", [{"labels": {"ring": 1}}], "it has a share, labels"),
        ("parallel", "half", "neither a count of targets"),
        ("success_percent", 0, "0 is not a whole number from 1 to 100"),
        ("success_percent", "90%", "is not a whole number from 1 to 100"),
        ("approvals", True, "True is not a whole number from 0 to 10"),
        ("on_failure", "panic", "is not one of rollback, pause, continue"),
        ("windows", "0 2 * * * 4h", "is not a list of texts"),
        ("windows", ["at night"], "a window is `CRON DURATION [ZONE]`"),
        ("freezes", ["2026-12-24/2026-12-20"], "ends before it begins"),
        ("soaks", "5m", "it is not known. Did you mean soak? Known are approval_expires, approvals, busy_then,"),
    ],
)
def test_a_fault_names_its_field_and_says_what_is_taken(name: str, value: Any, says: str) -> None:
    found = faults(**{name: value})
    assert list(found) == [name]
    assert says in found[name]


def test_every_fault_is_told_at_once() -> None:
    assert set(faults(mode="x", soak="y", strange=1)) == {"mode", "soak", "strange"}


@given(
    st.dictionaries(
        st.sampled_from(sorted(write_channel_policy(ChannelPolicy()))),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_whatever_is_sent_is_read_or_refused_by_name(document: dict[str, Any]) -> None:
    try:
        read_channel_policy(document)
        found = set()
    except ChannelPolicyError as error:
        found = set(error.faults)
    assert found <= set(document) | {"approvals", "progress_deadline", "minimum_age"}
