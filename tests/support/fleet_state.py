"""A manager's fleet in memory: agents that answer at once, and rollouts by the real rules."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tidegate.domain.channel_policy import ChannelPolicy, read_channel_policy
from tidegate.domain.rollout import Kind, Planned, Rollout, plan_rollout
from tidegate.domain.rollout_apply import Outcome, Report, Verb, act, approve, report
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_effects import Offer, Quarantine
from tidegate.domain.rollout_world import World

QUICK = {"soak": "0s", "healthy_for": "0s", "mode": "pinned"}
"""Rollouts are begun by hand, and take no longer than their agents do."""


@dataclass
class Host:
    """An agent with its clusters' labels."""

    name: str
    labels: dict[str, str]
    online: bool = True
    revoked_at: str | None = None
    updater: dict[str, int] | None = None


@dataclass
class Running:
    """A target: which channel it follows, and what runs; `held`: it is monitored only."""

    name: str
    channel: int
    digest: str
    held: bool = False

    @property
    def cluster(self) -> str:
        return self.name.partition("/")[0]

    @property
    def agent(self) -> str:
        return self.cluster.rpartition("@")[2]


@dataclass
class Seen:
    """A release."""

    id: int
    channel: int
    digest: str
    version: str
    at: datetime


@dataclass
class FleetState:
    """Everything that the manager knows. `silent` agents begin nothing; `bad` digests fail wherever they go."""

    hosts: dict[str, Host] = field(default_factory=dict)
    targets: dict[str, Running] = field(default_factory=dict)
    channels: dict[int, str] = field(default_factory=dict)
    policies: dict[int, ChannelPolicy] = field(default_factory=dict)
    releases: dict[int, Seen] = field(default_factory=dict)
    rollouts: dict[int, Rollout] = field(default_factory=dict)
    rows: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    feed: list[tuple[int, int]] = field(default_factory=list)
    quarantine: dict[str, int] = field(default_factory=dict)
    silent: bool = False
    bad: dict[str, str] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def new_id(self) -> int:
        return next(self._ids)

    # what a test tells

    def channel(self, name: str) -> int:
        for id_, known in self.channels.items():
            if known == name:
                return id_
        id_ = self.new_id()
        self.channels[id_] = name
        self.policies[id_] = read_channel_policy(QUICK)
        return id_

    def release(self, channel: str, version: str) -> str:
        digest = digest_of(channel, version)
        known = [one for one in self.releases.values() if (one.channel, one.digest) == (self.channel(channel), digest)]
        if not known:
            id_ = self.new_id()
            self.releases[id_] = Seen(id_, self.channel(channel), digest, version, now())
        return digest

    def host(self, agent: str, targets: dict[str, tuple[str, str]], labels: dict[str, str]) -> None:
        self.hosts[agent] = Host(agent, labels)
        for short, (channel, version) in targets.items():
            project, _, service = short.partition("/")
            name = f"{project}@{agent}/{service}"
            self.targets[name] = Running(name, self.channel(channel), self.release(channel, version))

    # rollouts

    def begin(self, channel: int, digest: str, names: list[str], by: str, *, kind: Kind = Kind.UPDATE) -> int:
        planned = [
            Planned(one.name, self.hosts[one.agent].labels, one.digest)
            for one in self.targets.values()
            if one.name in names
        ]
        id_ = self.new_id()
        rules = self.policies[channel].rollout
        rules = rules.for_rollback() if kind is Kind.ROLLBACK else rules
        self.rollouts[id_] = plan_rollout(
            str(id_), str(channel), digest, planned, rules, requested_by=by, now=now(), kind=kind
        )
        self.go()
        return id_

    def verb(self, id_: int, verb: str, by: str, reason: str) -> None:
        before = self.rollouts[id_]
        after = approve(before, by, now()) if verb == "approve" else act(before, Verb(verb), by, now(), reason)
        self.rollouts[id_] = after
        self.go()

    def go(self) -> None:
        """Decide, and let the agents answer, until nothing more happens."""
        for id_ in list(self.rollouts):
            while self._step(id_):
                pass

    def _step(self, id_: int) -> bool:
        before = self.rollouts[id_]
        decision = decide(before, self._world())
        after = decision.rollout
        for effect in decision.effects:
            if isinstance(effect, Quarantine):
                self.quarantine.setdefault(effect.digest, self.new_id())
            if isinstance(effect, Offer) and not self.silent:
                after = self._answered(after, effect)
        self.rollouts[id_] = after
        if after != before:
            self.feed.append((len(self.feed) + 1, id_))
        return after != before

    def _answered(self, rollout: Rollout, offer: Offer) -> Rollout:
        why = "" if offer.back else self.bad.get(offer.digest, "")
        outcome = Outcome.FAILED if why else Outcome.HEALTHY
        if not why:
            self.targets[offer.target] = replace(self.targets[offer.target], digest=offer.digest)
        said = Report(offer.target, offer.generation, outcome, why, blame=bool(why))
        return report(rollout, said, now())

    def answer_all(self) -> None:
        """Let agents that were silent carry out what they were offered."""
        self.silent = False
        for id_, rollout in list(self.rollouts.items()):
            after = rollout
            for one in rollout.targets.values():
                if one.in_flight:
                    digest = one.before if one.back else rollout.digest
                    after = self._answered(after, Offer(one.id, digest, one.generation, now(), back=one.back))
            self.rollouts[id_] = after
        self.go()

    def _world(self) -> World:
        there = frozenset(one.name for one in self.targets.values() if self.hosts[one.agent].online)
        return World(
            now=now(),
            online=there,
            running={one.name: one.digest for one in self.targets.values()},
            quarantine=frozenset(self.quarantine),
        )


def now() -> datetime:
    return datetime.now(UTC)


def digest_of(channel: str, version: str) -> str:
    """The digest that a release of these worlds has."""
    return "sha256:" + hashlib.sha256(f"{channel} {version}".encode()).hexdigest()
