"""What holds for every rollout, whatever people, agents, hosts and clocks do."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.support.rollout_oracle import UNDER_WAY, Agents, at_most, waves

from tidegate.domain.going_back import without
from tidegate.domain.rollout import ENDED, Kind, Planned, Progress, Rollout, State, plan_rollout
from tidegate.domain.rollout_apply import (
    MADE_OF_REFUSALS,
    Outcome,
    Report,
    Verb,
    VerbRefusedError,
    act,
    approve,
    report,
)
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Decision, Notice, Notify, Offer, Quarantine, Withdraw
from tidegate.domain.rollout_policy import BusyThen, OnFailure, RolloutPolicy, Share, WaveRule
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate

T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEW, OLD, OLDER, OTHER = "sha256:new", "sha256:old", "sha256:older", "sha256:other"
ALL = "abcdef"
SHARES = st.builds(Share, st.integers(1, 5)) | st.builds(
    Share, st.sampled_from([1, 10, 20, 25, 34, 50, 99, 100]), percent=st.just(True)
)
EDGE = st.just({"ring": "edge"})
WAVES = st.builds(WaveRule, SHARES) | st.builds(WaveRule, st.none() | SHARES, EDGE)
POLICIES = st.builds(
    RolloutPolicy,
    waves=st.lists(WAVES, max_size=3).map(tuple),
    parallel=st.none() | SHARES,
    success_percent=st.integers(1, 100),
    failure_threshold=SHARES,
    soak=st.sampled_from([timedelta(), timedelta(minutes=5)]),
    healthy_for=st.sampled_from([timedelta(), timedelta(seconds=10)]),
    on_failure=st.sampled_from(OnFailure),
    busy_then=st.sampled_from(BusyThen),
    approvals=st.sampled_from([0, 0, 0, 1, 2]),
)
NOT_BEGUN = {State.AWAITING_APPROVAL, State.SCHEDULED, State.PAUSED}
BACK_TAKES = timedelta(hours=4)
"""The longest that a way back takes: two tries of each target, each busy, begun and not heard of again."""
SELDOM = st.sampled_from([False] * 7 + [True])
"""What ends a rollout, or most of it, so that runs come to what is later in one."""
STAGES = ["planned", "resumed", "running", "soaking", "joined_late", "completed", "catching_up"]
STAGES += ["failing_late", "rolling_back", "going_back_late", "going_further_back", "turned_midway", "stopped"]
NAMES = st.sampled_from(ALL)
OUTCOMES = st.sampled_from([Outcome.HEALTHY, Outcome.FAILED]) | st.sampled_from(Outcome)
GOES_BACK = {State.ROLLING_BACK, State.ROLLED_BACK, State.FAILED}
TIMES = st.sampled_from([0, 10, 60, 300, 600, 3600, 86400]).map(lambda s: timedelta(seconds=s))


class Rollouts(RuleBasedStateMachine):
    """One rollout among hosts that come and go, windows that open and close, and agents that say what they like."""

    rollout: Rollout
    wake_at: datetime | None = None
    sound = False

    @initialize(
        policy=POLICIES,
        count=st.integers(1, 6) | st.just(5),
        kind=st.sampled_from(Kind),
        stage=st.sampled_from(STAGES),
        known=st.sampled_from([True, True, False]),
        edge=st.sets(NAMES),
        elsewhere=st.just(set[str]()) | st.sets(NAMES),
        not_before=st.none() | TIMES.map(lambda later: T0 + later),
        habit=st.none() | st.sampled_from([one for one in Outcome if one not in MADE_OF_REFUSALS]),
    )
    def plan(
        self,
        policy: RolloutPolicy,
        count: int,
        kind: Kind,
        *,
        stage: str,
        known: bool,
        edge: set[str],
        elsewhere: set[str],
        not_before: datetime | None,
        habit: Outcome | None,
    ) -> None:
        """`known`: what runs on each target is known, so that it can go back. `habit`: what agents say in the end.

        That something expired, or is gone, is no habit: its manager believes it only where its time is over, or the
        target not there. `edge`: who is labelled so. `stage`: how far it has come by then, when `elsewhere` come to
        follow something else.
        """
        self.habit = habit
        planned = [
            Planned(name, {"ring": "edge"} if name in edge else {}, running=OLD if known else "")
            for name in ALL[:count]
        ]
        self.now = self.heard_from = T0
        self.agents = Agents(policy)
        self.closed, self.taken = set[str](), set[str]()
        self.closes: datetime | None = None
        self.opens: datetime | None = None
        self.overtaken, self.moved_on, self.left = dict[str, str](), set[str](), set[str]()
        self.quarantine, self.ever_quarantined, self.later = set[str](), set[str](), ""
        self.generations, self.earlier = dict[str, int](), dict[str, str]()
        self.turned_back = set[tuple[str, str]]()
        self.lost, self.failed_by = set[str](), set[str]()
        self.rests_until = dict[str, datetime]()
        self.elsewhere, self.cut_off = dict[str, str](), dict[str, int]()
        self.came_from = dict.fromkeys(ALL, OLD if known else "")
        self.agreed, self.has_begun, self.went_to = set[str](), False, dict[str, str]()
        self.asks, self.forbids = 0, ""
        self.rollout = plan_rollout(
            "7", "app", NEW, planned, policy, requested_by="ann", now=T0, kind=kind, not_before=not_before
        )
        of = {name: one.wave for name, one in self.rollout.targets.items()}
        expected = enumerate(waves(planned, policy.waves))
        assert of == {name: number for number, wave in expected for name in wave}, "not the waves of its policy"
        self.sound = True
        self.online = set(ALL) - set(self.members()[-1:]) if stage == "joined_late" else set("abc")
        if stage == "going_further_back":
            self.it_is_known_what_ran_before_that(set(ALL))
            self.is_quarantined(OLD)
        self.has_come_to(stage)
        if stage == "failing_late":
            self.everybody_says(Outcome.FAILED, blame=True, later=timedelta())
        self.elsewhere = dict.fromkeys(elsewhere, "r/app:2")

    def has_come_to(self, stage: str) -> None:
        """Runs begin late in a rollout, too: else few come to its end, and to what is after that."""
        if stage == "planned":
            return
        if stage == "resumed":
            self.a_person_does(Verb.PAUSE)
            self.a_person_does(Verb.RESUME)
            self.decides(timedelta(days=1))
            return
        for by in ["bob", "cem"][: self.rollout.policy.approvals]:
            self.a_person_approves(by)
        self.decides(timedelta(days=1))
        self.from_its_first_wave_it_has_come_to(stage)

    def from_its_first_wave_it_has_come_to(self, stage: str) -> None:
        match stage:
            case "soaking":
                self.everybody_says(Outcome.HEALTHY, blame=False, later=timedelta(seconds=10))
            case "joined_late":
                self.one_joins_the_wave_in_its_soak()
            case "completed" | "catching_up" | "failing_late":
                self.all_goes_well(timedelta(minutes=10))
            case "turned_midway" | "stopped":
                self.everybody_says(Outcome.BEGUN, blame=False, later=timedelta())
                self.a_person_does(Verb.ROLL_BACK if stage == "turned_midway" else Verb.ABORT)
            case "rolling_back" | "going_back_late" | "going_further_back":
                self.everybody_says(Outcome.HEALTHY, blame=False, later=timedelta())
                self.a_person_does(Verb.ROLL_BACK)
        if stage == "going_back_late":
            self.many_hosts_come_and_go(set())
            self.decides(timedelta(hours=1))
        if stage in {"catching_up", "failing_late", "going_back_late"}:
            self.many_hosts_come_and_go(set(ALL))

    def members(self) -> list[str]:
        return [name for name, one in self.rollout.targets.items() if one.wave == self.rollout.wave]

    def one_joins_the_wave_in_its_soak(self) -> None:
        self.all_goes_well(timedelta())
        self.decides(timedelta(minutes=10))
        self.many_hosts_come_and_go(set(ALL))
        self.decides(timedelta(minutes=4))
        self.everybody_says(Outcome.HEALTHY, blame=False, later=timedelta(minutes=1))

    def world(self, at: datetime | None = None) -> World:
        """As it is now, or at a later time if nothing but time changes."""
        at = at or self.now
        closed = set() if self.opens is not None and at >= self.opens else set(self.closed)
        if self.closes is not None and at >= self.closes:
            closed = set(ALL)
        opens = self.opens if self.opens is not None and self.opens > at else None
        closes = self.closes if self.closes is not None and self.closes > at else None
        return World(
            now=at,
            online=frozenset(self.online),
            gates={
                name: Gate(open=False, reason="closed", next_open=opens)
                if name in closed
                else Gate(open=True, reason="", closes_at=closes)
                for name in ALL
            },
            taken=frozenset(self.taken),
            generations=dict(self.generations),
            running=dict(self.agents.running),
            quarantine=frozenset(self.quarantine),
            superseded_by=self.later,
            overtaken=dict(self.overtaken),
            moved_on=frozenset(self.moved_on),
            elsewhere=dict(self.elsewhere),
            cut_off=dict(self.cut_off),
            earlier=self.goes_further_back(),
            heard_from=self.heard_from,
            asks=self.asks,
            forbids=self.forbids,
        )

    def goes_further_back(self) -> dict[str, str]:
        """Of those of which it is known what ran earlier, where what ran before is bad, or goes back itself."""
        before = {name: one.before for name, one in self.rollout.targets.items()}
        return {
            name: digest
            for name, digest in self.earlier.items()
            if before.get(name) in self.quarantine or (name, before.get(name)) in self.turned_back
        }

    def time_passes(self, at: datetime) -> None:
        self.now = at
        if self.opens is not None and self.now >= self.opens:
            self.closed, self.opens = set(), None
        if self.closes is not None and self.now >= self.closes:
            self.closed, self.closes = set(ALL), None

    @rule(later=TIMES)
    def decides(self, later: timedelta) -> None:
        """Time passes, and everything that is wanted must be allowed."""
        self.time_passes(self.now + later)
        before, self.sound = self.rollout, False
        held = NEW in self.quarantine
        decision = decide(before, self.world())
        self.rollout = decision.rollout
        self.a_wave_opens_only_after_the_soak_of_the_one_before(before)
        for effect in decision.effects:
            match effect:
                case Offer():
                    self.may_be_offered(before, effect)
                    self.agents.sent(effect, self.now)
                    if effect.back:
                        self.went_to[effect.target] = effect.digest
                    else:
                        known = self.agents.running.get(effect.target)
                        self.came_from[effect.target] = known or self.came_from[effect.target]
                case Withdraw():
                    assert before.targets[effect.target].progress in UNDER_WAY
                    self.agents.withdrawn(effect.target)
                case Quarantine():
                    assert self.rollout.kind is Kind.UPDATE, "a rollback's release is not blamed"
                    assert self.failed_by, "nothing was found that a person does not know"
                    assert effect.digest not in self.quarantine, "it is there already"
                    self.is_quarantined(effect.digest)
                case _:
                    pass
        self.it_begins_by_the_policy_of_now(decision)
        self.nothing_may_begin_that_may_not()
        self.what_is_under_way_is_waited_for_and_no_longer_than_its_deadline()
        self.no_more_are_offered_than_the_wave_allows(decision)
        self.what_has_failed_too_often_does_not_go_on()
        self.a_revocation_alone_is_no_failure(before)
        self.what_is_found_bad_is_in_quarantine(before, held=held)
        self.who_is_busy_when_it_catches_up_rests(before)
        self.who_runs_it_is_put_back_where_it_can_be()
        self.a_bad_release_is_not_left_where_it_runs(before, held=held)
        self.a_rollback_is_not_rolled_back_and_what_has_ended_stays_so(before)
        self.wake_at = decision.wake_at
        assert self.wake_at is None or self.wake_at > self.now
        again = decide(self.rollout, self.world())
        assert (again.rollout, again.effects) == (self.rollout, ()), "asked again it says something else"
        self.it_is_woken_when_time_alone_changes_the_answer()
        self.sound = True

    def it_is_woken_when_time_alone_changes_the_answer(self) -> None:
        at = T0 + timedelta(days=1000) if self.wake_at is None else self.wake_at - timedelta(microseconds=1)
        early = decide(self.rollout, self.world(at))
        assert (early.rollout, early.effects) == (self.rollout, ()), "it sleeps too long"

    def is_quarantined(self, digest: str) -> None:
        self.quarantine.add(digest)
        self.ever_quarantined.add(digest)

    def may_be_offered(self, before: Rollout, offer: Offer) -> None:
        name, target = offer.target, before.targets[offer.target]
        assert offer.generation > max(target.generation, self.generations.get(name, 0)), "its agent knows a later one"
        assert name in self.online, "offered to a host that is not there"
        assert name not in self.taken, "two rollouts at one target"
        assert name not in self.agents.under_way(self.now), "two transactions at one target"
        assert before.kind is Kind.ROLLBACK or len(self.agreed) >= before.policy.approvals, "not approved"
        assert name not in self.elsewhere, "it follows something else"
        assert offer.digest not in self.quarantine, "in quarantine"
        assert before.not_before is None or self.now >= before.not_before, "before its time"
        if offer.back:
            assert name not in self.moved_on, "a later rollout has moved it"
            assert before.kind is Kind.UPDATE, "a rollback was rolled back"
            if offer.digest != self.came_from[name]:
                assert offer.digest == self.earlier.get(name), "it never ran there"
                is_bad = self.came_from[name] in self.ever_quarantined
                assert is_bad or (name, self.came_from[name]) in self.turned_back, "what ran before is not bad"
            assert (name, offer.digest) not in self.turned_back, "everybody else leaves that"
        else:
            assert offer.digest == NEW
            assert self.agents.running.get(name) != NEW, "it runs there already"
            assert target.wave <= self.rollout.wave, "its wave is not open"
            assert self.now >= self.rests_until.get(name, T0), "it rests, for being busy"
            assert not (offer.forced and before.ended), "it is forced to catch up"
            assert name not in self.left, "it was left alone"
            assert self.closes is None or offer.expires_at <= self.closes, "it holds beyond its window"

    def it_begins_by_the_policy_of_now(self, decision: Decision) -> None:
        """What it was made with, and what its channel's policy says when it begins, hold both."""
        started = any(isinstance(one, Notify) and one.notice is Notice.STARTED for one in decision.effects)
        if not started:
            return
        self.has_begun = True
        if self.rollout.kind is Kind.ROLLBACK:
            return
        assert len(self.agreed) >= max(self.rollout.policy.approvals, self.asks), "more people are asked for now"
        assert not self.forbids, "releases go out by hand only now"

    def nothing_may_begin_that_may_not(self) -> None:
        """What an agent has not begun, and was not told to leave, may begin at any time: then that must be right."""
        state = self.rollout.state
        for name, one in self.agents.open.items():
            progress = self.rollout.targets[name].progress
            if progress is Progress.OFFLINE and not one.offer.back:
                assert one.withdrawn or self.now >= one.offer.expires_at, "it begins when it returns"
            if state in {State.CANCELLED, State.SUPERSEDED} and name in self.agents.under_way(self.now):
                assert one.withdrawn, "it is begun again where it is cut off"
            if not one.may_begin(self.now):
                continue
            assert progress in UNDER_WAY, f"it was given up, is {progress}, and may begin all the same"
            assert name not in self.elsewhere, "it follows something else, and it may begin all the same"
            assert one.offer.digest not in self.quarantine, "in quarantine, and may begin all the same"
            if not one.offer.back:
                assert state in {State.RUNNING, State.COMPLETED}, f"{state}, and it may begin all the same"
                assert name not in self.closed, "outside of its window"
                assert not self.later, "a newer release goes out"
                assert name not in self.overtaken, "a newer release goes to it"

    def what_is_under_way_is_waited_for_and_no_longer_than_its_deadline(self) -> None:
        at = {name: one.progress for name, one in self.rollout.targets.items()}
        for name in self.agents.under_way(self.now):
            assert at[name] in UNDER_WAY, f"{name} was given up before its time"
        for name in self.agents.too_late(self.now, self.heard_from):
            assert at[name] not in UNDER_WAY, f"{name} is waited for though its time is over"

    def a_revocation_alone_is_no_failure(self, before: Rollout) -> None:
        """But for who cannot be put back whatever its agent says: what ran before is not known, or is bad."""
        for name in self.agents.cut_off & before.targets.keys():
            now = self.rollout.targets[name].progress
            if now is not before.targets[name].progress:
                assert now is not Progress.FAILED, f"{name} has failed, though nobody could say so"
                lost = not self.came_from[name] or bool(self.quarantine - {NEW})
                assert lost or now is not Progress.NOT_PUT_BACK, f"{name} cannot be put back, though nobody has tried"

    def what_is_found_bad_is_in_quarantine(self, before: Rollout, *, held: bool) -> None:
        """Where it goes back, whoever has it do so; where it has ended, if its policy goes back. It is found once.

        Who completes puts up with what has failed until then.
        """
        it = self.rollout
        if it.kind is Kind.ROLLBACK or not (it.ended or it.state in GOES_BACK):
            return
        completes = it.state is State.COMPLETED and not before.ended
        wanted = it.state in GOES_BACK or (it.policy.on_failure is OnFailure.ROLLBACK and not completes)
        if wanted:
            assert not self.failed_by or NEW in self.quarantine, f"to blame, {it.state}, and not in quarantine"
        else:
            assert held or NEW not in self.quarantine, f"in quarantine, though {it.policy.on_failure}"
        self.failed_by.clear()

    def who_is_busy_when_it_catches_up_rests(self, before: Rollout) -> None:
        """Nobody is skipped then."""
        if before.state is not State.COMPLETED:
            return
        for name, one in self.rollout.targets.items():
            was = before.targets[name]
            if was.progress is one.progress:
                continue
            assert one.progress is not Progress.SKIPPED, f"{name} is never offered it any more"
            if was.progress is Progress.BUSY and self.cut_off.get(name) != was.generation:
                self.rests_until[name] = self.now + before.policy.busy_wait

    def who_runs_it_is_put_back_where_it_can_be(self) -> None:
        """Twice at most; and who could go nowhere once has been given up."""
        it = self.rollout
        if it.state not in GOES_BACK:
            return
        self.lost |= {name for name in it.targets if not self.goes_back_to(name)}
        others = self.taken | self.moved_on | self.elsewhere.keys() | self.lost
        for name in (self.agents.updated & self.online) - others:
            is_over = self.agents.tries[name] > 1 or it.targets[name].progress is Progress.LEFT_ALONE
            assert is_over or name in self.agents.open, f"{name} could go back, and is left as it is"

    def a_bad_release_is_not_left_where_it_runs(self, before: Rollout, *, held: bool) -> None:
        """Nor where it may run soon; a newer release takes its place without that.

        Where it is found bad only as it is cancelled, it stays, as always then.
        """
        if before.state in ENDED or before.kind is not Kind.UPDATE or NEW not in self.quarantine or self.later:
            return
        if self.rollout.state is State.CANCELLED and not held:
            return
        runs = self.agents.updated | {name for name, one in self.agents.open.items() if one.begun}
        left = {name for name, one in self.rollout.targets.items() if one.progress is Progress.LEFT_ALONE}
        assert not runs - left or self.rollout.state in GOES_BACK, "it is in quarantine, and stays where it runs"

    def goes_back_to(self, name: str) -> str:
        """What ran before; where that is bad, or goes back itself, what ran before that; empty: nothing may run."""
        to = self.went_to.get(name, self.came_from[name])
        if to in self.quarantine or (name, to) in self.turned_back:
            to = self.earlier.get(name, to)
        return "" if to in self.quarantine else to

    def a_rollback_is_not_rolled_back_and_what_has_ended_stays_so(self, before: Rollout) -> None:
        if self.rollout.kind is Kind.ROLLBACK:
            assert self.rollout.state not in {State.ROLLING_BACK, State.ROLLED_BACK}
            assert not any(one.back for one in self.rollout.targets.values())
        if before.state in ENDED:
            assert self.rollout.state is before.state, "it had ended"
        elif before.state is State.ROLLING_BACK:
            assert self.rollout.state in {before.state, State.ROLLED_BACK, State.FAILED}, "a bad release stays"
            if self.rollout.state is not before.state:
                left = [one for one in self.agents.under_way(self.now).values() if one.heard_at < self.now]
                assert not left, "it ended while somebody was on the way back"

    def a_wave_opens_only_after_the_soak_of_the_one_before(self, before: Rollout) -> None:
        after, policy = self.rollout, before.policy
        if (after.wave, after.state) == (before.wave, before.state) or before.state is not State.RUNNING:
            return
        if after.wave == before.wave and after.state is not State.COMPLETED:
            return
        for name, one in before.targets.items():
            if one.wave == before.wave and one.progress is Progress.HEALTHY:
                since = self.agents.healthy_at.get(name, T0)
                assert self.now >= since + policy.healthy_for + policy.soak, f"{name} has not proved itself yet"
            assert one.wave != before.wave or name not in self.agents.under_way(self.now), "one of it is under way"

    def no_more_are_offered_than_the_wave_allows(self, decision: Decision) -> None:
        """More than that may be under way where a person has opened a smaller wave; then nothing is offered.

        Once it has ended, targets catch up one by one.
        """
        it = self.rollout
        offers = [one for one in decision.effects if isinstance(one, Offer) and not one.back]
        if not offers:
            return
        size = sum(one.wave == it.wave for one in it.targets.values())
        most = 1 if it.state is State.COMPLETED else at_most(it.policy.parallel, size)
        assert len(self.agents.under_way(self.now)) <= most, "more than the wave allows"

    def what_has_failed_too_often_does_not_go_on(self) -> None:
        """Too often: of those that could be reached; a person who resumes it has said that it may."""
        it = self.rollout
        stops = {State.RUNNING}
        if it.policy.on_failure is OnFailure.ROLLBACK and it.kind is Kind.UPDATE:
            stops.add(State.PAUSED)
        if it.state not in stops:
            return
        failed = sum(one.progress is Progress.FAILED and one.failed_in == it.wave for one in it.targets.values())
        gone = {Progress.OFFLINE, Progress.SKIPPED, Progress.LEFT_ALONE}
        reached = [one for one in it.targets.values() if one.wave == it.wave and one.progress not in gone]
        if failed and it.policy.on_failure is not OnFailure.CONTINUE:
            assert failed < at_most(it.policy.failure_threshold, max(1, len(reached)))

    @rule(name=NAMES, outcome=st.sampled_from(Outcome), blame=st.booleans(), late=st.booleans())
    def an_agent_says(self, name: str, outcome: Outcome, *, blame: bool, late: bool) -> None:
        target = self.rollout.targets.get(name)
        if target is None or name not in self.online or name in self.agents.cut_off:
            return
        said = Report(name, target.generation - late, outcome, "", blame)
        once = report(self.rollout, said, self.now)
        assert report(once, said, self.now) == once, "taken in twice"
        if late or not target.generation:
            assert once == self.rollout, "it was not about its latest assignment"
            return
        if once != self.rollout and not target.back:
            self.failed_by -= {name}
            self.failed_by |= {name} if outcome is Outcome.FAILED and blame else set()
        self.rollout = once
        self.agents.said(name, outcome, self.now)
        if once.targets[name].progress is not Progress.LEFT_ALONE:  # it was updated all the same
            self.left.discard(name)

    @rule(outcome=OUTCOMES, blame=st.booleans(), later=TIMES)
    def everybody_says(self, outcome: Outcome, *, blame: bool, later: timedelta) -> None:
        """What is to be said of what is under way; then it goes on."""
        for name, one in self.rollout.targets.items():
            if one.progress in UNDER_WAY:
                self.an_agent_says(name, outcome, blame=blame, late=False)
        self.decides(timedelta())
        self.decides(later)

    @rule(later=TIMES)
    def all_goes_well(self, later: timedelta) -> None:
        for _ in ALL:
            self.everybody_says(Outcome.HEALTHY, blame=False, later=later)

    @rule(name=NAMES)
    @precondition(lambda self: self.rollout.state is not State.ROLLING_BACK)
    def a_person_takes_one_back_by_hand(self, name: str) -> None:
        """What is being moved is not taken back meanwhile."""
        target = self.rollout.targets.get(name)
        if target is not None and target.progress not in UNDER_WAY:
            self.rollout = without(self.rollout, {name}, "left alone")
            self.failed_by -= set() if self.rollout.ended else {name}
            self.left |= {name} if self.rollout.targets[name].progress is Progress.LEFT_ALONE else set()

    @rule(soon=SELDOM)
    def a_newer_release_goes_out(self, *, soon: bool) -> None:
        if soon or self.rollout.state in {State.ROLLING_BACK, State.COMPLETED, State.ROLLED_BACK}:
            self.later = "8"

    @rule(name=NAMES)
    def a_newer_release_goes_to_it_alone(self, name: str) -> None:
        self.overtaken[name] = "9"

    @rule(name=NAMES)
    def another_rollout_has_moved_it(self, name: str) -> None:
        if self.another_is_at(name):
            self.taken.discard(name)
            self.moved_on.add(name)
            self.agents.moved(name, OTHER)

    def another_is_at(self, name: str) -> bool:
        """Whether another rollout can send its agent something: then that comes after all that this one has sent."""
        target = self.rollout.targets.get(name)
        if target is not None and target.progress in UNDER_WAY:
            return False
        self.generations[name] = max(self.generations.get(name, 0), target.generation if target else 0) + 3
        self.agents.replaced(name)
        return True

    @rule(later=TIMES)
    def it_is_known_when_all_windows_close(self, later: timedelta) -> None:
        """They may do so between two looks."""
        self.closes = self.now + later if later else None

    @rule(later=TIMES)
    def it_is_known_when_all_windows_open(self, later: timedelta) -> None:
        self.opens = self.now + later if later else None

    @rule(verb=st.sampled_from(Verb))
    def a_person_does(self, verb: Verb) -> None:
        """What has not begun is held, let go on or ended, and nothing else."""
        with contextlib.suppress(VerbRefusedError):
            self.rollout = act(self.rollout, verb, "bob", self.now)
            if verb in {Verb.RESUME, Verb.RETRY}:  # they have looked at what has failed
                self.failed_by.clear()
        if not self.has_begun:
            at = self.rollout
            assert (at.wave, at.state in {*NOT_BEGUN, *ENDED}) == (0, True), f"{verb} has begun it"

    @rule(by=st.sampled_from(["ann", "bob", "cem"]))
    def a_person_approves(self, by: str) -> None:
        try:
            self.rollout = approve(self.rollout, by, self.now)
        except VerbRefusedError:
            return
        assert by != "ann", "who asks for it does not approve it"
        assert by not in self.agreed, "approved twice by the same"
        self.agreed.add(by)

    @rule(asks=st.integers(0, 2), forbids=SELDOM)
    def the_policy_of_its_channel_is_changed(self, *, asks: int, forbids: bool) -> None:
        """`forbids`: releases go out by hand only, and this one was not asked for by hand."""
        self.asks, self.forbids = asks, "its policy is pinned" if forbids else ""

    @rule(away=TIMES, later=TIMES)
    def the_manager_was_away(self, away: timedelta, later: timedelta) -> None:
        """Nobody is called overdue who had nobody to tell."""
        self.time_passes(self.now + away)
        self.heard_from = self.now
        before = {name for name, one in self.rollout.targets.items() if one.progress in UNDER_WAY}
        self.decides(timedelta())
        overdue = [self.rollout.targets[name].reason for name in before]
        assert not [why for why in overdue if why.startswith("no result")], "it could not tell"
        self.decides(later)

    @rule(name=NAMES)
    def a_host_comes_or_goes(self, name: str) -> None:
        self.online ^= {name}

    @rule(names=st.just(set(ALL)) | st.sets(NAMES))
    def many_hosts_come_and_go(self, names: set[str]) -> None:
        self.online = set(names)
        self.decides(timedelta())

    @rule(name=NAMES)
    def it_follows_something_else_or_the_channel_again(self, name: str) -> None:
        if self.elsewhere.pop(name, None) is None:
            self.elsewhere[name] = "r/app:2"

    @rule(name=NAMES, done=st.booleans(), replaced=st.booleans())
    def its_agent_is_revoked(self, name: str, *, done: bool, replaced: bool) -> None:
        """`replaced`: another one is enrolled in its place before anything is decided."""
        target = self.rollout.targets.get(name)
        if target is not None and target.progress in UNDER_WAY:
            self.cut_off[name] = target.generation
        self.agents.revoked(name, done=done)
        self.online = self.online | {name} if replaced else self.online - {name}

    @rule(name=NAMES)
    def a_window_opens_or_closes(self, name: str) -> None:
        self.closed ^= {name}

    @rule(name=NAMES)
    def another_rollout_takes_or_leaves(self, name: str) -> None:
        if self.another_is_at(name):
            self.taken ^= {name}

    @rule(digest=st.sampled_from([NEW, OLD, OLDER]), soon=SELDOM)
    def somebody_quarantines_it(self, digest: str, *, soon: bool) -> None:
        if soon or digest != NEW or self.rollout.state in ENDED:
            self.is_quarantined(digest)

    @rule(digest=st.sampled_from([NEW, OLD, OLDER]))
    def somebody_releases_it_from_quarantine(self, digest: str) -> None:
        self.quarantine.discard(digest)

    @rule(names=st.just(set(ALL)) | st.sets(NAMES))
    def it_is_known_what_ran_before_that(self, names: set[str]) -> None:
        self.earlier |= dict.fromkeys(names, OLDER)

    @rule(name=NAMES)
    def what_ran_before_goes_back_by_its_own_rollout(self, name: str) -> None:
        if self.came_from[name] not in ("", OLDER):
            self.earlier[name] = OLDER
            self.turned_back.add((name, self.came_from[name]))

    def teardown(self) -> None:
        """Whatever was done before: it ends, without anybody's help, as long as time passes, and in its time."""
        if not self.sound:  # what follows from a failure is not told in its place
            return
        self.taken = set()
        turned = self.now if self.rollout.state is State.ROLLING_BACK else None
        for _ in range(200):
            self.decides(timedelta())
            if self.rollout.state in ENDED:
                return
            if self.habitually():
                continue
            if self.rollout.state is State.ROLLING_BACK:
                turned = turned or self.now
            assert self.wake_at is not None, f"it sleeps for ever, {self.rollout.state}"
            self.time_passes(self.wake_at)
            last = turned + BACK_TAKES if turned else T0 + self.rollout.policy.expires
            assert self.now <= last, f"it takes too long, {self.rollout.state}"
        raise AssertionError(f"it does not end: {self.rollout.state}, {self.rollout.reason}")

    def habitually(self) -> bool:
        """Agents say of what they were sent what they always say; whether there was anything."""
        asked = [name for name, one in self.rollout.targets.items() if one.progress is Progress.OFFERED]
        asked = [name for name in asked if self.habit and name in self.online]
        for name in asked:
            self.an_agent_says(name, self.habit or Outcome.BEGUN, blame=False, late=False)
        return any(self.rollout.targets[name].progress is not Progress.OFFERED for name in asked)


Rollouts.TestCase.settings = settings(max_examples=700, stateful_step_count=40, deadline=None)
TestRollouts = Rollouts.TestCase
