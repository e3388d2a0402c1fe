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

NOT_APPROVED, NOT_OVER = "not approved within ", "it was not over within "
"""How the reason of a rollout begins that time alone has ended, and no person."""
FORBIDDEN = "its policy is "
"""How the reason of a rollout begins that its channel's policy did not let begin any more."""


class Progress(StrEnum):
    """Where one target is in its rollout. `left_alone`: nothing that is said to the rollout brings it forward again."""

    WAITING = "waiting"
    OFFERED = "offered"
    UPDATING = "updating"
    BUSY = "busy"
    HEALTHY = "healthy"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    OFFLINE = "offline"
    SKIPPED = "skipped"
    LEFT_ALONE = "left_alone"
    WENT_BACK = "went_back"
    NOT_PUT_BACK = "not_put_back"


MISSED = frozenset({Progress.OFFLINE, Progress.WAITING})
"""Where a target is that catches up after the end: it waits once more where what it was at was taken back."""
STILL_OFFERED = frozenset({Progress.OFFERED, Progress.BUSY})
"""Its agent has not begun, and may at any time."""
IN_FLIGHT = STILL_OFFERED | {Progress.UPDATING}


@dataclass(frozen=True, slots=True)
class TargetProgress:
    """One target. `before` is the digest to go back to; empty: not known.

    `generation` is that of its latest assignment, `back` whether that was the way back. `touched`: the new release is,
    or may be, what runs. `since` is when it came to be where it is, `deadline` when it must have left.
    `failed_in` is the wave that a failure counts in; a person's resume takes it out of all counts. `blamed`: the
    failure was the release's, and not its surroundings'. `excused`: a person has said to go on without it, or what
    follows from its failure once the rollout goes back, or has ended, was seen to.
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
    """Everything `decide` knows of a rollout. `wave` counts from 0; `passed_at` is when the open wave passed.

    `begun`: it has run; before that nothing of it is offered, and targets are not its own. `asks` is how many people
    its channel's policy has come to ask for until it began, where that is more than its own; 0: it is not. `asked_at`:
    since when it waits for approval, if not since it was made.
    """

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
    begun: bool = False
    asks: int = 0
    asked_at: datetime | None = None

    @property
    def place(self) -> State:
        """Its state; of a paused one, that in which it goes on. It may not have been approved, or begun, before."""
        if self.state is not State.PAUSED:
            return self.state
        if self.begun:
            return State.RUNNING
        return State.SCHEDULED if self.is_approved else State.AWAITING_APPROVAL

    @property
    def ended(self) -> bool:
        """Whether nothing more of it is begun, but for targets that were offline."""
        return self.state in ENDED

    @property
    def is_approved(self) -> bool:
        """Whether enough people have agreed. To go back to what ran before asks nobody."""
        return len(self.approvals) >= self.needed

    @property
    def needed(self) -> int:
        """How many people have to agree."""
        return 0 if self.kind is Kind.ROLLBACK else max(self.policy.approvals, self.asks)

    @property
    def asked_since(self) -> datetime:
        """Since when people are asked to agree, if they are."""
        return self.asked_at or self.created_at

    @property
    def waits_for_approval(self) -> bool:
        """Whether people have to agree before it begins, also where it is paused meanwhile."""
        return self.place is State.AWAITING_APPROVAL and not self.is_approved

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
