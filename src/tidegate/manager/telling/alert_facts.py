"""What alerts are made of: what is so in the database, as far as it may be worth one."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Failure:
    """A target whose latest assignment has failed, or could not be told. `version` is the release's, if known.

    `state` is its rollout's.
    """

    target: str
    assignment: str
    digest: str
    version: str
    rollout: int
    state: str
    channel: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Troubled:
    """A rollout that somebody may have to look at. `since`: it is in its state since then, if that is known.

    `whole`: it is for all of its channel. One that waits for approval does so since its channel waits for one, then.
    `agreed` is how many people have approved it, `needed` how many have to.
    """

    id: int
    channel: str
    digest: str
    version: str
    state: str
    reason: str
    requested_by: str
    since: datetime | None
    whole: bool
    agreed: int = 0
    needed: int = 0


@dataclass(frozen=True, slots=True)
class Silent:
    """An agent that was not heard of for a while; `last_seen_at` None: not since it was enrolled."""

    agent: str
    last_seen_at: datetime | None
    enrolled_at: datetime
    targets: int


@dataclass(frozen=True, slots=True)
class Drifted:
    """A target that runs something else than the manager had put there."""

    target: str
    since: datetime
    runs: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A channel whose registry could not be asked so often in a row."""

    channel: str
    failures: int
    trouble: str


@dataclass(frozen=True, slots=True)
class Hampered:
    """An agent whose updater, such as Watchtower, is in trouble: what it says of it."""

    agent: str
    trouble: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An agent has refused what it was told. `target` is as the agent knows it, empty where it could not tell."""

    subject: str
    target: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A digest that is offered to nobody."""

    id: int
    digest: str
    channel: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it, at one moment. `watching_since`: before that nobody could be heard, or nobody could note it.

    The manager did not run, or its database was away.
    """

    watching_since: datetime
    failures: tuple[Failure, ...] = ()
    rollouts: tuple[Troubled, ...] = ()
    """In the order of their numbers."""
    silent: tuple[Silent, ...] = ()
    drifted: tuple[Drifted, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    hampered: tuple[Hampered, ...] = ()
    refused: tuple[Refused, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
