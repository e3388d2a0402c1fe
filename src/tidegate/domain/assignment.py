"""An assignment: what the manager tells an agent to do to one target, and why an agent would not do it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.domain.reference import InvalidReferenceError, is_digest, parse_reference

NO_TARGET = "is no target of this agent"
"""How the reason of a refusal ends whose target is not there, or is none of the agent's."""
_AGENTS_AND_MANAGERS_CLOCKS = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Bound to one agent, one target (`CLUSTER/SERVICE`), one digest of one repository, a generation and an expiry.

    `back`: it is a rollback, which asks no window and no hook. `forced`: the target is updated though it says that it
    is busy. `health_timeout_s` is how long the candidate may take to become healthy. `tag` is what the
    target followed, as far as its manager knew; empty: the manager does not say.
    """

    id: str
    agent: str
    target: str
    repository: str
    digest: str
    generation: int
    issued_at: datetime
    expires_at: datetime
    rollout: str = ""
    back: bool = False
    forced: bool = False
    health_timeout_s: float | None = None
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Accepting:
    """What an agent goes by: who it is, what it looks after, what it lets in, and what it has been told before.

    `followed` maps a target to the repository that it follows, `accepted` to the generation and the digest of the
    latest assignment that was accepted. `repositories` is the agent's own allow-list, which no manager can change, as
    people write them; empty: it lets in those that its targets follow.
    """

    agent: str
    followed: Mapping[str, str]
    repositories: Collection[str] = ()
    accepted: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    skew: timedelta = _AGENTS_AND_MANAGERS_CLOCKS


def refusal(it: Assignment, accepting: Accepting, now: datetime) -> str | None:
    """Why an assignment whose signature is good is not carried out; None if it is.

    The same assignment told again is no fault: whether it has been carried out, the agent's journal says.
    """
    if it.agent != accepting.agent:
        return f"it is for agent {it.agent}, and this is {accepting.agent}"
    if it.target not in accepting.followed:
        return f"{it.target} {NO_TARGET}"
    if not is_digest(it.digest):
        return f"{it.digest!r} is no digest"
    if it.repository != accepting.followed[it.target]:
        return f"{it.target} follows {accepting.followed[it.target]}, and it is of {it.repository}"
    if accepting.repositories and it.repository not in map(_name, accepting.repositories):
        return f"{it.repository} is not among the repositories that this agent lets in"
    return _out_of_turn(it, accepting) or _out_of_time(it, accepting, now)


def _out_of_turn(it: Assignment, accepting: Accepting) -> str | None:
    generation, digest = accepting.accepted.get(it.target, (0, ""))
    if it.generation < generation:
        return f"it is generation {it.generation} of {it.target}, and {generation} was told already"
    if it.generation == generation and it.digest != digest:
        return f"generation {generation} of {it.target} was told already, with another digest"
    return None


def _out_of_time(it: Assignment, accepting: Accepting, now: datetime) -> str | None:
    if now >= it.expires_at + accepting.skew:
        return f"it expired at {it.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if it.issued_at > now + accepting.skew:
        return f"it was issued at {it.issued_at:%Y-%m-%d %H:%M:%S} UTC, which is still to come: see to the clocks"
    return None


def _name(repository: str) -> str:
    """A repository in full, from what people write."""
    try:
        return parse_reference(repository).name
    except InvalidReferenceError:
        return ""
