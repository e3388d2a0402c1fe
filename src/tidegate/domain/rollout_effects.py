"""What a rollout wants done."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tidegate.domain.rollout import Rollout


class Notice(StrEnum):
    """What people are told of a rollout."""

    STARTED = "started"
    WAVE = "wave"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    COMPLETED = "completed"
    FAILED = "failed"
    LATE_FAILURE = "late_failure"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Offer:
    """Assign a digest to a target: `back` is the way back, `forced` goes on though the target is busy.

    An agent does not begin it after `expires_at`.
    """

    target: str
    digest: str
    generation: int
    expires_at: datetime
    back: bool = False
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take an assignment back, if its agent has not begun."""

    target: str
    generation: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Offer a digest to nobody any more, until a person releases it."""

    digest: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell people."""

    notice: Notice
    text: str


Effect = Offer | Withdraw | Quarantine | Notify


@dataclass(frozen=True, slots=True)
class Decision:
    """The rollout as it is from now on, what is to be done, and when to decide again if nothing happens before."""

    rollout: Rollout
    effects: tuple[Effect, ...]
    wake_at: datetime | None
