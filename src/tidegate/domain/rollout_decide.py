"""What a rollout does next: `decide(rollout, world)` gives the rollout as it is then, and what is to be done about it.

It is asked whenever something was taken in, and at the time that it asked to be woken at. Asked again with the same
world it changes nothing and does nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tidegate.domain.rollout import ENDED, Kind, Progress, Rollout, State, TargetProgress
from tidegate.domain.rollout_effects import Decision, Effect, Notice, Notify, Offer, Quarantine, Withdraw
from tidegate.domain.rollout_policy import BusyThen, OnFailure
from tidegate.domain.windows import Gate

_OPEN = Gate(open=True, reason="")
_TRIES_BACK = 2
_DONE = {Progress.HEALTHY, Progress.FAILED, Progress.SKIPPED, Progress.OFFLINE}


@dataclass(frozen=True, slots=True)
class World:
    """What is so outside of the rollout. Mappings and sets go by targets' ids.

    `gates` are windows and freezes, open where none is named; `taken` are targets with an assignment of another
    rollout; `generations` the latest of each target. `quarantined` is about the release. `latest`: no later rollout
    of the channel has begun, so that targets that come back are this one's. `superseded_by` is that later rollout.
    """

    now: datetime
    online: frozenset[str] = frozenset()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    generations: Mapping[str, int] = field(default_factory=dict)
    quarantined: bool = False
    superseded_by: str = ""


def decide(rollout: Rollout, world: World) -> Decision:
    """The next state, what is to be done, and when to ask again if nothing happens before."""
    work = _Work(rollout, world)
    while work.step():
        pass
    return Decision(work.rollout, tuple(work.effects), work.wake_at())


class _Work:
    """One rollout on its way to where nothing more can be said of it now."""

    def __init__(self, rollout: Rollout, world: World) -> None:
        self.rollout = rollout
        self.world = world
        self.effects: list[Effect] = []

    def step(self) -> bool:
        """Go on by one step; False where there was nothing to do."""
        before = self.rollout, len(self.effects)
        if self.rollout.state not in ENDED and not self._ends_early():
            match self.rollout.state:
                case State.AWAITING_APPROVAL:
                    self._await_approval()
                case State.SCHEDULED:
                    self._begin()
                case State.RUNNING | State.PAUSED:
                    self._run()
                case State.ROLLING_BACK:
                    self._roll_back()
        elif self.rollout.state in ENDED:
            self._after_the_end()
        return before != (self.rollout, len(self.effects))

    # the whole rollout

    def _change(self, state: State, reason: str, notice: Notice | None = None) -> None:
        self.rollout = replace(self.rollout, state=state, reason=reason)
        if notice is not None:
            self.effects.append(Notify(notice, reason))

    def _ends_early(self) -> bool:
        it, now = self.rollout, self.world.now
        if it.state is State.ROLLING_BACK:
            return False
        begun = any(one.touched or one.in_flight for one in it.targets.values())
        if self.world.superseded_by:
            self._change(State.SUPERSEDED, f"rollout {self.world.superseded_by} is newer")
        elif self.world.quarantined and it.kind is Kind.UPDATE and begun:
            self._go_back("its release is in quarantine")
        elif self.world.quarantined:
            self._change(State.CANCELLED, "its release is in quarantine")
        elif now >= it.created_at + it.policy.expires:
            self._change(State.CANCELLED, f"it was not over within {it.policy.expires}", Notice.EXPIRED)
        else:
            return False
        return True

    def _await_approval(self) -> None:
        it = self.rollout
        if len(it.approvals) >= it.policy.approvals:
            self._change(State.SCHEDULED, f"approved by {', '.join(one.by for one in it.approvals)}")
        elif self.world.now >= it.created_at + it.policy.approval_expires:
            self._change(State.CANCELLED, f"not approved within {it.policy.approval_expires}", Notice.EXPIRED)

    def _begin(self) -> None:
        """It runs once its first wave's time has come, also where nobody of it is there: that is then told."""
        if self.rollout.not_before is not None and self.world.now < self.rollout.not_before:
            return
        if any(self._gate(one).open for one in self.rollout.members()):
            self._change(State.RUNNING, "", Notice.STARTED)

    def _run(self) -> None:
        self._time_out()
        if self._stops():
            return
        if self.rollout.state is not State.RUNNING:
            return
        self._welcome_back()
        if not self._passes():
            self._offer_more()

    def _welcome_back(self) -> None:
        """Who was offline and has returned takes part again."""
        for one in list(self.rollout.targets.values()):
            if one.progress is Progress.OFFLINE and one.wave <= self.rollout.wave and one.id in self.world.online:
                self._put(replace(one, wave=self.rollout.wave, excused=False), Progress.WAITING, "")

    # failures

    def _time_out(self) -> None:
        """Targets that had to be somewhere else by now."""
        for one in list(self.rollout.targets.values()):
            if one.deadline is None or self.world.now < one.deadline:
                continue
            if one.progress is Progress.BUSY:
                self._busy_for_too_long(one)
            elif one.id not in self.world.online:
                self._put(one, Progress.OFFLINE, f"offline since {one.progress}", touched=one.touched or _maybe(one))
            elif one.progress is Progress.WAITING:
                self._put(one, Progress.WAITING, one.reason)
            else:
                self._overdue(one)

    def _overdue(self, one: TargetProgress) -> None:
        why = f"no result within {self.rollout.policy.progress_deadline}"
        if one.back:
            self._put(one, Progress.NOT_PUT_BACK, why, touched=True)
        else:
            failed = replace(one, failed_in=self.rollout.wave, blamed=False)
            self._put(failed, Progress.FAILED, why, touched=_maybe(one))

    def _busy_for_too_long(self, one: TargetProgress) -> None:
        why = f"busy for longer than {self.rollout.policy.busy_wait}"
        match self.rollout.policy.busy_then:
            case BusyThen.FORCE if not one.forced and self.rollout.state is State.RUNNING:
                self._offer(replace(one, forced=True), self.rollout.digest, back=False)
            case BusyThen.FAIL:
                self._withdraw(one)
                failed = replace(one, failed_in=self.rollout.wave)
                self._put(failed, Progress.FAILED, why)
            case _:
                self._withdraw(one)
                self._put(one, Progress.SKIPPED, why)

    def _stops(self) -> bool:
        """Whether what has failed, or could not be told, ends the wave; a pause by a person holds either way."""
        it = self.rollout
        failures = [one for one in it.targets.values() if one.progress is Progress.FAILED and one.failed_in == it.wave]
        if failures and len(failures) >= it.policy.failure_threshold.of(len(it.members())):
            return self._too_many(failures)
        unclear = [one for one in it.targets.values() if one.progress is Progress.INCONCLUSIVE]
        if unclear and it.state is State.RUNNING:
            self._change(State.PAUSED, f"{unclear[0].id}: {unclear[0].reason or 'inconclusive'}", Notice.PAUSED)
            return True
        return False

    def _too_many(self, failures: list[TargetProgress]) -> bool:
        why = f"{failures[0].id}: {failures[0].reason}" + (f" (and {len(failures) - 1} more)" if failures[1:] else "")
        blamed = any(one.blamed for one in failures)
        on_failure = self.rollout.policy.on_failure
        if on_failure is OnFailure.CONTINUE:
            return False
        if on_failure is OnFailure.PAUSE or self.rollout.kind is Kind.ROLLBACK:
            if self.rollout.state is State.PAUSED:
                return False
            self._change(State.PAUSED, why, Notice.PAUSED)
            return True
        if blamed and not self.world.quarantined:
            self.effects.append(Quarantine(self.rollout.digest, why))
        self._go_back(why)
        return True

    def _go_back(self, why: str) -> None:
        self.rollout = replace(self.rollout, back_since=self.world.now)
        self._change(State.ROLLING_BACK, why, Notice.ROLLING_BACK)

    # the open wave

    def _passes(self) -> bool:
        """Whether the open wave is done with, and the next one, or the end, has come."""
        it, now = self.rollout, self.world.now
        members = it.members()
        if not all(self._is_done(one) for one in members):
            return False
        if it.passed_at is None:
            if not self._succeeded(members):
                self._change(State.PAUSED, f"too few of wave {it.wave + 1} could be updated", Notice.PAUSED)
                return True
            self.rollout = replace(it, passed_at=now)
        elif now < it.passed_at + it.policy.soak:
            return False
        elif it.wave + 1 < it.waves:
            self.rollout = replace(it, wave=it.wave + 1, passed_at=None)
            self.effects.append(Notify(Notice.WAVE, f"wave {it.wave + 2} of {it.waves} is open"))
        else:
            self._change(State.COMPLETED, "", Notice.COMPLETED)
        return True

    def _is_done(self, one: TargetProgress) -> bool:
        if one.progress is Progress.HEALTHY:
            return one.since is not None and self.world.now >= one.since + self.rollout.policy.healthy_for
        return one.progress in _DONE

    def _succeeded(self, members: list[TargetProgress]) -> bool:
        policy = self.rollout.policy
        counted = [one for one in members if one.progress is Progress.HEALTHY or one.failed_in is not None]
        healthy = sum(one.progress is Progress.HEALTHY for one in counted)
        if policy.on_failure is OnFailure.CONTINUE:
            return True
        if not counted:  # nobody has proved anything, unless a person has said to go on
            return all(one.excused for one in members)
        return healthy * 100 >= policy.success_percent * len(counted)

    def _offer_more(self) -> None:
        """Offer the release to as many of the open wave as may be under way together."""
        members = self.rollout.members()
        parallel = self.rollout.policy.parallel
        free = (parallel.of(len(members)) if parallel else len(members)) - self._in_flight()
        for one in members:
            if one.progress is not Progress.WAITING:
                continue
            if free > 0 and self._may_be_offered(one):
                self._offer(one, self.rollout.digest, back=False)
                free -= 1
            elif one.deadline is None and one.id not in self.world.online and self._gate(one).open:
                deadline = self.world.now + self.rollout.policy.progress_deadline
                self._set(replace(one, deadline=deadline))

    def _in_flight(self) -> int:
        return sum(one.in_flight for one in self.rollout.targets.values())

    def _gate(self, one: TargetProgress) -> Gate:
        return self.world.gates.get(one.id, _OPEN)

    def _may_be_offered(self, one: TargetProgress) -> bool:
        return one.id in self.world.online and one.id not in self.world.taken and self._gate(one).open

    # the way back

    def _roll_back(self) -> None:
        """Everything that runs, or may run, the release gets what ran before; windows do not count for that."""
        self._time_out()
        policy, now = self.rollout.policy, self.world.now
        late = self.rollout.back_since is not None and now >= self.rollout.back_since + policy.progress_deadline
        for one in list(self.rollout.targets.values()):
            if one.in_flight:
                if not one.back and one.progress is not Progress.UPDATING and not one.withdrawn:
                    self._withdraw(one)
            elif one.touched:
                self._put_back(one, late=late)
        if not any(self._is_still_to_go_back(one) for one in self.rollout.targets.values()):
            self._went_back()

    def _put_back(self, one: TargetProgress, *, late: bool) -> None:
        if one.attempts >= _TRIES_BACK or not one.before:
            why = one.reason if one.before else "what ran before is not known"
            self._put(replace(one, attempts=_TRIES_BACK), Progress.NOT_PUT_BACK, why)
        elif one.id in self.world.online and one.id not in self.world.taken:
            self._offer(replace(one, attempts=one.attempts + 1), one.before, back=True)
        elif late and one.progress is not Progress.OFFLINE:
            self._put(one, Progress.OFFLINE, "offline; it is put back when it returns")

    def _is_still_to_go_back(self, one: TargetProgress) -> bool:
        if one.in_flight:
            return True
        if not one.touched or one.progress is Progress.OFFLINE:
            return False
        return one.progress is not Progress.NOT_PUT_BACK or one.attempts < _TRIES_BACK

    def _went_back(self) -> None:
        left = [one for one in self.rollout.targets.values() if one.progress is Progress.NOT_PUT_BACK]
        if left:
            why = f"{left[0].id} was not put back: {left[0].reason}"
            self._change(State.FAILED, why, Notice.FAILED)
        else:
            self._change(State.ROLLED_BACK, self.rollout.reason, Notice.ROLLED_BACK)

    # afterwards

    def _after_the_end(self) -> None:
        """What was offline when it ended catches up when it returns, one after another."""
        if self.world.superseded_by:
            return
        self._time_out()
        forward = self.rollout.state is State.COMPLETED and not self.world.quarantined
        back = self.rollout.state is State.ROLLED_BACK
        for one in self.rollout.targets.values():
            if self._in_flight() or one.progress is not Progress.OFFLINE:
                continue
            if forward and self._may_be_offered(one):
                self._offer(one, self.rollout.digest, back=False)
            elif back and one.touched and one.before and one.id in self.world.online - self.world.taken:
                self._offer(one, one.before, back=True)

    # one target

    def _set(self, one: TargetProgress) -> None:
        self.rollout = replace(self.rollout, targets={**self.rollout.targets, one.id: one})

    def _put(self, one: TargetProgress, progress: Progress, reason: str, *, touched: bool | None = None) -> None:
        touched = one.touched if touched is None else touched
        moved = replace(one, progress=progress, since=self.world.now, deadline=None, reason=reason, touched=touched)
        self._set(moved)

    def _offer(self, one: TargetProgress, digest: str, *, back: bool) -> None:
        now, policy = self.world.now, self.rollout.policy
        generation = max(one.generation, self.world.generations.get(one.id, 0)) + 1
        deadline = now + policy.progress_deadline
        offered = replace(
            one,
            progress=Progress.OFFERED,
            generation=generation,
            back=back,
            withdrawn=False,
            since=now,
            deadline=deadline,
            reason="",
        )
        self._set(offered)
        self.effects.append(Offer(one.id, digest, generation, deadline, back=back, forced=one.forced))

    def _withdraw(self, one: TargetProgress) -> None:
        self._set(replace(one, withdrawn=True))
        self.effects.append(Withdraw(one.id, one.generation))

    # when to ask again

    def wake_at(self) -> datetime | None:
        """The next time at which the answer may be another one though nothing has happened."""
        times = [at for at in self._times() if at > self.world.now]
        return min(times, default=None)

    def _times(self) -> list[datetime]:
        it, policy = self.rollout, self.rollout.policy
        times = [one.deadline for one in it.targets.values() if one.deadline is not None]
        if it.state in ENDED:
            return times
        times += [it.created_at + policy.expires]
        times += [it.created_at + policy.approval_expires] if it.state is State.AWAITING_APPROVAL else []
        healthy = [one.since for one in it.members() if one.progress is Progress.HEALTHY]
        times += [since + policy.healthy_for for since in healthy if since is not None]
        times += [gate.next_open for gate in self.world.gates.values() if gate.next_open is not None]
        times += [at for at in (it.not_before,) if at is not None]
        times += [it.passed_at + policy.soak] if it.passed_at is not None else []
        times += [it.back_since + policy.progress_deadline] if it.back_since is not None else []
        return times


def _maybe(one: TargetProgress) -> bool:
    """Whether the release may run there though nothing was heard of it: the agent had begun."""
    return one.progress is Progress.UPDATING and not one.back
