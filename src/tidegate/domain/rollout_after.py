"""The way back of one target, and what becomes of targets after their rollout has ended."""

from dataclasses import replace
from datetime import UTC, datetime

from tidegate.domain.rollout import MISSED, STILL_OFFERED, Progress, State, TargetProgress
from tidegate.domain.rollout_blame import quarantine_what_is_bad, told
from tidegate.domain.rollout_effects import Notice, Notify
from tidegate.domain.rollout_leaving import follows, let_go, withdraw_from_elsewhere
from tidegate.domain.rollout_work import Work

_TRIES = 2
_STOPPED = {State.CANCELLED, State.SUPERSEDED}
_ALWAYS = datetime.min.replace(tzinfo=UTC)


def put_back(work: Work, one: TargetProgress, *, late: bool) -> None:
    """Offer a target what ran before; `late`: who is not there is not waited for any longer."""
    to, why_not = _before(work, one), _why_not(work, one)
    if one.id in work.world.elsewhere:
        work.put(one, Progress.LEFT_ALONE, follows(work.world.elsewhere[one.id]), touched=False)
    elif one.id in work.world.moved_on:
        work.put(one, Progress.LEFT_ALONE, "a later rollout has moved it", touched=False)
    elif why_not is not None:
        if one.progress is not Progress.NOT_PUT_BACK or one.attempts < _TRIES:
            work.put(replace(one, attempts=_TRIES), Progress.NOT_PUT_BACK, why_not)
    elif work.is_there(one):
        work.offer(replace(one, before=to, attempts=one.attempts + 1, forced=False), to, back=True)
    elif late and one.progress is not Progress.OFFLINE:
        taken = one.id in work.world.taken
        why = "another rollout is at it" if taken else "offline; it is put back when it returns"
        work.put(one, Progress.OFFLINE, why)


def leave_what_is_bad(work: Work, one: TargetProgress) -> None:
    """Withdraw a way back to what has come to be in quarantine since, if it has not begun; that was no try."""
    if one.back and one.before in work.world.quarantine and one.progress in STILL_OFFERED and not one.withdrawn:
        work.set(replace(work.withdraw(one), attempts=max(0, one.attempts - 1)))


def _before(work: Work, one: TargetProgress) -> str:
    """What to go back to; where what ran before was bad, or goes back, too, what ran before that."""
    return work.world.earlier.get(one.id, one.before)


def _why_not(work: Work, one: TargetProgress) -> str | None:
    if not one.before:
        return "what ran before is not known"
    if _before(work, one) in work.world.quarantine:
        return "what ran before is in quarantine"
    return one.reason if one.attempts >= _TRIES else None


def is_still_to_go_back(one: TargetProgress) -> bool:
    """Whether the rollout waits for a target on the way back."""
    if one.in_flight:
        return True
    if not one.touched or one.progress is Progress.OFFLINE:
        return False
    return one.progress is not Progress.NOT_PUT_BACK or one.attempts < _TRIES


def after_the_end(work: Work) -> None:
    """What was offline when it ended catches up when it returns; what a stop has left behind is taken back."""
    work.time_out()
    if work.rollout.state is State.COMPLETED:
        _catch_up(work)
        return
    quarantine_what_is_bad(work)
    if work.rollout.state in _STOPPED:
        for one in [one for one in work.targets.values() if one.in_flight]:
            work.withdraw(one)  # also what has begun: so it is not begun again where it is cut off
    elif work.rollout.back_since is not None:
        withdraw_from_elsewhere(work)
        for one in list(work.targets.values()):
            if one.in_flight:
                leave_what_is_bad(work, one)
            elif one.touched:
                put_back(work, one, late=True)


def _catch_up(work: Work) -> None:
    """One after another, and no further once the release is in quarantine, or a newer one goes out."""
    let_go(work)
    _tell_of_late_failures(work)
    is_over = work.is_quarantined or bool(work.world.superseded_by)
    work.leave_overtaken()
    work.take_back(everything=is_over)
    if is_over or work.in_flight():
        return
    missed = [one for one in work.targets.values() if _may_catch_up(work, one)]
    if missed:
        following = min(missed, key=_missed_since)
        work.offer(replace(following, forced=False), work.rollout.digest, back=False)


def _tell_of_late_failures(work: Work) -> None:
    failed = [one for one in work.targets.values() if one.progress is Progress.FAILED and not one.excused]
    for one in failed:
        work.do(Notify(Notice.LATE_FAILURE, told([one])))
    quarantine_what_is_bad(work)
    for one in failed:
        work.set(replace(one, excused=True))


def _may_catch_up(work: Work, one: TargetProgress) -> bool:
    """Who was busy for too long rests until its time has come."""
    if one.progress not in MISSED or one.deadline is not None or one.id in work.world.overtaken:
        return False
    return work.gate(one).open and work.is_there(one)


def _missed_since(one: TargetProgress) -> datetime:
    """By this who has missed it for the longest goes next, so that nobody who is always busy is in others' way."""
    return one.since or _ALWAYS
