"""Which alerts are to be opened and closed: from what is so now, and what is open. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tidegate.manager.telling.alert import (
    ABOUT_EVENTS,
    FLAPPING,
    ONLY_ACKNOWLEDGED,
    DoneWith,
    Finding,
    OpenAlert,
    Rule,
    Severity,
    Thresholds,
)

MANY = "many"
"""The subject of an alert that stands for more of its rule than are told one by one."""
_NAMED = 3
_MOST_DOUBLINGS = 16
_WORSE = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)

Key = tuple[Rule, str]


@dataclass(frozen=True, slots=True)
class Close:
    """An alert that is over, and why, in words; `told`: people hear of it."""

    id: int
    reason: str
    told: bool = True


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written: first what is closed, then what is opened. `calm` maps an alert to since when it is."""

    close: Sequence[Close] = ()
    open: Sequence[Finding] = ()
    calm: Mapping[int, datetime | None] = field(default_factory=dict)
    retell: Mapping[int, Finding] = field(default_factory=dict)
    """What an open alert says now; nobody is told of the change."""
    replaces: Mapping[Key, int] = field(default_factory=dict)
    """Of those that are opened, which alert each is told in the place of: that one's end is not told by itself."""

    def __bool__(self) -> bool:
        return bool(self.close or self.open or self.calm or self.retell)


def decide(
    findings: Iterable[Finding],
    alerts: Collection[OpenAlert],
    done_with: DoneWith,
    limits: Thresholds,
    now: datetime,
) -> Changes:
    """What changes. `alerts` are those that are open, `done_with` is what was acknowledged of those that are not."""
    fresh = _fresh(findings, alerts, done_with)
    there = {(one.rule, one.subject): one for one in alerts}
    so = {(one.rule, one.subject): one for one in _gathered(fresh, there, limits.one_by_one)}
    close, calm, retell, replaces = [], dict[int, datetime | None](), dict[int, Finding](), dict[Key, int]()
    for key, alert in there.items():
        finding = so.get(key)
        if finding is not None and _is_still(alert, finding) and not _is_done_with(alert):
            _stays(alert, finding, calm, retell)
        elif (worse := _worse(key)) in so and worse not in there and not _is_done_with(alert):
            close.append(Close(alert.id, _OVER_AND_WORSE, told=False))
            replaces[worse] = alert.id
        elif (ended := _ends(alert, finding, limits, now)) is not None:
            close.append(ended)
        elif alert.calm_since is None and alert.rule in FLAPPING:
            calm[alert.id] = now
    over = {one.id for one in close}
    new = [one for key, one in so.items() if key not in there or there[key].id in over]
    untold = {one.id for one in close if not one.told}
    replaces |= {key: there[key].id for key in so if key in there and there[key].id in untold}
    return Changes(close, new, calm, retell, replaces)


def _fresh(findings: Iterable[Finding], alerts: Collection[OpenAlert], before: DoneWith) -> list[Finding]:
    """The findings that nobody has acknowledged."""
    acknowledged = [one for one in alerts if _is_done_with(one)]
    causes = before.causes | {(one.rule, one.subject, one.cause) for one in acknowledged}
    causes |= {(one.rule, *covered) for one in acknowledged for covered in one.covers}
    upto = dict(before.upto)
    for one in acknowledged:
        if one.subject == MANY and not one.covers and one.acknowledged_at is not None:
            upto[one.rule] = max(one.acknowledged_at, upto.get(one.rule, one.acknowledged_at))
    singly = {(one.rule, one.subject) for one in alerts}  # nobody has acknowledged these with the many
    return [
        one
        for one in findings
        if not (one.cause and (one.rule, one.subject, one.cause) in causes)
        and not (one.rule in upto and one.at <= upto[one.rule] and (one.rule, one.subject) not in singly)
    ]


def told_of(alerts: Iterable[OpenAlert]) -> set[Key]:
    """What open alerts tell of, and if only together with others."""
    return {(one.rule, subject) for one in alerts for subject in (one.subject, *_subjects(one))}


def calm_needed(openings: int, limits: Thresholds) -> timedelta:
    """How long it has to be calm before an alert is over that was opened so often within a day."""
    times: int = 2 ** min(max(openings - 1, 0), _MOST_DOUBLINGS)
    return min(limits.calm * times, max(limits.calm, limits.longest_calm))


def _stays(alert: OpenAlert, finding: Finding, calm: dict[int, datetime | None], retell: dict[int, Finding]) -> None:
    if alert.calm_since is not None:
        calm[alert.id] = None
    if (finding.severity, finding.text, finding.covers) != (alert.severity, alert.text, alert.covers):
        retell[alert.id] = finding


def _worse(key: Key) -> Key:
    """What comes after it where it gets worse instead of being over; itself, where nothing does."""
    rule, subject = key
    return _GETS_WORSE.get(rule, rule), subject


def _is_still(alert: OpenAlert, finding: Finding) -> bool:
    """Whether it is what people were told of: no other failure, and of many none more."""
    return finding.cause == alert.cause and (not alert.covers or _subjects(finding) <= _subjects(alert))


def _subjects(many: Finding | OpenAlert) -> set[str]:
    return {subject for subject, _ in many.covers}


def _is_done_with(alert: OpenAlert) -> bool:
    return bool(alert.acknowledged_by) and alert.rule in ABOUT_EVENTS


def _ends(alert: OpenAlert, finding: Finding | None, limits: Thresholds, now: datetime) -> Close | None:
    if _is_done_with(alert):
        return Close(alert.id, f"acknowledged by {alert.acknowledged_by}")
    if finding is not None:
        return Close(alert.id, "it has happened again", told=False)
    if alert.rule in ONLY_ACKNOWLEDGED:
        return None
    if alert.rule in FLAPPING:
        since, needed = alert.calm_since, calm_needed(alert.openings, limits)
        return Close(alert.id, _OVER[alert.rule]) if since is not None and now >= since + needed else None
    return Close(alert.id, _OVER[alert.rule])


def _gathered(findings: Sequence[Finding], there: Mapping[Key, OpenAlert], most: int) -> list[Finding]:
    """The findings, but one alert for all new ones of a rule that has more of them than a person would read.

    It stands for those until the last of them is over. What is new meanwhile is told by itself; where that is too many
    again, all are told together anew.
    """
    told = []
    for rule in Rule:
        ours = [one for one in findings if one.rule is rule]
        told += [one for one in ours if (rule, one.subject) in there]
        held, new = _held(ours, rule, there)
        if len(new) > most:
            held, new = [*held, *new], []
        told += new
        told += [_as_one(held)] if held else []
    return told


def _held(ours: Sequence[Finding], rule: Rule, there: Mapping[Key, OpenAlert]) -> tuple[list[Finding], list[Finding]]:
    """Those that are told together already, and those that are not told yet."""
    rest, many = [one for one in ours if (rule, one.subject) not in there], there.get((rule, MANY))
    if many is None or _is_done_with(many) or rule in ONLY_ACKNOWLEDGED:
        return [], rest
    if not many.covers:  # it was opened when that was not noted yet
        return rest, []
    known = _subjects(many)
    return [one for one in rest if one.subject in known], [one for one in rest if one.subject not in known]


def _as_one(findings: Sequence[Finding]) -> Finding:
    names = ", ".join(sorted(one.subject for one in findings)[:_NAMED])
    worst = max(findings, key=lambda one: _WORSE.index(one.severity))
    text = f"{len(findings)} at once, among them {names}. One of them: {worst.text}"
    if len(findings) == 1:
        text = f"the last that is left of many: {worst.text}"
    covers = frozenset((one.subject, one.cause) for one in findings)
    return replace(worst, subject=MANY, text=text, cause="", covers=covers)


_GETS_WORSE = {Rule.ROLLED_BACK: Rule.ROLLOUT_FAILED}
_OVER_AND_WORSE = "not every target was put back"
_OVER = {
    Rule.UPDATE_FAILED: "a later update of it went well, it runs that release all the same, or it is gone or revoked",
    Rule.ROLLED_BACK: "a later rollout of the channel has completed, or this one is forgotten",
    Rule.ROLLOUT_FAILED: "a later rollout of the channel has completed, or this one is forgotten",
    Rule.ROLLOUT_EXPIRED: "a later rollout of the channel has completed, or this one is forgotten",
    Rule.ROLLOUT_PAUSED: "it is not paused any more",
    Rule.TARGET_OFFLINE: "it is online again, or was revoked",
    Rule.DRIFT: "it runs again what it should, that was changed, or its agent was revoked",
    Rule.APPROVAL_WAITING: "it does not wait any more",
    Rule.CHANNEL_UNREACHABLE: "its registry answers again, or no target follows it any more",
    Rule.UPDATER_TROUBLE: "its agent tells of no trouble any more, or was revoked",
    Rule.DIGEST_QUARANTINED: "it was released",
}
