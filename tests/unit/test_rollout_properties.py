"""What holds for every rollout, whatever people, agents, hosts and clocks do."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tidegate.domain.rollout import ENDED, STILL_OFFERED, Kind, Planned, Progress, Rollout, State, plan_rollout
from tidegate.domain.rollout_apply import Outcome, Report, Verb, VerbRefusedError, act, approve, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Offer, Quarantine, Withdraw
from tidegate.domain.rollout_policy import BusyThen, OnFailure, RolloutPolicy, Share, WaveRule
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate

T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEW, OLD = "sha256:new", "sha256:old"
SHARES = st.builds(Share, st.integers(1, 5)) | st.builds(Share, st.integers(1, 100), percent=st.just(True))
POLICIES = st.builds(
    RolloutPolicy,
    waves=st.lists(st.builds(WaveRule, SHARES), max_size=3).map(tuple),
    parallel=st.none() | SHARES,
    success_percent=st.integers(1, 100),
    failure_threshold=SHARES,
    on_failure=st.sampled_from(OnFailure),
    busy_then=st.sampled_from(BusyThen),
    approvals=st.integers(0, 2),
)
NAMES = st.sampled_from("abcdef")
TIMES = st.sampled_from([0, 10, 60, 300, 600, 3600, 86400]).map(lambda s: timedelta(seconds=s))


class Rollouts(RuleBasedStateMachine):
    """One rollout among hosts that come and go, windows that open and close, and agents that say what they like."""

    rollout: Rollout

    @initialize(
        policy=POLICIES,
        count=st.integers(1, 6),
        kind=st.sampled_from(Kind),
        known=st.booleans(),
        habit=st.none() | st.sampled_from(Outcome),
    )
    def plan(self, policy: RolloutPolicy, count: int, kind: Kind, *, known: bool, habit: Outcome | None) -> None:
        """`known`: what runs on each target is known, so that it can go back. `habit`: what agents say in the end."""
        self.habit = habit
        planned = [Planned(name, running=OLD if known else "") for name in "abcdef"[:count]]
        self.now = T0
        self.online, self.closed, self.taken = set("abc"), set[str](), set[str]()
        self.quarantine, self.later = set[str](), ""
        self.heard_from = T0
        self.rollout = plan_rollout("7", "app", NEW, planned, policy, requested_by="ann", now=T0, kind=kind)

    def world(self) -> World:
        gates = {name: Gate(open=False, reason="closed") for name in self.closed}
        return World(
            now=self.now,
            online=frozenset(self.online),
            gates=gates,
            taken=frozenset(self.taken),
            quarantine=frozenset(self.quarantine),
            superseded_by=self.later,
            heard_from=self.heard_from,
        )

    @rule(later=TIMES)
    def decides(self, later: timedelta) -> None:
        """Time passes, and everything that is wanted must be allowed."""
        self.now += later
        before, world = self.rollout, self.world()
        decision = decide(before, world)
        self.rollout = decision.rollout
        for effect in decision.effects:
            match effect:
                case Offer():
                    self.may_be_offered(before, effect, world)
                case Withdraw():
                    assert before.targets[effect.target].in_flight
                case Quarantine():
                    assert self.rollout.kind is Kind.UPDATE
                    self.quarantine.add(NEW)
                case _:
                    pass
        self.nothing_is_begun_that_may_not_be(before)
        assert decision.wake_at is None or decision.wake_at > self.now
        again = decide(self.rollout, self.world())
        assert (again.rollout, again.effects) == (self.rollout, ()), "asked again it says something else"

    def may_be_offered(self, before: Rollout, offer: Offer, world: World) -> None:
        target = before.targets[offer.target]
        assert offer.generation > target.generation
        assert offer.target in world.online, "offered to a host that is not there"
        assert offer.target not in world.taken, "two rollouts at one target"
        overdue = target.deadline is not None and world.now >= world.due(target.deadline, target.since)
        assert not target.in_flight or overdue, "two transactions at one target"
        assert before.kind is Kind.ROLLBACK or len(before.approvals) >= before.policy.approvals, "not approved"
        assert offer.digest not in world.quarantine, "in quarantine"
        if offer.back:
            assert before.kind is Kind.UPDATE, "a rollback was rolled back"
            assert offer.digest == OLD
        else:
            assert offer.digest == NEW
            assert offer.target not in self.closed, "outside of its window"
            assert target.wave <= self.rollout.wave, "its wave is not open"

    def nothing_is_begun_that_may_not_be(self, before: Rollout) -> None:
        """What an agent has not begun is withdrawn in a pause, outside of its window, and where it cannot be heard."""
        state = self.rollout.state
        for one in self.rollout.targets.values():
            closed = state in {State.RUNNING, State.COMPLETED} and one.id in self.closed and not self.later
            if one.progress in STILL_OFFERED and (closed or state in {State.PAUSED, State.CANCELLED}):
                assert one.withdrawn, "it may begin all the same"
            if one.progress is Progress.OFFLINE and before.targets[one.id].progress is Progress.OFFERED:
                assert one.withdrawn, "it begins when it returns"

    @invariant()
    def no_more_are_under_way_than_the_wave_allows(self) -> None:
        if not hasattr(self, "rollout") or self.rollout.state is not State.RUNNING:
            return
        members = [one for one in self.rollout.targets.values() if one.wave == self.rollout.wave]
        parallel = self.rollout.policy.parallel
        most = parallel.of(len(members)) if parallel else len(members)
        assert sum(one.in_flight for one in self.rollout.targets.values()) <= most

    @rule(name=NAMES, outcome=st.sampled_from(Outcome), blame=st.booleans(), late=st.booleans())
    def an_agent_says(self, name: str, outcome: Outcome, *, blame: bool, late: bool) -> None:
        target = self.rollout.targets.get(name)
        if target is not None and name in self.online:
            said = Report(name, target.generation - late, outcome, "", blame)
            once = report(self.rollout, said, self.now)
            assert report(once, said, self.now) == once, "taken in twice"
            self.rollout = once

    @rule(verb=st.sampled_from(Verb))
    def a_person_does(self, verb: Verb) -> None:
        with contextlib.suppress(VerbRefusedError):
            self.rollout = act(self.rollout, verb, "bob", self.now)

    @rule(by=st.sampled_from(["ann", "bob", "cem"]))
    def a_person_approves(self, by: str) -> None:
        try:
            self.rollout = approve(self.rollout, by, self.now)
        except VerbRefusedError:
            return
        assert by != self.rollout.requested_by

    @rule(away=TIMES)
    def the_manager_was_away(self, away: timedelta) -> None:
        """Nobody is called overdue who had nobody to tell."""
        self.now += away
        self.heard_from = self.now
        before = {name for name, one in self.rollout.targets.items() if one.in_flight}
        self.decides(timedelta())
        overdue = [self.rollout.targets[name].reason for name in before]
        assert not [why for why in overdue if why.startswith("no result")], "it could not tell"

    @rule(name=NAMES)
    def a_host_comes_or_goes(self, name: str) -> None:
        self.online ^= {name}

    @rule(name=NAMES)
    def a_window_opens_or_closes(self, name: str) -> None:
        self.closed ^= {name}

    @rule(name=NAMES)
    @precondition(lambda self: self.rollout.state in {State.AWAITING_APPROVAL, State.SCHEDULED, State.RUNNING})
    def another_rollout_takes_or_leaves(self, name: str) -> None:
        if not self.rollout.targets.get(name) or not self.rollout.targets[name].in_flight:
            self.taken ^= {name}

    @rule(digest=st.sampled_from([NEW, OLD]))
    def somebody_quarantines_it(self, digest: str) -> None:
        self.quarantine.add(digest)

    def teardown(self) -> None:
        """Whatever was done before: it ends, without anybody's help, as long as time passes."""
        if not hasattr(self, "rollout"):
            return
        self.taken = set()
        for _ in range(200):
            decision = decide(self.rollout, self.world())
            self.rollout = decision.rollout
            self.quarantine |= {effect.digest for effect in decision.effects if isinstance(effect, Quarantine)}
            if self.rollout.state in ENDED:
                return
            for offer in decision.effects if self.habit else ():
                if isinstance(offer, Offer):
                    said = Report(offer.target, offer.generation, self.habit or Outcome.BEGUN)
                    self.rollout = report(self.rollout, said, self.now)
            assert decision.wake_at is not None, f"it sleeps for ever, {self.rollout.state}"
            self.now = decision.wake_at
        raise AssertionError(f"it does not end: {self.rollout.state}, {self.rollout.reason}")


Rollouts.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestRollouts = Rollouts.TestCase
