"""What an agent tells of: its targets, releases that it has seen, and how its assignments went."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.domain.course import MOST_STEPS, StepTook
from tidegate.domain.masking import MOST_OUTPUT
from tidegate.domain.rollout_apply import MADE_OF_REFUSALS, Outcome
from tidegate.protocol.fields import Fields, clipped, write_time

MOST_TARGETS = 5000
MOST_MEMBERS = 50
"""Of a target, so many containers are told one by one; of more, only how many there are."""
UPDATER_TROUBLE = "the updater is in trouble: "
"""How the reason of a target begins whose updater, such as Watchtower, is so; the manager opens an alert by it."""
TOLD = tuple(one for one in Outcome if one not in MADE_OF_REFUSALS)
"""Outcomes that agents tell of."""
_MOST_CONTAINERS = 100_000


class Running(StrEnum):
    """Whether a target's containers run; `mixed`: some do."""

    RUNNING = "running"
    STOPPED = "stopped"
    MIXED = "mixed"


class Health(StrEnum):
    """The worst of what the health checks of a target's running containers say; `none`: there is no check."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    STARTING = "starting"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Member:
    """One container of a target. `state` is the engine's word, such as `exited`; `digest` what runs in it, if known."""

    name: str
    state: str
    health: Health
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class InventoryTarget:
    """One service of one project. `image` is as people write it, `repository` in full, `digest` what runs, if known.

    `held`: the agent does not touch it by itself, `reason` says why in words; behind `UPDATER_TROUBLE` it says what is
    wrong with the program that updates it. `platform` is such as `linux/amd64`. `members` are its containers by name;
    where they are many, or the agent is of an earlier version, there are none of them.
    """

    target: str
    image: str
    repository: str
    tag: str | None
    digest: str | None
    state: Running
    health: Health
    containers: int = 1
    platform: str = ""
    strategy: str | None = None
    held: bool = False
    reason: str = ""
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class LastScan:
    """What the program that updates an agent's targets in its place, such as Watchtower, counts in its last scan.

    `scans` are those since it was started.
    """

    scanned: int
    updated: int
    failed: int
    scans: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """All targets of the agent, as they are now. `updater` None: there is no such program, or it does not say."""

    at: datetime
    targets: tuple[InventoryTarget, ...]
    updater: LastScan | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A digest that the agent has found under a tag."""

    at: datetime
    repository: str
    tag: str
    digest: str


@dataclass(frozen=True, slots=True)
class Report:
    """How an assignment goes. `blame`: the release is bad, and not its surroundings. `duration_s`: all of it.

    `output` is what the container wrote last that failed, in lines, without secrets as far as they could be told.
    `steps` are what was waited for, in their order.
    """

    at: datetime
    assignment: str
    rollout: str
    target: str
    generation: int
    digest: str
    outcome: Outcome
    reason: str = ""
    blame: bool = False
    duration_s: float | None = None
    output: str = ""
    steps: tuple[StepTook, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A document that the agent does not go by: its signature or what it binds is not as it has to be.

    What cannot be read of it is empty, the generation 0.
    """

    at: datetime
    assignment: str
    target: str
    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a kind that this version does not know. It is counted and passed over."""

    at: datetime
    kind: str


Event = Inventory | Sighting | Report | Refusal | UnknownEvent


def read_event(fields: Fields) -> Event:
    """One event. Raises `MessageError`."""
    kind, at = fields.text("kind", most=64), fields.time("at")
    read = _READERS.get(kind)
    return read(fields, at) if read is not None else UnknownEvent(at, kind)


def write_event(event: Event) -> dict[str, Any]:
    """One event as JSON."""
    head = {"at": write_time(event.at)}
    match event:
        case Inventory():
            return {"kind": "inventory", **head, **_write_inventory(event)}
        case Sighting():
            seen = {"repository": event.repository, "tag": event.tag, "digest": event.digest}
            return {"kind": "sighting", **head, **seen}
        case Report():
            return {"kind": "report", **head, **_write_report(event)}
        case Refusal():
            which = {"assignment": event.assignment, "target": event.target, "generation": event.generation}
            return {"kind": "refusal", **head, **which, "reason": clipped(event.reason)}
        case UnknownEvent():
            return {"kind": event.kind, **head}


def _read_inventory(fields: Fields, at: datetime) -> Inventory:
    targets = fields.each("targets", _read_target, most=MOST_TARGETS)
    return Inventory(at, targets, fields.part_or_none("updater", _read_scan))


def _write_inventory(event: Inventory) -> dict[str, Any]:
    """Of an agent that has no other updater nothing is said of one: as managers before this version know it."""
    updater = {} if event.updater is None else {"updater": asdict(event.updater)}
    return {"targets": [_write_target(one) for one in event.targets], **updater}


def _read_scan(fields: Fields) -> LastScan:
    return LastScan(
        scanned=fields.whole("scanned"),
        updated=fields.whole("updated"),
        failed=fields.whole("failed"),
        scans=fields.whole("scans"),
    )


def _read_target(fields: Fields) -> InventoryTarget:
    return InventoryTarget(
        target=fields.text("target"),
        image=fields.text("image"),
        repository=fields.text("repository"),
        tag=fields.text_or_none("tag"),
        digest=fields.digest_or_none("digest"),
        state=fields.one_of("state", Running, tuple(Running)),
        health=fields.one_of("health", Health, tuple(Health)),
        containers=fields.whole("containers", 1, most=_MOST_CONTAINERS),
        platform=fields.text("platform", ""),
        strategy=fields.text_or_none("strategy"),
        held=fields.yes("held", default=False),
        reason=fields.text("reason", ""),
        members=fields.each("members", _read_member, most=MOST_MEMBERS, default=()),
    )


def _read_member(fields: Fields) -> Member:
    return Member(
        name=fields.text("name"),
        state=fields.text("state"),
        health=fields.one_of("health", Health, tuple(Health)),
        digest=fields.digest_or_none("digest"),
    )


def _write_target(one: InventoryTarget) -> dict[str, Any]:
    """Where no container is told by name, nothing is said of it: as managers before this version know it."""
    members = {"members": [asdict(each) for each in one.members]} if one.members else {}
    return {
        "target": one.target,
        "image": one.image,
        "repository": one.repository,
        "tag": one.tag,
        "digest": one.digest,
        "state": str(one.state),
        "health": str(one.health),
        "containers": one.containers,
        "platform": one.platform,
        "strategy": one.strategy,
        "held": one.held,
        "reason": clipped(one.reason),
        **members,
    }


def _read_sighting(fields: Fields, at: datetime) -> Sighting:
    return Sighting(at, fields.text("repository"), fields.text("tag"), fields.digest("digest"))


def _read_report(fields: Fields, at: datetime) -> Report:
    return Report(
        at=at,
        assignment=fields.text("assignment"),
        rollout=fields.text("rollout", ""),
        target=fields.text("target"),
        generation=fields.whole("generation"),
        digest=fields.digest("digest"),
        outcome=fields.one_of("outcome", Outcome, TOLD),
        reason=fields.text("reason", ""),
        blame=fields.yes("blame", default=False),
        duration_s=fields.seconds_or_none("duration_s"),
        output=fields.text("output", "", most=MOST_OUTPUT),
        steps=fields.each("steps", _read_step, most=MOST_STEPS, default=()),
    )


def _read_step(fields: Fields) -> StepTook:
    return StepTook(
        step=fields.text("step", most=64),
        took_s=fields.seconds("took_s"),
        container=fields.text("container", ""),
        back=fields.yes("back", default=False),
    )


def _write_report(event: Report) -> dict[str, Any]:
    """What there is nothing of is left out: output and steps, as managers before this version know it."""
    output = {"output": event.output} if event.output else {}
    steps = {"steps": [asdict(one) for one in event.steps]} if event.steps else {}
    return {
        "assignment": event.assignment,
        "rollout": event.rollout,
        "target": event.target,
        "generation": event.generation,
        "digest": event.digest,
        "outcome": str(event.outcome),
        "reason": clipped(event.reason),
        "blame": event.blame,
        "duration_s": event.duration_s,
        **output,
        **steps,
    }


def _read_refusal(fields: Fields, at: datetime) -> Refusal:
    return Refusal(
        at=at,
        assignment=fields.text("assignment", ""),
        target=fields.text("target", ""),
        generation=fields.whole("generation", 0),
        reason=fields.text("reason", ""),
    )


_READERS: Mapping[str, Callable[[Fields, datetime], Event]] = {
    "inventory": _read_inventory,
    "sighting": _read_sighting,
    "report": _read_report,
    "refusal": _read_refusal,
}
