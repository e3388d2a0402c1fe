"""Going back by hand: to what each target goes, and what becomes of rollouts that would bring it forward again."""

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from tidegate.domain.rollout import MISSED, Progress, Rollout, TargetProgress
from tidegate.domain.rollout_apply import Verb


@dataclass(frozen=True, slots=True)
class Move:
    """A target came to run a digest; or, where it names what was `left`, was to go there from that by a rollback."""

    to: str
    left: str = ""


def not_left(order: Sequence[str], moves: Iterable[Move]) -> set[str]:
    """Of what a target came to run, what it may go back to: it was not taken back from it, or got it once more.

    `moves` are told the oldest first; `order` is as in `ran_before`. To come to run an earlier release leaves all that
    are newer; a rollback leaves what it goes away from, and what lies between, also where the target was not there to
    go. One to a newer release, or to what is not known, leaves nothing.
    """
    age = {digest: number for number, digest in enumerate(order)}
    kept = set[str]()
    for move in moves:
        to = age.get(move.to, 0)
        if not move.left:
            kept = {one for one in kept if age.get(one, 0) > to} | {move.to}
        elif move.to:
            kept = {one for one in kept if not age.get(move.left, 0) <= age.get(one, 0) < to}
    return kept


def ran_before(order: Sequence[str], ran: AbstractSet[str], running: str, held: AbstractSet[str]) -> str:
    """The newest that ran on a target before what runs now and is not in quarantine; empty where there is none.

    `order` has the digests of its channel by when each ran first, the newest first. When one ran last does not count:
    what a target was put back from would be the next that it goes "back" to. For the same reason `ran` is to be without
    what it has left.
    """
    older = order[order.index(running) + 1 :] if running in order else order
    return next((digest for digest in older if digest in ran and digest not in held), "")


def newest(order: Sequence[str], running: Collection[str]) -> str:
    """Of what runs on targets, the release that is left: who runs an earlier one stays where it is."""
    unknown = (digest for digest in running if digest and digest not in order)
    return next(unknown, "") or next((digest for digest in order if digest in running), "")


def stops(it: Rollout, to: str | None) -> Verb | None:
    """How an update of a whole channel stops when the channel goes back to `to`; None: to what ran before.

    It is turned round where that brings its targets there. One that has offered nothing yet is aborted: to turn it
    round would move nothing. So is one that came from another release than `to`; None: it brings `to` itself.
    """
    if it.digest == to:
        return None
    if not any(one.generation for one in it.targets.values()):
        return Verb.ABORT
    return Verb.ROLL_BACK if to is None or all(one.before == to for one in reached(it)) else Verb.ABORT


def reached(it: Rollout) -> list[TargetProgress]:
    """The targets that its release runs on, or may run on soon."""
    return [one for one in it.targets.values() if one.touched or one.in_flight]


def without(it: Rollout, names: Collection[str], why: str) -> Rollout:
    """The rollout, which leaves these targets alone from now on; once it has ended, those that would catch up."""
    out = {name: _left(it.targets[name], why) for name in names if _is_to_come(it, it.targets[name])}
    return replace(it, targets={**it.targets, **out}) if out else it


def _is_to_come(it: Rollout, one: TargetProgress) -> bool:
    return one.progress in MISSED if it.ended else one.progress is not Progress.LEFT_ALONE


def _left(one: TargetProgress, why: str) -> TargetProgress:
    left = replace(one, progress=Progress.LEFT_ALONE, reason=why, deadline=None, touched=False)
    return replace(left, failed_in=None, blamed=False, excused=False)
