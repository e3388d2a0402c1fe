"""Alerts: what they are, and the rules that open them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Rule(StrEnum):
    """What an alert is about; docs/alerts.md says of each what to do."""

    UPDATE_FAILED = "update_failed"
    ROLLED_BACK = "rolled_back"
    ROLLOUT_FAILED = "rollout_failed"
    ROLLOUT_EXPIRED = "rollout_expired"
    ROLLOUT_PAUSED = "rollout_paused"
    TARGET_OFFLINE = "target_offline"
    DRIFT = "drift"
    APPROVAL_WAITING = "approval_waiting"
    CHANNEL_UNREACHABLE = "channel_unreachable"
    UPDATER_TROUBLE = "updater_trouble"
    ASSIGNMENT_REFUSED = "assignment_refused"
    DIGEST_QUARANTINED = "digest_quarantined"


class Severity(StrEnum):
    """How soon somebody should look: at leisure, today, now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


ABOUT_EVENTS = frozenset(
    {
        Rule.UPDATE_FAILED,
        Rule.ROLLED_BACK,
        Rule.ROLLOUT_FAILED,
        Rule.ROLLOUT_EXPIRED,
        Rule.ASSIGNMENT_REFUSED,
        Rule.DIGEST_QUARANTINED,
    }
)
"""Over as soon as a person has acknowledged them; the others stay until what they tell of is over."""

ONLY_ACKNOWLEDGED = frozenset({Rule.ASSIGNMENT_REFUSED})
"""Never over by themselves."""

FLAPPING = frozenset({Rule.TARGET_OFFLINE, Rule.DRIFT, Rule.CHANNEL_UNREACHABLE, Rule.UPDATER_TROUBLE})
"""What may come and go: over only after a time of calm, the longer the more often it has come."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on something is worth an alert."""

    offline: timedelta = timedelta(minutes=10)
    drift: timedelta = timedelta(minutes=10)
    approval: timedelta = timedelta(hours=4)
    channel_failures: int = 5
    calm: timedelta = timedelta(minutes=5)
    longest_calm: timedelta = timedelta(hours=1)
    one_by_one: int = 20
    """More than so many new ones of a rule at once are told as one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is so now. `text` is for a person at night: what, to what, since when, and what to do.

    `cause` tells two of the same subject apart (another failure of the same target); empty: there are no two. `at` is
    when it came to be so. `covers` are the subjects and causes of what is told together here; empty: it is one.
    """

    rule: Rule
    subject: str
    severity: Severity
    text: str
    at: datetime
    cause: str = ""
    covers: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that is open. `calm_since`: what it tells of is over since then, if it stays so.

    `openings` is how often one of this rule and subject was opened within a day, this one counted. `covers` is as a
    finding's.
    """

    id: int
    rule: Rule
    subject: str
    severity: Severity
    text: str
    cause: str
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    calm_since: datetime | None = None
    openings: int = 1
    covers: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class DoneWith:
    """What persons have acknowledged: single causes, and all of a rule up to a time (where many were told as one)."""

    causes: frozenset[tuple[Rule, str, str]] = frozenset()
    upto: Mapping[Rule, datetime] = field(default_factory=dict)
