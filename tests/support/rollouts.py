"""A rollout among hosts and people, for tests that tell what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.domain.rollout import Planned, Rollout, State, plan_rollout
from tidegate.domain.rollout_apply import Outcome, Report, Verb, act, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Effect, Notice, Notify, Offer, Quarantine
from tidegate.domain.rollout_policy import RolloutPolicy, Share
from tidegate.domain.rollout_world import World
from tidegate.domain.windows import Gate

T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEW, OLD = "sha256:new", "sha256:old"
MINUTE = timedelta(minutes=1)


class Fleet:
    """A rollout, the world around it, and everything that it wanted done."""

    def __init__(self, *targets: str, policy: RolloutPolicy | None = None, **plan: Any) -> None:
        self.now = T0
        self.online = set(targets)
        self.gates: dict[str, Gate] = {}
        self.taken: set[str] = set()
        self.quarantine: set[str] = set()
        self.running: dict[str, str] = {}
        self.superseded_by = ""
        self.moved_on: set[str] = set()
        self.overtaken: dict[str, str] = {}
        self.elsewhere: dict[str, str] = {}
        self.monitored: set[str] = set()
        self.cut_off: dict[str, int] = {}
        self.earlier: dict[str, str] = {}
        self.heard_from: datetime | None = None
        self.at_work: dict[str, datetime] = {}
        self.asks = 0
        self.forbids = ""
        self.effects: list[Effect] = []
        planned = [Planned(one, running=OLD) for one in targets]
        policy = policy or RolloutPolicy()
        self.rollout: Rollout = plan_rollout("7", "app", NEW, planned, policy, requested_by="ann", now=T0, **plan)
        self.go()

    def go(self, later: timedelta = timedelta()) -> list[Effect]:
        """Let time pass and decide; what is to be done now."""
        self.now += later
        decision = decide(self.rollout, self._world())
        self.rollout = decision.rollout
        self.wake_at = decision.wake_at
        self.quarantine |= {effect.digest for effect in decision.effects if isinstance(effect, Quarantine)}
        again = decide(self.rollout, self._world())
        assert (again.rollout, again.effects) == (self.rollout, ())
        self.effects += decision.effects
        return list(decision.effects)

    def _world(self) -> World:
        return World(
            now=self.now,
            online=frozenset(self.online),
            gates=self.gates,
            taken=frozenset(self.taken),
            running=self.running,
            quarantine=frozenset(self.quarantine),
            superseded_by=self.superseded_by,
            moved_on=frozenset(self.moved_on),
            overtaken=self.overtaken,
            elsewhere=self.elsewhere,
            monitored=frozenset(self.monitored),
            cut_off=self.cut_off,
            earlier=self.earlier,
            heard_from=self.heard_from,
            at_work=self.at_work,
            asks=self.asks,
            forbids=self.forbids,
        )

    def tell(self, outcome: Outcome, *targets: str, **more: Any) -> list[Effect]:
        """The agents of these say so about their latest assignment."""
        for one in targets:
            said = Report(one, self.rollout.targets[one].generation, outcome, **more)
            self.rollout = report(self.rollout, said, self.now)
        return self.go()

    def do(self, verb: Verb, by: str = "bob") -> list[Effect]:
        self.rollout = act(self.rollout, verb, by, self.now)
        return self.go()

    def soak(self) -> list[Effect]:
        """Let what is healthy stay so, and the wave soak."""
        return self.go(timedelta(seconds=10)) + self.go(self.rollout.policy.soak)

    @property
    def state(self) -> str:
        return self.rollout.state

    def progress(self) -> Mapping[str, str]:
        return {one.id: str(one.progress) for one in self.rollout.targets.values()}


def offered(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(one.target, one.digest) for one in effects if isinstance(one, Offer)]


def told(effects: list[Effect]) -> list[Notice]:
    return [one.notice for one in effects if isinstance(one, Notify)]


def completed_without(*offline: str, **plan: Any) -> Fleet:
    """A completed rollout that these were not there for."""
    fleet = Fleet("a", *offline, **{"policy": RolloutPolicy(waves=(), parallel=Share(1))} | plan)
    fleet.online -= set(offline)
    fleet.tell(Outcome.HEALTHY, "a")
    fleet.go(timedelta(minutes=10))
    fleet.soak()
    assert fleet.state == State.COMPLETED
    fleet.online |= set(offline)
    return fleet
