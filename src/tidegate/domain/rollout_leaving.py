"""Targets that leave a rollout, and those whose agent was revoked: that is no fault of the release."""

from dataclasses import replace

from tidegate.domain.rollout import STILL_OFFERED, Kind, Progress, TargetProgress
from tidegate.domain.rollout_work import Work

MONITORED = "its host has it monitored only"
_NOT_DONE = frozenset({Progress.WAITING, Progress.OFFLINE, Progress.INCONCLUSIVE})


def withdraw_from_elsewhere(work: Work) -> None:
    """Take back what was offered to targets that follow something else by now; what has begun goes to its end."""
    for id_ in work.world.elsewhere:
        one = work.targets.get(id_)
        if one is not None and one.progress in STILL_OFFERED:
            work.withdraw(one)


def let_go(work: Work) -> None:
    """Have no more to do with targets that follow something else by now, or that their hosts let nobody update.

    A failure there still counts where the release was to blame: that was found out before.
    """
    withdraw_from_elsewhere(work)
    for id_, what in work.world.elsewhere.items():
        one = work.targets.get(id_)
        if one is not None and _is_to_go(one):
            work.put(replace(one, failed_in=None), Progress.LEFT_ALONE, follows(what), touched=False)
    if work.rollout.kind is Kind.UPDATE:
        _let_monitored_go(work)


def _let_monitored_go(work: Work) -> None:
    """Bring no release to targets that are monitored only.

    What may run there may still have to go back. That it cannot is for people to hear, as of a rollback that cannot.
    """
    for id_ in sorted(work.world.monitored):
        one = work.targets.get(id_)
        if one is not None and one.progress in STILL_OFFERED:
            work.withdraw(one)
        elif one is not None and _is_to_go(one):
            work.put(replace(one, failed_in=None), Progress.LEFT_ALONE, MONITORED)


def _is_to_go(one: TargetProgress) -> bool:
    if one.progress is Progress.FAILED:
        return not one.blamed and not one.excused
    return one.progress in _NOT_DONE


def follows(what: str) -> str:
    """Why a target is left alone that follows this now."""
    return f"it follows {what} now"


def wait_for_other_agents(work: Work) -> None:
    """Have targets wait whose assignment went with an agent that was revoked: it says no more how that ended.

    Whoever is there in its place is offered it anew. It may have begun, so the release may be what runs.
    """
    for id_, generation in work.world.cut_off.items():
        one = work.targets.get(id_)
        if one is None or not one.in_flight or one.generation != generation:
            continue
        attempts = max(0, one.attempts - 1) if one.back else one.attempts  # nobody knows that it cannot be put back
        touched = one.touched or not one.back
        work.put(replace(one, attempts=attempts), Progress.WAITING, "its agent was revoked", touched=touched)
