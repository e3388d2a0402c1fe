"""A rollout: one release on its way to the targets of its channel, and the words for where each of them is.

`rollout_apply.apply` takes in what people and agents say; `rollout_decide.decide` says what to do next. Both are pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tidegate.domain.approval import Approval
from tidegate.domain.rollout_policy import RolloutPolicy
from tidegate.domain.waves import Member, plan_waves


class Kind(StrEnum):
    """Why it goes out. A rollback is never rolled back."""

    UPDATE = "update"
    ROLLBACK = "rollback"


class State(StrEnum):
    """Where a whole rollout is."""

    AWAITING_APPROVAL = "awaiting_approval"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


ENDED = frozenset({State.COMPLETED, State.FAILED, State.ROLLED_BACK, State.CANCELLED, State.SUPERSEDED})


class Progress(StrEnum):
    """Where one target is in its rollout."""

    WAITING = "waiting"
    OFFERED = "offered"
    UPDATING = "updating"
    BUSY = "busy"
    HEALTHY = "healthy"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    OFFLINE = "offline"
    SKIPPED = "skipped"
    WENT_BACK = "went_back"
    NOT_PUT_BACK = "not_put_back"


STILL_OFFERED = frozenset({Progress.OFFERED, Progress.BUSY})
"""Its agent has not begun, and may at any time."""
IN_FLIGHT = STILL_OFFERED | {Progress.UPDATING}


@dataclass(frozen=True, slots=True)
class TargetProgress:
    """One target. `before` is the digest to go back to; empty: not known.

    `generation` is that of its latest assignment, `back` whether that was the way back. `touched`: the new release is,
    or may be, what runs. `since` is when it came to be where it is, `deadline` when it must have left.
    `failed_in` is the wave that a failure counts in; a person's resume takes it out of all counts. `blamed`: the
    failure was the release's, and not its surroundings'. `excused`: a person has said to go on without it.
    """

    id: str
    wave: int
    before: str = ""
    progress: Progress = Progress.WAITING
    generation: int = 0
    back: bool = False
    withdrawn: bool = False
    forced: bool = False
    touched: bool = False
    since: datetime | None = None
    deadline: datetime | None = None
    busy_since: datetime | None = None
    failed_in: int | None = None
    blamed: bool = False
    excused: bool = False
    attempts: int = 0
    reason: str = ""

    @property
    def in_flight(self) -> bool:
        """Whether an assignment of it is under way, or may be."""
        return self.progress in IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Rollout:
    """Everything `decide` knows of a rollout. `wave` counts from 0; `passed_at` is when the open wave passed."""

    id: str
    channel: str
    digest: str
    requested_by: str
    created_at: datetime
    policy: RolloutPolicy
    targets: Mapping[str, TargetProgress]
    kind: Kind = Kind.UPDATE
    state: State = State.SCHEDULED
    wave: int = 0
    passed_at: datetime | None = None
    approvals: tuple[Approval, ...] = ()
    not_before: datetime | None = None
    reason: str = ""
    back_since: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more of it is begun, but for targets that were offline."""
        return self.state in ENDED

    @property
    def is_approved(self) -> bool:
        """Whether enough people have agreed. To go back to what ran before asks nobody."""
        return self.kind is Kind.ROLLBACK or len(self.approvals) >= self.policy.approvals

    @property
    def waves(self) -> int:
        """How many waves it has."""
        return max((one.wave for one in self.targets.values()), default=-1) + 1


@dataclass(frozen=True, slots=True)
class Planned:
    """A target when a rollout is planned: its cluster's labels, and what runs on it."""

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    running: str = ""


def plan_rollout(
    id_: str,
    channel: str,
    digest: str,
    targets: Sequence[Planned],
    policy: RolloutPolicy,
    *,
    requested_by: str,
    now: datetime,
    kind: Kind = Kind.UPDATE,
    not_before: datetime | None = None,
) -> Rollout:
    """A rollout that has begun nothing. What runs the digest already is left alone; without others it is completed."""
    others = [one for one in targets if one.running != digest]
    waves = plan_waves([Member(one.id, one.labels) for one in others], policy.waves)
    running = {one.id: one.running for one in others}
    progress = {
        id_: TargetProgress(id_, number, before=running[id_], since=now)
        for number, wave in enumerate(waves)
        for id_ in wave
    }
    state = State.AWAITING_APPROVAL if policy.approvals and kind is Kind.UPDATE else State.SCHEDULED
    if not progress:
        state = State.COMPLETED
    return Rollout(
        id=id_,
        channel=channel,
        digest=digest,
        requested_by=requested_by,
        created_at=now,
        policy=policy,
        targets=progress,
        kind=kind,
        state=state,
        not_before=not_before,
        reason="" if progress else "every target runs it already",
    )
