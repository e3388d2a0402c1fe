"""How a rollout goes: its waves, what counts as success and as failure, and who has to agree."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

_SHARE = re.compile(r"(?P<number>[0-9]{1,6})(?P<percent>%)?")
_ALL_PERCENT = 100


class Mode(StrEnum):
    """What becomes of a new release of a channel."""

    AUTOMATIC = "automatic"
    APPROVAL = "approval"
    PINNED = "pinned"
    MONITOR_ONLY = "monitor-only"


class OnFailure(StrEnum):
    """What a rollout does when too much of a wave has failed."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    CONTINUE = "continue"


class BusyThen(StrEnum):
    """What becomes of a target that has been busy for too long."""

    SKIP = "skip"
    FORCE = "force"
    FAIL = "fail"


class PolicyError(ValueError):
    """A value of a policy that cannot be used; the message says what it takes."""


@dataclass(frozen=True, slots=True)
class Share:
    """A count of targets, or a percentage of them."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """How many of `total` that is: at least one, at most all; a part counts as a whole."""
        wanted = -(-total * self.number // _ALL_PERCENT) if self.percent else self.number
        return max(1, min(wanted, total))

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


def parse_share(text: str) -> Share:
    """`3` or `25%`; more than nothing, and at most 100%. Raises `PolicyError`."""
    found = _SHARE.fullmatch(text.strip())
    number = int(found["number"]) if found else 0
    if found is None or number == 0 or (found["percent"] and number > _ALL_PERCENT):
        raise PolicyError(f"{text!r} is neither a count of targets, such as 3, nor a percentage, such as 25%")
    return Share(number, percent=bool(found["percent"]))


@dataclass(frozen=True, slots=True)
class WaveRule:
    """Who is in a wave: so many of those that are left, or those of them whose cluster has these labels."""

    share: Share | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """One channel's rules for rollouts. Durations are elapsed time.

    What no wave rule takes is in one last wave. A wave stops the rollout at `failure_threshold` failures, and passes
    when `success_percent` are healthy; both are of those that could be reached. `parallel` is how many of a wave may
    be under way at once; None: all of them.
    """

    waves: tuple[WaveRule, ...] = (WaveRule(Share(1)),)
    parallel: Share | None = None
    success_percent: int = _ALL_PERCENT
    failure_threshold: Share = Share(1)
    healthy_for: timedelta = timedelta(seconds=10)
    healthy_deadline: timedelta = timedelta(minutes=5)
    progress_deadline: timedelta = timedelta(minutes=10)
    soak: timedelta = timedelta(minutes=5)
    on_failure: OnFailure = OnFailure.ROLLBACK
    busy_wait: timedelta = timedelta(hours=1)
    busy_then: BusyThen = BusyThen.SKIP
    approvals: int = 0
    approval_expires: timedelta = timedelta(days=7)
    expires: timedelta = timedelta(days=30)

    def for_rollback(self) -> "RolloutPolicy":
        """The rules by which people go back: nobody waits for waves then, or for a soak; `parallel` holds."""
        return replace(self, waves=(), soak=timedelta())
