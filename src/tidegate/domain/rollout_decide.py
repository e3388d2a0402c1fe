"""What a rollout does next: `decide(rollout, world)` gives the rollout as it is then, and what is to be done about it.

It is asked whenever something was taken in, and at the time that it asked to be woken at. Asked again when what it
wanted has been done, it changes nothing and does nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

from tidegate.domain.durations import duration_text
from tidegate.domain.rollout import ENDED, NOT_APPROVED, NOT_OVER, Kind, Progress, Rollout, State, TargetProgress
from tidegate.domain.rollout_after import after_the_end, is_still_to_go_back, leave_what_is_bad, put_back
from tidegate.domain.rollout_blame import quarantine_what_is_bad, told
from tidegate.domain.rollout_effects import Decision, Notice, Notify
from tidegate.domain.rollout_leaving import let_go, wait_for_other_agents, withdraw_from_elsewhere
from tidegate.domain.rollout_policy import OnFailure
from tidegate.domain.rollout_work import Work
from tidegate.domain.rollout_world import World

_NOT_HAD = {Progress.SKIPPED, Progress.OFFLINE, Progress.LEFT_ALONE}
_DONE = _NOT_HAD | {Progress.FAILED}


def decide(rollout: Rollout, world: World) -> Decision:
    """The next state, what is to be done, and when to ask again if nothing happens before."""
    work = Work(rollout, world)
    moves = -1
    while moves != work.moves:
        moves = work.moves
        _step(work)
    return Decision(work.frozen(), tuple(work.effects), work.wake_at())


def _step(work: Work) -> None:
    """Go on by one step, if there is one."""
    wait_for_other_agents(work)
    _go_by_the_policy_of_now(work)
    if work.rollout.state in ENDED:
        after_the_end(work)
    elif not _ends_early(work):
        match work.rollout.state:
            case State.AWAITING_APPROVAL:
                _await_approval(work)
            case State.SCHEDULED:
                _begin(work)
            case State.RUNNING | State.PAUSED:
                _run(work)
            case State.ROLLING_BACK:
                _roll_back(work)


# the whole rollout


def _go_by_the_policy_of_now(work: Work) -> None:
    """Until it begins, as many have to agree as its channel's policy asks for now, where that is more than its own."""
    it, asks = work.rollout, work.world.asks
    asks = asks if asks > it.policy.approvals else 0
    if it.begun or it.ended or it.kind is Kind.ROLLBACK or asks == it.asks:
        return
    after = replace(it, asks=asks)
    work.set_rollout(replace(after, asked_at=work.world.now) if it.is_approved and not after.is_approved else after)


def _ends_early(work: Work) -> bool:
    it, world = work.rollout, work.world
    if it.state is State.ROLLING_BACK:  # a newer release is no reason to leave a bad one where it is
        return False
    if world.superseded_by:
        work.change(State.SUPERSEDED, f"rollout {world.superseded_by} is newer")
    elif work.is_quarantined:
        begun = any(one.touched or one.in_flight for one in work.targets.values())
        if it.kind is Kind.UPDATE and begun:
            _go_back(work, "its release is in quarantine")
        else:
            work.change(State.CANCELLED, "its release is in quarantine")
    elif world.forbids and it.kind is Kind.UPDATE and not it.begun:
        work.change(State.CANCELLED, world.forbids)
    elif world.now >= it.created_at + it.policy.expires:
        work.change(State.CANCELLED, f"{NOT_OVER}{duration_text(it.policy.expires)}", Notice.EXPIRED)
    elif it.waits_for_approval and world.now >= it.asked_since + it.policy.approval_expires:
        work.change(State.CANCELLED, f"{NOT_APPROVED}{duration_text(it.policy.approval_expires)}", Notice.EXPIRED)
    else:
        return False
    return True


def _await_approval(work: Work) -> None:
    it = work.rollout
    if it.is_approved:
        by = ", ".join(one.by for one in it.approvals)
        work.change(State.SCHEDULED, f"approved by {by}" if by else "its policy asks for no approval any more")


def _begin(work: Work) -> None:
    """It runs once its first wave's time has come, also where nobody of it is there: that is then told."""
    needed = work.rollout.needed
    if not work.rollout.is_approved:
        more = "s" if needed > 1 else ""
        work.change(State.AWAITING_APPROVAL, f"its policy asks for {needed} approval{more} now")
        return
    not_before = work.rollout.not_before
    if not_before is not None and work.world.now < not_before:
        return
    if any(work.gate(one).open for one in work.members()):
        work.set_rollout(replace(work.rollout, begun=True))
        work.change(State.RUNNING, "", Notice.STARTED)


def _run(work: Work) -> None:
    work.time_out()
    let_go(work)
    work.leave_overtaken()
    work.take_back(everything=work.rollout.state is State.PAUSED)
    if _stops(work) or work.rollout.state is not State.RUNNING:
        return
    _welcome_back(work)
    work.leave_overtaken()
    if not _passes(work):
        _offer_more(work)


def _welcome_back(work: Work) -> None:
    """Who was offline and has returned takes part again."""
    for one in list(work.targets.values()):
        if one.progress is Progress.OFFLINE and one.wave <= work.rollout.wave and one.id in work.world.online:
            work.put(replace(one, wave=work.rollout.wave, excused=False), Progress.WAITING, "")


# failures


def _stops(work: Work) -> bool:
    """Whether what has failed, or could not be told, ends the wave; a pause by a person holds either way."""
    it = work.rollout
    failures = [one for one in work.targets.values() if one.progress is Progress.FAILED and one.failed_in == it.wave]
    too_many = bool(failures) and len(failures) >= it.policy.failure_threshold.of(len(_counted(work)))
    if too_many and _too_many(work, failures):
        return True
    unclear = [one for one in work.targets.values() if one.progress is Progress.INCONCLUSIVE]
    if unclear and it.state is State.RUNNING:
        work.change(State.PAUSED, f"{unclear[0].id}: {unclear[0].reason or 'inconclusive'}", Notice.PAUSED)
        return True
    return False


def _counted(work: Work) -> list[TargetProgress]:
    """Of the open wave, those that its shares are shares of: who was not to be had says nothing of the release."""
    return [one for one in work.members() if one.progress not in _NOT_HAD]


def _too_many(work: Work, failures: Sequence[TargetProgress]) -> bool:
    """What the policy makes of it; whether that ends the wave."""
    it = work.rollout
    why = told(failures)
    if it.policy.on_failure is OnFailure.CONTINUE:
        return False
    if it.policy.on_failure is OnFailure.PAUSE or it.kind is Kind.ROLLBACK:
        if it.state is not State.PAUSED:
            work.change(State.PAUSED, why, Notice.PAUSED)
        return True
    _go_back(work, why)
    return True


def _go_back(work: Work, why: str) -> None:
    work.set_rollout(replace(work.rollout, back_since=work.world.now))
    work.change(State.ROLLING_BACK, why, Notice.ROLLING_BACK)


# the open wave


def _passes(work: Work) -> bool:
    """Whether the open wave is done with, and the next one, or the end, has come."""
    it, now = work.rollout, work.world.now
    members = work.members()
    if not all(_is_done(one, work) for one in members):
        if it.passed_at is not None:  # somebody has joined it late: the soak is for all of it
            work.set_rollout(replace(it, passed_at=None))
        return False
    if not _succeeded(work, members):
        work.change(State.PAUSED, f"too few of wave {it.wave + 1} could be updated", Notice.PAUSED)
    elif it.passed_at is None:
        work.set_rollout(replace(it, passed_at=now))
    elif now < it.passed_at + it.policy.soak:
        return False
    elif it.wave + 1 < it.waves:
        work.set_rollout(replace(it, wave=it.wave + 1, passed_at=None))
        work.do(Notify(Notice.WAVE, f"wave {it.wave + 2} of {it.waves} is open"))
    else:
        failed = [one for one in work.targets.values() if one.progress is Progress.FAILED]
        for one in failed:
            work.set(replace(one, excused=True))
        work.change(State.COMPLETED, f"but for {told(failed)}" if failed else "", Notice.COMPLETED)
    return True


def _is_done(one: TargetProgress, work: Work) -> bool:
    if one.progress is Progress.HEALTHY:
        return one.since is not None and work.world.now >= one.since + work.rollout.policy.healthy_for
    return one.progress in _DONE


def _succeeded(work: Work, members: Sequence[TargetProgress]) -> bool:
    policy = work.rollout.policy
    counted = [one for one in members if one.progress is Progress.HEALTHY or one.failed_in is not None]
    healthy = sum(one.progress is Progress.HEALTHY for one in counted)
    if policy.on_failure is OnFailure.CONTINUE:
        return True
    if not counted:  # nobody has proved anything, unless a person has said to go on
        is_last = work.rollout.wave + 1 == work.rollout.waves
        return all(one.excused or (is_last and one.progress is Progress.LEFT_ALONE) for one in members)
    return healthy * 100 >= policy.success_percent * len(counted)


def _offer_more(work: Work) -> None:
    """Offer the release to as many of the open wave as may be under way together."""
    it, world = work.rollout, work.world
    members = work.members()
    free = (it.policy.parallel.of(len(members)) if it.policy.parallel else len(members)) - work.in_flight()
    for one in members:
        if one.progress is not Progress.WAITING:
            continue
        gate = work.gate(one)
        if world.running.get(one.id) == it.digest:
            work.put(one, Progress.HEALTHY, "it runs there already")
        elif free > 0 and gate.open and work.is_there(one):
            work.offer(one, it.digest, back=False)
            free -= 1
        elif one.deadline is None and gate.open and one.id not in world.online:
            work.set(replace(one, deadline=world.now + it.policy.progress_deadline))


# the way back


def _roll_back(work: Work) -> None:
    """Everything that runs, or may run, the release gets what ran before; windows do not count for that."""
    work.time_out()
    quarantine_what_is_bad(work)
    withdraw_from_elsewhere(work)
    it, now = work.rollout, work.world.now
    since = it.back_since
    late = since is not None and now >= work.world.due(since + it.policy.progress_deadline, since)
    for one in list(work.targets.values()):
        if one.in_flight:
            if one.back:
                leave_what_is_bad(work, one)
            elif one.progress is not Progress.UPDATING:
                work.withdraw(one)
        elif one.touched:
            put_back(work, one, late=late)
    if not any(is_still_to_go_back(one) for one in work.targets.values()):
        _went_back(work)


def _went_back(work: Work) -> None:
    left = [one for one in work.targets.values() if one.progress is Progress.NOT_PUT_BACK]
    if left:
        work.change(State.FAILED, f"{left[0].id} was not put back: {left[0].reason}", Notice.FAILED)
    else:
        work.change(State.ROLLED_BACK, work.rollout.reason, Notice.ROLLED_BACK)
