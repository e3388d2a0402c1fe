"""The way back of one target, and what becomes of targets after their rollout has ended."""

from dataclasses import replace

from tidegate.domain.rollout import Progress, State, TargetProgress
from tidegate.domain.rollout_effects import Notice, Notify, Quarantine
from tidegate.domain.rollout_work import Work

_TRIES = 2
_STOPPED = {State.CANCELLED, State.SUPERSEDED}
_MISSED = {Progress.OFFLINE, Progress.WAITING}
"""Where a target is that catches up after the end: it waits once more where what it was at was taken back."""


def put_back(work: Work, one: TargetProgress, *, late: bool) -> None:
    """Offer a target what ran before; `late`: who is not there is not waited for any longer."""
    why_not = _why_not(work, one)
    if why_not is not None:
        if one.progress is not Progress.NOT_PUT_BACK or one.attempts < _TRIES:
            work.put(replace(one, attempts=_TRIES), Progress.NOT_PUT_BACK, why_not)
    elif work.is_there(one):
        work.offer(replace(one, attempts=one.attempts + 1, forced=False), one.before, back=True)
    elif late and one.progress is not Progress.OFFLINE:
        work.put(one, Progress.OFFLINE, "offline; it is put back when it returns")


def _why_not(work: Work, one: TargetProgress) -> str | None:
    if not one.before:
        return "what ran before is not known"
    if one.before in work.world.quarantine:
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
    state, rolled_back = work.rollout.state, work.rollout.back_since is not None
    if state in _STOPPED:
        work.take_back(everything=True)
    elif work.world.superseded_by:
        return
    elif rolled_back:
        for one in list(work.targets.values()):
            if one.touched and not one.in_flight:
                put_back(work, one, late=True)
    elif state is State.COMPLETED:
        _catch_up(work)


def _catch_up(work: Work) -> None:
    """One after another, and no further once the release has failed on one of them."""
    it = work.rollout
    for one in [one for one in work.targets.values() if one.progress is Progress.FAILED and not one.excused]:
        why = f"{one.id}: {one.reason}"
        work.set(replace(one, excused=True))
        work.do(Notify(Notice.LATE_FAILURE, why))
        if one.blamed and not work.is_quarantined:
            work.do(Quarantine(it.digest, why))
            return
    work.take_back(everything=work.is_quarantined)
    if work.is_quarantined or work.in_flight():
        return
    for one in list(work.targets.values()):
        if one.progress in _MISSED and work.gate(one).open and work.is_there(one):
            work.offer(one, it.digest, back=False)
            return
