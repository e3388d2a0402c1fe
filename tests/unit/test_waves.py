"""Who is in which wave, and what a share of targets means."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.rollout_policy import PolicyError, RolloutPolicy, Share, WaveRule, parse_share
from tidegate.domain.waves import Member, plan_waves

TEN = [Member(str(number), {"ring": "canary"} if number > 7 else {}) for number in range(10)]
SHARES = st.builds(Share, st.integers(1, 100), percent=st.booleans())
RULES = st.builds(WaveRule, st.none() | SHARES, st.sampled_from([{}, {"ring": "canary"}]))


def sizes(*rules: WaveRule) -> list[int]:
    return [len(wave) for wave in plan_waves(TEN, rules)]


def test_what_no_rule_takes_is_the_last_wave() -> None:
    assert sizes(WaveRule(Share(1))) == [1, 9]
    assert sizes() == [10]


def test_a_percentage_is_one_of_all() -> None:
    assert sizes(WaveRule(Share(20, percent=True)), WaveRule(Share(50, percent=True))) == [2, 5, 3]


def test_labels_choose_clusters() -> None:
    assert plan_waves(TEN, [WaveRule(labels={"ring": "canary"})])[0] == ("8", "9")
    assert plan_waves(TEN, [WaveRule(Share(1), {"ring": "canary"})])[0] == ("8",)


@given(st.lists(RULES, max_size=5), st.integers(0, 10))
def test_everybody_is_in_exactly_one_wave_and_no_wave_is_empty(rules: list[WaveRule], count: int) -> None:
    waves = plan_waves(TEN[:count], rules)
    assert sorted(one for wave in waves for one in wave) == [one.id for one in TEN[:count]]
    assert all(waves)


@pytest.mark.parametrize(("text", "of_ten"), [("3", 3), ("25%", 3), ("100%", 10), ("99", 10), ("1%", 1)])
def test_a_part_of_a_target_is_a_whole_one(text: str, of_ten: int) -> None:
    assert parse_share(text).of(10) == of_ten
    assert str(parse_share(text)) == text


def test_people_go_back_without_waves_and_soak_and_no_more_at_once_than_the_policy_allows() -> None:
    back = RolloutPolicy(parallel=Share(2)).for_rollback()
    assert (back.waves, back.soak, back.parallel) == ((), timedelta(), Share(2))


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "half", "", "1.5", "5 %"])
def test_what_is_no_share_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(PolicyError, match="a count of targets, such as 3, nor a percentage, such as 25%"):
        parse_share(text)
