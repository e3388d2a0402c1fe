"""What people and agents say of a rollout, taken in. What follows from it is for `decide` to say."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from tidegate.domain.approval import Approval, ApprovalRefusedError, approved
from tidegate.domain.rollout import Kind, Progress, Rollout, State, TargetProgress


class Verb(StrEnum):
    """What a person may do to a rollout."""

    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    RETRY = "retry"
    ADVANCE = "advance"
    ROLL_BACK = "rollback"


class Outcome(StrEnum):
    """What an agent tells of an assignment. `refused`: it will not carry it out, and has touched nothing."""

    BEGUN = "begun"
    BUSY = "busy"
    HEALTHY = "healthy"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Report:
    """One agent's word on one assignment. `blame`: it is the release that is bad, and not its surroundings."""

    target: str
    generation: int
    outcome: Outcome
    reason: str = ""
    blame: bool = False


class VerbRefusedError(Exception):
    """A verb that has no meaning now; the message says why, and what has."""


_ALLOWED = {
    Verb.REJECT: {State.AWAITING_APPROVAL},
    Verb.PAUSE: {State.AWAITING_APPROVAL, State.SCHEDULED, State.RUNNING},
    Verb.RESUME: {State.PAUSED},
    Verb.ABORT: {State.AWAITING_APPROVAL, State.SCHEDULED, State.RUNNING, State.PAUSED},
    Verb.RETRY: {State.RUNNING, State.PAUSED},
    Verb.ADVANCE: {State.RUNNING, State.PAUSED},
    Verb.ROLL_BACK: {State.RUNNING, State.PAUSED},
}
_AGAIN = {Progress.FAILED, Progress.INCONCLUSIVE, Progress.SKIPPED, Progress.OFFLINE}
_EXCUSED = {Progress.FAILED, Progress.OFFLINE, Progress.SKIPPED}
_SETTLED = {Progress.HEALTHY, *_AGAIN}


def approve(rollout: Rollout, by: str, now: datetime) -> Rollout:
    """Add somebody's yes. Raises `VerbRefusedError`."""
    if rollout.state is not State.AWAITING_APPROVAL:
        raise VerbRefusedError(f"rollout {rollout.id} is {rollout.state}: nobody is asked to approve it")
    try:
        approvals = approved(rollout.requested_by, rollout.approvals, Approval(by, now))
    except ApprovalRefusedError as error:
        raise VerbRefusedError(str(error)) from error
    return replace(rollout, approvals=approvals)


def act(rollout: Rollout, verb: Verb, by: str, now: datetime, reason: str = "") -> Rollout:
    """What a person asks for. Raises `VerbRefusedError` where it has no meaning now."""
    if rollout.state not in _ALLOWED[verb]:
        open_to = [str(one) for one in Verb if rollout.state in _ALLOWED[one]]
        then = f"what can be done is {', '.join(open_to)}" if open_to else "it has ended; start a new one"
        raise VerbRefusedError(f"rollout {rollout.id} is {rollout.state}, so {verb} has no meaning; {then}")
    why = f"{_PAST[verb]} by {by}" + (f": {reason}" if reason else "")
    match verb:
        case Verb.REJECT | Verb.ABORT:
            return replace(rollout, state=State.CANCELLED, reason=why)
        case Verb.PAUSE:
            return replace(rollout, state=State.PAUSED, reason=why)
        case Verb.RESUME:
            return _resume(rollout, now, why)
        case Verb.RETRY:
            return _retry(rollout, now, why)
        case Verb.ADVANCE:
            return _advance(rollout, now, why)
        case Verb.ROLL_BACK if rollout.kind is Kind.ROLLBACK:
            raise VerbRefusedError(
                f"rollout {rollout.id} is a rollback, which is not rolled back; pause it, and start one of the release "
                f"that is to run"
            )
        case Verb.ROLL_BACK:
            return replace(rollout, state=State.ROLLING_BACK, back_since=now, reason=why)


_PAST = {
    Verb.REJECT: "rejected",
    Verb.PAUSE: "paused",
    Verb.RESUME: "resumed",
    Verb.ABORT: "aborted",
    Verb.RETRY: "tried again",
    Verb.ADVANCE: "advanced",
    Verb.ROLL_BACK: "rolled back",
}


def _resume(rollout: Rollout, now: datetime, why: str) -> Rollout:
    """A person has looked: failures so far do not count any more, and what could not be told is asked again."""
    targets = dict(rollout.targets)
    for id_, one in targets.items():
        if one.progress in _EXCUSED:
            targets[id_] = replace(one, failed_in=None, excused=True)
        if one.progress is Progress.INCONCLUSIVE:
            targets[id_] = _waiting(one, rollout.wave, now)
    return replace(rollout, state=_goes_on(rollout), targets=targets, reason=why)


def _retry(rollout: Rollout, now: datetime, why: str) -> Rollout:
    targets = {
        id_: _waiting(one, rollout.wave, now) if one.progress in _AGAIN else one for id_, one in rollout.targets.items()
    }
    return replace(rollout, state=_goes_on(rollout), targets=targets, passed_at=None, reason=why)


def _goes_on(rollout: Rollout) -> State:
    """Where it is after a pause: it may have been paused before it was approved, or before its time had come."""
    if not rollout.is_approved:
        return State.AWAITING_APPROVAL
    begun = any(one.generation for one in rollout.targets.values())
    return State.RUNNING if begun or rollout.state is State.RUNNING else State.SCHEDULED


def _advance(rollout: Rollout, now: datetime, why: str) -> Rollout:
    """Open the next wave; who is not done with this one goes along with it."""
    if rollout.wave + 1 >= rollout.waves:
        raise VerbRefusedError(f"rollout {rollout.id} is in its last wave; there is none to open")
    if not rollout.is_approved:
        raise VerbRefusedError(f"rollout {rollout.id} was not approved yet")
    following = rollout.wave + 1
    targets = dict(rollout.targets)
    for id_, one in targets.items():
        if one.wave == rollout.wave and one.progress is Progress.INCONCLUSIVE:
            targets[id_] = _waiting(one, following, now)
        elif one.wave == rollout.wave and one.progress not in _SETTLED:
            targets[id_] = replace(one, wave=following)
        elif one.progress is Progress.FAILED:
            targets[id_] = replace(one, failed_in=None)
    return replace(rollout, state=_goes_on(rollout), wave=following, targets=targets, passed_at=None, reason=why)


def _waiting(one: TargetProgress, wave: int, now: datetime) -> TargetProgress:
    return replace(
        one,
        wave=wave,
        progress=Progress.WAITING,
        since=now,
        deadline=None,
        busy_since=None,
        failed_in=None,
        blamed=False,
        excused=False,
        attempts=0,
        withdrawn=False,
        forced=False,
    )


def report(rollout: Rollout, said: Report, now: datetime) -> Rollout:
    """Take in an agent's word. What is not about the target's latest assignment, or is known, changes nothing."""
    one = rollout.targets.get(said.target)
    if one is None or said.generation != one.generation or one.generation == 0:
        return rollout
    told = _told(rollout, one, said, now)
    return rollout if told == one else replace(rollout, targets={**rollout.targets, one.id: told})


def _told(rollout: Rollout, one: TargetProgress, said: Report, now: datetime) -> TargetProgress:
    at = replace(one, since=now, deadline=None, reason=said.reason, withdrawn=False)
    match said.outcome:
        case Outcome.BEGUN if one.progress in {Progress.OFFERED, Progress.BUSY, Progress.OFFLINE}:
            deadline = now + rollout.policy.progress_deadline
            updating = replace(at, progress=Progress.UPDATING, deadline=deadline, busy_since=None)
            return replace(updating, withdrawn=one.withdrawn)  # it goes to its end, unless it is cut off
        case Outcome.BUSY if one.progress in {Progress.OFFERED, Progress.OFFLINE}:
            busy_since = one.busy_since or now
            until = busy_since + rollout.policy.busy_wait
            return replace(at, progress=Progress.BUSY, busy_since=busy_since, deadline=until, withdrawn=one.withdrawn)
        case Outcome.HEALTHY:
            return _healthy(one, at)
        case Outcome.FAILED:
            return _failed(rollout, one, at, said)
        case Outcome.INCONCLUSIVE if one.in_flight or one.progress is Progress.OFFLINE:
            return replace(at, progress=Progress.INCONCLUSIVE, touched=one.back)
        case Outcome.REFUSED if one.in_flight and not one.back:
            return replace(at, progress=Progress.FAILED, failed_in=rollout.wave)
        case Outcome.REFUSED if one.in_flight:
            return replace(at, progress=Progress.NOT_PUT_BACK)
        case Outcome.WITHDRAWN if one.in_flight and one.withdrawn:
            return replace(at, progress=Progress.WAITING)
        case _:
            return one


def _healthy(one: TargetProgress, at: TargetProgress) -> TargetProgress:
    if one.back:
        return one if one.progress is Progress.WENT_BACK else replace(at, progress=Progress.WENT_BACK, touched=False)
    return one if one.progress is Progress.HEALTHY else replace(at, progress=Progress.HEALTHY, touched=True)


def _failed(rollout: Rollout, one: TargetProgress, at: TargetProgress, said: Report) -> TargetProgress:
    """The agent has put back what ran before; where that was on the way back, the newer release is still there."""
    if one.progress in {Progress.FAILED, Progress.NOT_PUT_BACK}:
        return one
    if one.back:
        return replace(at, progress=Progress.NOT_PUT_BACK, touched=True)
    return replace(at, progress=Progress.FAILED, touched=False, failed_in=rollout.wave, blamed=said.blame)
