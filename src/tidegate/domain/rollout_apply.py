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
    """What an agent tells of an assignment. `refused`: it will not carry it out, and has touched nothing.

    Two no agent says itself; its manager makes them of a refusal: `expired` after the assignment's time, `gone` where
    the agent has told that the target is not there any more.
    """

    BEGUN = "begun"
    BUSY = "busy"
    HEALTHY = "healthy"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    GONE = "gone"


MADE_OF_REFUSALS = frozenset({Outcome.EXPIRED, Outcome.GONE})
"""What a manager makes of a refusal that is no fault of the release: nothing was begun."""
_TAKEN_AWAY = "its service was taken away before it began"


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
_ONCE_BEGUN = {Verb.RETRY, Verb.ADVANCE, Verb.ROLL_BACK}
"""What has a meaning only for what has begun: a pause before that is no way around approvals, windows and waves."""
_AGAIN = {Progress.FAILED, Progress.INCONCLUSIVE, Progress.SKIPPED, Progress.OFFLINE}
_EXCUSED = {Progress.FAILED, Progress.OFFLINE, Progress.SKIPPED, Progress.LEFT_ALONE}
_SETTLED = {Progress.HEALTHY, Progress.LEFT_ALONE, *_AGAIN}


def approve(rollout: Rollout, by: str, now: datetime) -> Rollout:
    """Add somebody's yes. Raises `VerbRefusedError`."""
    if rollout.state is not State.AWAITING_APPROVAL:
        first = "resume it first" if rollout.waits_for_approval else "nobody is asked to approve it"
        raise VerbRefusedError(f"rollout {rollout.id} is {rollout.state}: {first}")
    try:
        approvals = approved(rollout.requested_by, rollout.approvals, Approval(by, now))
    except ApprovalRefusedError as error:
        raise VerbRefusedError(str(error)) from error
    return replace(rollout, approvals=approvals)


def act(rollout: Rollout, verb: Verb, by: str, now: datetime, reason: str = "") -> Rollout:
    """What a person asks for. Raises `VerbRefusedError` where it has no meaning now."""
    if verb is Verb.ROLL_BACK and rollout.kind is Kind.ROLLBACK:
        raise VerbRefusedError(
            f"rollout {rollout.id} is a rollback, which is not rolled back; name the release that its targets are to "
            f"go to"
        )
    if not _is_open_to(rollout, verb):
        not_yet = " and has not begun" if rollout.state is State.PAUSED and not rollout.begun else ""
        then = _what_else(rollout, verb)
        raise VerbRefusedError(f"rollout {rollout.id} is {rollout.state}{not_yet}, so {verb} has no meaning; {then}")
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
        case Verb.ROLL_BACK:
            return replace(rollout, state=State.ROLLING_BACK, back_since=now, reason=why)


def open_verbs(state: State, kind: Kind, *, begun: bool) -> list[Verb]:
    """What has a meaning for such a rollout now, beside its approval."""
    open_to = [one for one in Verb if state in _ALLOWED[one] and (begun or one not in _ONCE_BEGUN)]
    return [one for one in open_to if one is not Verb.ROLL_BACK or kind is not Kind.ROLLBACK]


def _is_open_to(rollout: Rollout, verb: Verb) -> bool:
    return verb in open_verbs(rollout.state, rollout.kind, begun=rollout.begun)


def _what_else(rollout: Rollout, verb: Verb) -> str:
    """What can be done where this verb has no meaning."""
    open_to = [str(one) for one in Verb if _is_open_to(rollout, one)]
    if rollout.state is State.AWAITING_APPROVAL:
        open_to.insert(0, "approve")
    return f"what can be done is {', '.join(open_to)}" if open_to else _after_the_end(rollout, verb)


def _after_the_end(rollout: Rollout, verb: Verb) -> str:
    """What to do where nothing is left to be said to a rollout."""
    if not rollout.ended:
        return "it goes back already"
    if verb is Verb.ROLL_BACK:
        return "it has ended; what it has updated goes back by a rollback of its own"
    return "it has ended; start a new one"


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
    return replace(rollout, state=rollout.place, targets=targets, reason=why)


def _retry(rollout: Rollout, now: datetime, why: str) -> Rollout:
    targets = {
        id_: _waiting(one, rollout.wave, now) if one.progress in _AGAIN else one for id_, one in rollout.targets.items()
    }
    return replace(rollout, state=rollout.place, targets=targets, passed_at=None, reason=why)


def _advance(rollout: Rollout, now: datetime, why: str) -> Rollout:
    """Open the next wave; who is not done with this one goes along with it."""
    if rollout.wave + 1 >= rollout.waves:
        raise VerbRefusedError(f"rollout {rollout.id} is in its last wave; there is none to open")
    following = rollout.wave + 1
    targets = dict(rollout.targets)
    for id_, one in targets.items():
        if one.wave == rollout.wave and one.progress is Progress.INCONCLUSIVE:
            targets[id_] = _waiting(one, following, now)
        elif one.wave == rollout.wave and one.progress not in _SETTLED:
            targets[id_] = replace(one, wave=following)
        elif one.progress is Progress.FAILED:
            targets[id_] = replace(one, failed_in=None)
    return replace(rollout, state=rollout.place, wave=following, targets=targets, passed_at=None, reason=why)


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
        case Outcome.REFUSED | Outcome.EXPIRED | Outcome.GONE if one.in_flight:
            return _not_begun(rollout, one, at, said.outcome, now)
        case Outcome.WITHDRAWN if one.in_flight and one.withdrawn:
            return replace(at, progress=Progress.WAITING)
        case _:
            return one


def _healthy(one: TargetProgress, at: TargetProgress) -> TargetProgress:
    if one.back:
        return one if one.progress is Progress.WENT_BACK else replace(at, progress=Progress.WENT_BACK, touched=False)
    return one if one.progress is Progress.HEALTHY else replace(at, progress=Progress.HEALTHY, touched=True)


def _not_begun(
    rollout: Rollout, one: TargetProgress, at: TargetProgress, how: Outcome, now: datetime
) -> TargetProgress:
    """Its agent will not begin it, and has touched nothing."""
    match how:
        case Outcome.EXPIRED:
            return _expired(one, at, now)
        case Outcome.GONE:
            return replace(at, progress=Progress.OFFLINE, attempts=_not_tried(one), reason=_TAKEN_AWAY)
        case _ if one.back:
            return replace(at, progress=Progress.NOT_PUT_BACK)
        case _:
            return replace(at, progress=Progress.FAILED, failed_in=rollout.wave)


def _expired(one: TargetProgress, at: TargetProgress, now: datetime) -> TargetProgress:
    """It was not begun in its time, and nothing was touched: it waits again, unless it was busy for too long in it."""
    if one.progress is Progress.BUSY and one.deadline is not None and now >= one.deadline:
        return replace(one, withdrawn=True)  # there is nothing left to take back
    return replace(at, progress=Progress.WAITING, attempts=_not_tried(one))


def _not_tried(one: TargetProgress) -> int:
    """How often its way back was tried, where the latest try was none."""
    return max(0, one.attempts - 1) if one.back else one.attempts


def _failed(rollout: Rollout, one: TargetProgress, at: TargetProgress, said: Report) -> TargetProgress:
    """The agent has put back what ran before; where that was on the way back, the newer release is still there."""
    if one.progress in {Progress.FAILED, Progress.NOT_PUT_BACK, Progress.LEFT_ALONE}:
        return one
    if one.back:
        return replace(at, progress=Progress.NOT_PUT_BACK, touched=True)
    failed = replace(at, progress=Progress.FAILED, touched=False, failed_in=rollout.wave, blamed=said.blame)
    return replace(failed, excused=False)  # people went on without it before they knew of this
