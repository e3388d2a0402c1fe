"""Which alerts are opened and closed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidegate.manager.telling.alert import DoneWith, Finding, OpenAlert, Rule, Severity, Thresholds
from tidegate.manager.telling.alert_decide import MANY, Changes, calm_needed, decide

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
LIMITS = Thresholds(calm=timedelta(minutes=5), longest_calm=timedelta(hours=1), one_by_one=3)
MINUTE = timedelta(minutes=1)


def finding(
    rule: Rule = Rule.ROLLOUT_PAUSED, subject: str = "rollout 1", cause: str = "", at: datetime = NOON
) -> Finding:
    return Finding(rule, subject, Severity.WARNING, f"{rule} of {subject}", at, cause)


def opened(one: Finding, id_: int = 1, **more: object) -> OpenAlert:
    alert = OpenAlert(id_, one.rule, one.subject, one.severity, one.text, one.cause)
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
    assert done.open == [second]


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
    done = change(findings, alerts.values())
    for close in done.close:
        del alerts[close.id]
    for id_, since in done.calm.items():
        alerts[id_] = replace(alerts[id_], calm_since=since)
    for id_, new in done.retell.items():
        alerts[id_] = replace(alerts[id_], text=new.text, severity=new.severity)
    for id_, new in enumerate(done.open, 100):
        alerts[id_] = opened(new, id_)
    keys = [(one.rule, one.subject) for one in alerts.values()]
    assert len(keys) == len(set(keys)), "one open alert of a rule and subject"
    again = change(findings, alerts.values())
    assert not again.open
    assert not again.calm
    assert not [one for one in again.close if one.told]
