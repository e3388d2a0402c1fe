"""Which alerts are opened and closed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.manager.telling.alert import DoneWith, Finding, OpenAlert, Rule, Severity, Thresholds
from tidegate.manager.telling.alert_decide import MANY, Changes, calm_needed, decide, told_of

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIMITS = Thresholds(calm=timedelta(minutes=5), longest_calm=timedelta(hours=1), one_by_one=3)
MINUTE = timedelta(minutes=1)


def finding(
    rule: Rule = Rule.ROLLOUT_PAUSED, subject: str = "rollout 1", cause: str = "", at: datetime = NOON
) -> Finding:
    return Finding(rule, subject, Severity.WARNING, f"{rule} of {subject}", at, cause)


def opened(one: Finding, id_: int = 1, **more: object) -> OpenAlert:
    alert = OpenAlert(id_, one.rule, one.subject, one.severity, one.text, one.cause, covers=one.covers)
    return replace(alert, **more)  # type: ignore[arg-type]


def change(
    findings: Iterable[Finding] = (),
    alerts: Iterable[OpenAlert] = (),
    before: DoneWith | None = None,
    now: datetime = NOON,
) -> Changes:
    return decide(list(findings), list(alerts), before or DoneWith(), LIMITS, now)


def test_what_is_found_is_opened() -> None:
    assert change([finding()]) == Changes(open=[finding()], close=[])


def test_what_is_open_is_not_opened_again() -> None:
    assert not change([finding()], [opened(finding())])


def test_what_is_over_is_closed_and_told() -> None:
    (close,) = change(alerts=[opened(finding(), 7)]).close
    assert (close.id, close.told, close.reason) == (7, True, "it is not paused any more")


def test_words_that_have_changed_are_changed_without_telling() -> None:
    new = replace(finding(), text="another", severity=Severity.CRITICAL)
    assert change([new], [opened(finding(), 7)]) == Changes(close=[], open=[], retell={7: new})


def test_another_failure_of_the_same_target_is_told_as_one_more() -> None:
    first, second = (finding(Rule.UPDATE_FAILED, "t", cause) for cause in "ab")
    done = change([second], [opened(first)])
    assert [(one.told, one.reason) for one in done.close] == [(False, "it has happened again")]
    assert (done.open, done.replaces) == ([second], {(Rule.UPDATE_FAILED, "t"): 1})


def test_a_rollback_that_has_failed_is_told_as_that_and_not_as_one_that_is_over() -> None:
    went_back, failed = (finding(rule, "rollout 7", "7") for rule in (Rule.ROLLED_BACK, Rule.ROLLOUT_FAILED))
    done = change([failed], [opened(went_back)])
    assert [(one.told, one.reason) for one in done.close] == [(False, "not every target was put back")]
    assert (done.open, done.replaces) == ([failed], {(Rule.ROLLOUT_FAILED, "rollout 7"): 1})
    over = change([failed], [opened(went_back, 1), opened(failed, 2)])
    assert [(one.id, one.told) for one in over.close] == [(1, True)]
    assert (over.open, over.replaces) == ([], {})


# acknowledged


def test_what_tells_of_an_event_is_over_when_acknowledged_and_does_not_come_back() -> None:
    one = finding(Rule.UPDATE_FAILED, "t", "a")
    done = change([one], [opened(one, acknowledged_by="ann", acknowledged_at=NOON)])
    assert [close.reason for close in done.close] == ["acknowledged by ann"]
    assert not done.open
    assert not change([one], before=DoneWith(frozenset({(one.rule, one.subject, one.cause)})))


def test_another_failure_after_one_that_was_acknowledged_is_told() -> None:
    before = DoneWith(frozenset({(Rule.UPDATE_FAILED, "t", "a")}))
    assert change([finding(Rule.UPDATE_FAILED, "t", "b")], before=before).open


def test_what_goes_on_stays_open_though_acknowledged() -> None:
    assert not change([finding()], [opened(finding(), acknowledged_by="ann", acknowledged_at=NOON)])


def test_a_refusal_stays_until_it_is_acknowledged_and_the_next_one_is_told_anew() -> None:
    one = finding(Rule.ASSIGNMENT_REFUSED, "agent a")
    assert not change(alerts=[opened(one)])
    assert not change([one], [opened(one)])
    done = change([one], [opened(one, acknowledged_by="ann", acknowledged_at=NOON)])
    assert (len(done.close), done.open) == (1, [one])


# what comes and goes


def test_what_comes_and_goes_is_over_once_it_has_been_calm_for_a_while() -> None:
    silent = finding(Rule.TARGET_OFFLINE, "agent a")
    assert change(alerts=[opened(silent, 7)]) == Changes(close=[], open=[], calm={7: NOON})
    calm = opened(silent, 7, calm_since=NOON)
    assert not change(alerts=[calm], now=NOON + 4 * MINUTE)
    assert change(alerts=[calm], now=NOON + 5 * MINUTE).close


def test_what_comes_back_meanwhile_was_never_over() -> None:
    silent = finding(Rule.TARGET_OFFLINE, "agent a")
    assert change([silent], [opened(silent, 7, calm_since=NOON)]) == Changes(close=[], open=[], calm={7: None})


def test_the_more_often_it_comes_the_longer_it_has_to_be_calm_but_not_for_ever() -> None:
    minutes = [calm_needed(times, LIMITS) / MINUTE for times in (0, 1, 2, 3, 4, 5, 1000)]
    assert minutes == [5, 5, 10, 20, 40, 60, 60]


# many at once


def many(count: int, rule: Rule = Rule.TARGET_OFFLINE, cause: str = "") -> list[Finding]:
    return [finding(rule, f"agent {number}", cause and f"{cause}{number}") for number in range(count)]


def test_many_of_a_rule_at_once_are_one_alert() -> None:
    (one,) = change(many(200)).open
    assert (one.rule, one.subject, one.cause) == (Rule.TARGET_OFFLINE, MANY, "")
    assert one.text.startswith("200 at once, among them agent 0, agent 1, agent 10. One of them: ")


def test_as_many_as_a_person_reads_are_told_one_by_one_and_each_rule_counts_for_itself() -> None:
    assert len(change([*many(3), *many(3, Rule.DRIFT)]).open) == 6


def test_those_that_were_told_one_by_one_stay_so_when_they_become_many() -> None:
    done = change(many(10), [opened(one, id_) for id_, one in enumerate(many(2))])
    assert [one.subject for one in done.open] == [MANY]
    assert not done.close
    assert not done.calm


def test_many_that_were_acknowledged_together_do_not_come_back_and_a_later_one_does() -> None:
    failed = many(200, Rule.UPDATE_FAILED, "x")
    alert = opened(replace(failed[0], subject=MANY, cause=""), acknowledged_by="ann", acknowledged_at=NOON)
    done = change(failed, [alert])
    assert (len(done.close), done.open) == (1, [])
    later = finding(Rule.UPDATE_FAILED, "agent 3", "y", NOON + MINUTE)
    assert change([*failed, later], before=DoneWith(upto={Rule.UPDATE_FAILED: NOON})).open == [later]


def together(findings: Iterable[Finding], id_: int = 7, **more: object) -> OpenAlert:
    """The alert that they were told as."""
    (one,) = change(findings).open
    return opened(one, id_, **more)


def test_many_stand_for_those_that_they_were_opened_for_and_a_later_one_is_told_by_itself() -> None:
    done = change(many(22), [together(many(21))])
    assert [one.subject for one in done.open] == ["agent 21"]
    assert (done.close, done.calm, done.retell) == ([], {}, {})


def test_one_of_many_that_is_over_leaves_the_others_together() -> None:
    done = change(many(20), [together(many(21))])
    assert (done.open, done.close, done.calm) == ([], [], {})
    assert done.retell[7].text.startswith("20 at once, among them ")
    (left,) = change(many(1), [together(many(21))]).retell.values()
    assert left.text == "the last that is left of many: target_offline of agent 0"


def test_one_of_many_that_comes_back_after_it_was_over_is_told_by_itself() -> None:
    left = change(many(20), [together(many(21))]).retell[7]
    assert [one.subject for one in change(many(21), [opened(left)]).open] == ["agent 20"]


def test_many_are_over_when_the_last_of_them_is() -> None:
    alert, other = together(many(21)), finding(Rule.TARGET_OFFLINE, "agent 99")
    assert change([other], [alert, opened(other)]).calm == {7: NOON}
    (close,) = change([other], [replace(alert, calm_since=NOON), opened(other)], now=NOON + 5 * MINUTE).close
    assert (close.id, close.told) == (7, True)


def test_many_more_while_many_are_open_are_told_together_anew() -> None:
    done = change(many(30), [together(many(21))])
    assert [(one.id, one.told) for one in done.close] == [(7, False)]
    assert [(one.subject, len(one.covers)) for one in done.open] == [(MANY, 30)]


def test_one_of_many_that_fails_again_stays_with_them() -> None:
    alert = together(many(21, Rule.UPDATE_FAILED, "x"))
    done = change(many(21, Rule.UPDATE_FAILED, "y"), [alert])
    assert (done.open, done.close) == ([], [])
    assert ("agent 3", "y3") in done.retell[7].covers


def test_many_of_before_it_was_noted_for_whom_they_stand_stand_for_all_that_is_so() -> None:
    alert = replace(together(many(21)), covers=frozenset())
    done = change(many(2), [alert])
    assert (done.open, done.close) == ([], [])
    assert len(done.retell[7].covers) == 2


def test_refusals_of_one_of_many_are_told_each() -> None:
    refused = many(21, Rule.ASSIGNMENT_REFUSED)
    assert change(refused[:1], [together(refused)]).open == refused[:1]


@pytest.mark.parametrize("noted", [True, False])
def test_who_acknowledges_many_acknowledges_nothing_that_is_open_by_itself(*, noted: bool) -> None:
    first = many(3, Rule.UPDATE_FAILED, "x")
    singly = [opened(one, id_) for id_, one in enumerate(first)]
    failed = many(24, Rule.UPDATE_FAILED, "x")
    (one,) = change(failed, singly).open
    alert = opened(one, 7, acknowledged_by="ann", acknowledged_at=NOON)
    if not noted:
        alert = replace(alert, covers=frozenset())
    done = change(failed, [*singly, alert])
    assert [(close.id, close.reason) for close in done.close] == [(7, "acknowledged by ann")]
    assert not done.open


def test_who_acknowledges_many_acknowledges_nothing_that_they_do_not_stand_for() -> None:
    failed = many(21, Rule.UPDATE_FAILED, "x")
    alert = together(failed, acknowledged_by="ann", acknowledged_at=NOON + MINUTE)
    later = finding(Rule.UPDATE_FAILED, "agent 30", "y", NOON)
    assert change([*failed, later], [alert]).open == [later]


def test_what_is_told_together_is_told() -> None:
    assert (Rule.TARGET_OFFLINE, "agent 20") in told_of([together(many(21))])


# always


FINDINGS = st.builds(
    finding, st.sampled_from(Rule), st.sampled_from(["a", "b", "c", "d", "e"]), st.sampled_from(["", "x", "y"])
)


@given(
    st.lists(FINDINGS, unique_by=lambda one: (one.rule, one.subject)),
    st.lists(FINDINGS, unique_by=lambda one: (one.rule, one.subject)),
)
def test_what_was_changed_as_it_says_needs_no_more_changes(findings: list[Finding], were: list[Finding]) -> None:
    alerts = {id_: opened(one, id_) for id_, one in enumerate(were)}
    apply(change(findings, alerts.values()), alerts)
    again = change(findings, alerts.values())
    assert not again.open
    assert not again.calm
    assert not [one for one in again.close if one.told]


def apply(done: Changes, alerts: dict[int, OpenAlert]) -> None:
    """Change them as it says."""
    for close in done.close:
        del alerts[close.id]
    for id_, since in done.calm.items():
        alerts[id_] = replace(alerts[id_], calm_since=since)
    for id_, new in done.retell.items():
        alerts[id_] = replace(alerts[id_], text=new.text, severity=new.severity, covers=new.covers)
    for id_, new in enumerate(done.open, max(alerts, default=0) + 1):
        alerts[id_] = opened(new, id_)
    keys = [(one.rule, one.subject) for one in alerts.values()]
    assert len(keys) == len(set(keys)), "one open alert of a rule and subject"


OF_TWO_RULES = st.builds(
    finding,
    st.sampled_from([Rule.TARGET_OFFLINE, Rule.UPDATE_FAILED]),
    st.sampled_from("abcdefgh"),
    st.sampled_from(["x", "y"]),
)


@given(st.lists(st.lists(OF_TWO_RULES, unique_by=lambda one: (one.rule, one.subject)), max_size=5))
def test_whatever_comes_and_goes_all_that_is_so_is_told_of_and_nothing_as_over(course: list[list[Finding]]) -> None:
    alerts: dict[int, OpenAlert] = {}
    for hour, so in enumerate(course):
        done = change(so, alerts.values(), now=NOON + hour * timedelta(hours=1))
        keys = {(one.rule, one.subject) for one in so}
        for close in done.close:
            assert not (close.told and told_of([alerts[close.id]]) & keys)
        before = told_of(alerts.values())
        apply(done, alerts)
        assert keys <= told_of(alerts.values())
        assert keys - before <= told_of(opened(new) for new in done.open), "all that is new is told to people"
