"""One rollout on its way to its next state: its targets as they are moved, and what is to be done about them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.domain.durations import duration_text
from tidegate.domain.rollout import ENDED, MISSED, STILL_OFFERED, Progress, Rollout, State, TargetProgress
from tidegate.domain.rollout_effects import Effect, Notice, Notify, Offer, Quarantine, Withdraw
from tidegate.domain.rollout_policy import BusyThen
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate

_OPEN = Gate(open=True, reason="")
_LOOK_AGAIN = timedelta(minutes=1)
_SHORTEST_REST = timedelta(hours=1)
"""So long at least who was busy when it was to catch up is left in peace, however short `busy_wait` is."""


class Work:
    """A rollout, the world around it, and the effects so far. Targets are changed in place, and frozen at the end."""

    def __init__(self, rollout: Rollout, world: World) -> None:
        self.rollout = rollout
        self.world = world
        self.targets = dict(rollout.targets)
        self.effects: list[Effect] = []
        self.moves = 0
        """How often anything was changed."""

    def frozen(self) -> Rollout:
        """The rollout as it is now."""
        same = self.targets == self.rollout.targets
        return self.rollout if same else replace(self.rollout, targets=dict(self.targets))

    def change(self, state: State, reason: str, notice: Notice | None = None) -> None:
        """Move the whole rollout."""
        self.set_rollout(replace(self.rollout, state=state, reason=reason))
        if notice is not None:
            self.do(Notify(notice, reason))

    def set_rollout(self, rollout: Rollout) -> None:
        """Put another rollout in the place of this one; its targets are not looked at."""
        self.rollout = rollout
        self.moves += 1

    def do(self, effect: Effect) -> None:
        """Have something done."""
        self.effects.append(effect)
        self.moves += 1

    @property
    def is_quarantined(self) -> bool:
        """Whether its release is in quarantine, or is being put there."""
        digest = self.rollout.digest
        return digest in self.world.quarantine or any(
            isinstance(one, Quarantine) and one.digest == digest for one in self.effects
        )

    # targets

    def members(self) -> list[TargetProgress]:
        """The targets of the open wave."""
        return [one for one in self.targets.values() if one.wave == self.rollout.wave]

    def in_flight(self) -> int:
        """How many assignments are under way, or may be."""
        return sum(one.in_flight for one in self.targets.values())

    def gate(self, one: TargetProgress) -> Gate:
        """Its windows and freezes."""
        return self.world.gates.get(one.id, _OPEN)

    def is_there(self, one: TargetProgress) -> bool:
        """Whether it can be offered something: its host is there, and no other rollout is at it."""
        return one.id in self.world.online and one.id not in self.world.taken

    def set(self, one: TargetProgress) -> None:
        """Put a target in the place of what it was."""
        self.targets[one.id] = one
        self.moves += 1

    def put(self, one: TargetProgress, progress: Progress, reason: str, *, touched: bool | None = None) -> None:
        """Move a target, now."""
        touched = one.touched if touched is None else touched
        self.set(replace(one, progress=progress, since=self.world.now, deadline=None, reason=reason, touched=touched))

    def offer(self, one: TargetProgress, digest: str, *, back: bool) -> None:
        """Assign a digest. What a target says while it is busy has to be heard, so that it holds for that time too.

        Where it was busy before, only the time in which it was asked counts. It holds for no longer than its window.
        """
        now, policy = self.world.now, self.rollout.policy
        generation = max(one.generation, self.world.generations.get(one.id, 0)) + 1
        deadline = now + policy.progress_deadline
        running = self.world.running.get(one.id, "")
        before = one.before if back or not running else running
        asked = one.since - one.busy_since if one.since and one.busy_since else None
        offered = replace(
            one,
            before=before,
            progress=Progress.OFFERED,
            generation=generation,
            back=back,
            withdrawn=False,
            since=now,
            deadline=deadline,
            busy_since=None if asked is None else now - asked,
            excused=False,
            reason="",
        )
        self.set(offered)
        expires_at, closes_at = deadline + policy.busy_wait, self.gate(one).closes_at
        if closes_at is not None and not back:
            expires_at = min(expires_at, closes_at)
        self.do(Offer(one.id, digest, generation, expires_at, back=back, forced=one.forced))

    def withdraw(self, one: TargetProgress) -> TargetProgress:
        """Take its assignment back, once."""
        if one.withdrawn:
            return one
        taken_back = replace(one, withdrawn=True)
        self.set(taken_back)
        self.do(Withdraw(one.id, one.generation))
        return taken_back

    def take_back(self, *, everything: bool) -> None:
        """Withdraw what was offered and has not begun: all of it, or where no update may begin now."""
        for one in list(self.targets.values()):
            if one.progress in STILL_OFFERED and (everything or not self.gate(one).open):
                self.withdraw(one)

    def leave_overtaken(self) -> None:
        """Have no more to do with targets that a later rollout brings a newer release; what has begun goes to its end.

        Who was offline and may run the release is not done with: it may have to go back.
        """
        for id_, by in self.world.overtaken.items():
            one = self.targets.get(id_)
            if one is None:
                continue
            if one.progress in STILL_OFFERED:
                self.withdraw(one)
            elif one.progress is Progress.WAITING or (one.progress is Progress.OFFLINE and not one.touched):
                self.put(replace(one, excused=False), Progress.LEFT_ALONE, f"rollout {by} brings it a newer release")

    # time

    def time_out(self) -> None:
        """Move targets that had to be somewhere else by now."""
        for one in list(self.targets.values()):
            due = self._due(one)
            if due is None or self.world.now < due:
                continue
            if one.progress is Progress.BUSY:
                self._busy_for_too_long(one)
            elif one.id not in self.world.online:
                self._out_of_reach(one)
            elif one.progress is Progress.WAITING:
                self.put(one, Progress.WAITING, one.reason)
            else:
                self._overdue(one)

    def _due(self, one: TargetProgress) -> datetime | None:
        """When a target has to be somewhere else, if ever.

        Its agent does one thing after another, and says nothing of what waits: the time of an offer runs from the end
        of what came before it. Each of those has a time of its own, so that it ends.
        """
        if one.deadline is None:
            return None
        due, until = self.world.due(one.deadline, one.since), self.world.at_work.get(one.id)
        if one.progress is not Progress.OFFERED or until is None:
            return due
        return max(due, until + self.rollout.policy.progress_deadline)

    def _out_of_reach(self, one: TargetProgress) -> None:
        """What it was offered would be begun when it returns, whatever has become of the rollout by then.

        So would what it had begun, where it was cut off in it.
        """
        why, touched = f"offline since it was {one.progress}", one.touched or _may_run(one)
        if one.progress is Progress.OFFERED and one.back:  # it was not tried
            one = replace(one, attempts=max(0, one.attempts - 1))
        if one.progress is Progress.OFFERED or (one.progress is Progress.UPDATING and not one.back):
            one = self.withdraw(one)
        self.put(one, Progress.OFFLINE, why, touched=touched)

    def _overdue(self, one: TargetProgress) -> None:
        why = f"no result within {duration_text(self.rollout.policy.progress_deadline)}"
        if one.progress is Progress.OFFERED:
            one = self.withdraw(one)
        if one.back:
            self.put(one, Progress.NOT_PUT_BACK, why, touched=True)
        else:
            failed = replace(one, failed_in=self.rollout.wave, blamed=False)
            self.put(failed, Progress.FAILED, why, touched=_may_run(one))

    def _busy_for_too_long(self, one: TargetProgress) -> None:
        why = f"busy for longer than {duration_text(self.rollout.policy.busy_wait)}"
        one = self.withdraw(one)
        goes_on = self.rollout.state in {State.RUNNING, State.PAUSED}
        match self.rollout.policy.busy_then:
            case BusyThen.FORCE if not one.forced and goes_on:
                self.put(replace(one, forced=True), Progress.WAITING, why)
            case BusyThen.FAIL:
                self.put(replace(one, failed_in=self.rollout.wave, blamed=False), Progress.FAILED, why)
            case _ if self.rollout.state is State.COMPLETED:
                self._rest(one, why)
            case _:
                self.put(one, Progress.SKIPPED, why)

    def _rest(self, one: TargetProgress, why: str) -> None:
        """Who was to catch up waits to be offered it anew, and may be busy as long as ever then; others go before."""
        self.put(replace(one, busy_since=None), Progress.WAITING, why)
        until = self.world.now + max(self.rollout.policy.busy_wait, _SHORTEST_REST)
        self.set(replace(self.targets[one.id], deadline=until))

    def wake_at(self) -> datetime | None:
        """The next time at which the answer may be another one though nothing has happened."""
        return min((at for at in self._times() if at > self.world.now), default=None)

    def _times(self) -> Iterable[datetime]:
        it, policy = self.rollout, self.rollout.policy
        yield from (due for one in self.targets.values() if (due := self._due(one)) is not None)
        waiting = [one for one in self.targets.values() if one.progress in {Progress.WAITING, Progress.OFFLINE}]
        if it.state is State.SCHEDULED:  # it begins when any of them may be updated, also where none of them is to be
            waiting += self.members()
        yield from (at for one in waiting if (at := self.gate(one).next_open) is not None)
        offered = (self.gate(one) for one in self.targets.values() if one.progress in STILL_OFFERED)
        yield from (gate.closes_at for gate in offered if gate.closes_at is not None)
        if it.state in ENDED:
            if any(self._waits_for_another(one) for one in self.targets.values()):
                yield self.world.now + _LOOK_AGAIN
            return
        yield it.created_at + policy.expires
        if it.waits_for_approval:
            yield it.asked_since + policy.approval_expires
        healthy = (one.since for one in self.members() if one.progress is Progress.HEALTHY)
        yield from (since + policy.healthy_for for since in healthy if since is not None)
        if it.not_before is not None:
            yield it.not_before
        if it.passed_at is not None:
            yield it.passed_at + policy.soak
        if it.back_since is not None:
            yield self.world.due(it.back_since + policy.progress_deadline, it.back_since)

    def _waits_for_another(self, one: TargetProgress) -> bool:
        """Whether it is looked after once the rollout has ended, but for another rollout that is at it."""
        wanted = one.touched if self.rollout.back_since else one.progress in MISSED
        return wanted and not one.in_flight and one.id in self.world.taken


def _may_run(one: TargetProgress) -> bool:
    """Whether the release may run there though nothing was heard of it: its agent may have begun."""
    return one.in_flight and not one.back
