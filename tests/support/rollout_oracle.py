"""What a rollout may do, worked out without it: from what was sent to agents and heard from them, and its policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from tidegate.domain.rollout import Planned
from tidegate.domain.rollout_apply import Outcome
from tidegate.domain.rollout_effects import Offer
from tidegate.domain.rollout_policy import RolloutPolicy, Share, WaveRule

UNDER_WAY = {"offered", "busy", "updating"}
FINAL = set(Outcome) - {Outcome.BEGUN, Outcome.BUSY, Outcome.WITHDRAWN}


def at_most(share: Share | None, total: int) -> int:
    """How many of `total` a share is: a part counts as a whole, and it is never none, nor more than there are."""
    if share is None:
        return total
    wanted = ceil(Fraction(total * share.number, 100)) if share.percent else share.number
    return min(max(wanted, 1), total)


def waves(planned: Sequence[Planned], rules: Sequence[WaveRule]) -> list[set[str]]:
    """Who is in which wave: each rule takes its share of all, in their order, of those that have its labels."""
    left, found = list(planned), list[set[str]]()
    for rule in rules:
        fitting = [one.id for one in left if all(one.labels.get(key) == value for key, value in rule.labels.items())]
        count = len(fitting) if rule.share is None else at_most(rule.share, len(planned))
        found.append(set(fitting[:count]))
        left = [one for one in left if one.id not in found[-1]]
    return [wave for wave in [*found, {one.id for one in left}] if wave]


@dataclass(slots=True)
class Assignment:
    """What an agent was assigned and has not finished. `given_up_at`: from when on nobody need wait for it."""

    offer: Offer
    heard_at: datetime
    given_up_at: datetime
    must_be_over_at: datetime
    begun: bool = False
    busy: bool = False
    withdrawn: bool = False

    def waits(self, now: datetime, at_most: timedelta, since: datetime, *, again: bool) -> None:
        """Its agent has said that it is not done; what was given up before that stays given up."""
        self.heard_at, self.must_be_over_at = now, max(self.must_be_over_at, now + at_most)
        if now < self.given_up_at and not again:
            self.given_up_at = since + at_most

    def may_begin(self, now: datetime) -> bool:
        """Whether its agent may begin it, now or when it can be reached again."""
        return not self.begun and not self.withdrawn and now < self.offer.expires_at


class Agents:
    """Every agent's open assignment, by target; an agent carries out no more than the latest that it was sent.

    `cut_off` are targets whose agent was revoked, and that were sent nothing since. `updated` are those that run what
    they were brought, and were not put back; `tries` is how often each was sent a way back.
    """

    def __init__(self, policy: RolloutPolicy) -> None:
        self.policy = policy
        self.cut_off: set[str] = set()
        self.open: dict[str, Assignment] = {}
        self.running: dict[str, str] = {}
        self.healthy_at: dict[str, datetime] = {}
        self.updated: set[str] = set()
        self.tries: Counter[str] = Counter()
        self._busy_since: dict[str, datetime] = {}

    def sent(self, offer: Offer, now: datetime) -> None:
        """A new assignment takes the place of the one before."""
        deadline = now + self.policy.progress_deadline
        self.cut_off.discard(offer.target)
        self.open[offer.target] = Assignment(offer, now, deadline, deadline)
        self.tries[offer.target] += offer.back

    def replaced(self, target: str) -> None:
        """Another rollout has sent a later assignment."""
        self.open.pop(target, None)

    def withdrawn(self, target: str) -> None:
        """An assignment was taken back; what had begun goes on, and its agent has to say what has become of it."""
        if target in self.open:
            self.open[target].withdrawn = True

    def revoked(self, target: str, *, done: bool) -> None:
        """Nobody goes on with its assignment, nor tells of it. `done`: what had begun was over, and now runs there."""
        one = self.open.pop(target, None)
        self.cut_off.add(target)
        if done and one is not None and one.begun:
            self._runs(one.offer)

    def said(self, target: str, outcome: Outcome, now: datetime) -> None:
        """An agent's word on its open assignment."""
        one = self.open.get(target)
        if one is None:
            self.updated -= {target} if outcome is Outcome.FAILED else set()  # it has put itself back
            return
        if outcome is Outcome.BEGUN:
            one.waits(now, self.policy.progress_deadline, now, again=one.begun)
            one.begun = True
        elif outcome is Outcome.BUSY:
            first = self._busy_since.setdefault(target, now)
            one.waits(now, self.policy.busy_wait, first, again=one.begun or one.busy)
            one.busy = True
        elif outcome in FINAL or (outcome is Outcome.WITHDRAWN and one.withdrawn):
            del self.open[target]
        if outcome is Outcome.HEALTHY:
            self._runs(one.offer)
            self.healthy_at[target] = now

    def moved(self, target: str, digest: str) -> None:
        """Another rollout has moved it."""
        self.running[target] = digest
        self.updated.discard(target)

    def _runs(self, offer: Offer) -> None:
        self.running[offer.target] = offer.digest
        if offer.back:
            self.updated.discard(offer.target)
        else:
            self.updated.add(offer.target)

    def under_way(self, now: datetime) -> dict[str, Assignment]:
        """What has to be waited for still."""
        return {target: one for target, one in self.open.items() if now < one.given_up_at}

    def too_late(self, now: datetime, heard_from: datetime) -> set[str]:
        """Of whom something had to be heard by now; who could not tell has three minutes to."""
        late = set()
        for target, one in self.open.items():
            told = heard_from + timedelta(minutes=3) if one.heard_at < heard_from else one.must_be_over_at
            if now >= max(one.must_be_over_at, told):
                late.add(target)
        return late
