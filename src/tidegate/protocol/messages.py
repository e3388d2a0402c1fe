"""The requests of an agent and their answers: `read_x` takes parsed JSON (`MessageError`), `write_x` returns it."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.protocol.events import Event, read_event, write_event
from tidegate.protocol.fields import Fields, MessageError, write_time
from tidegate.protocol.keys import is_public

LONGEST_WAIT_S = 60
MOST_EVENTS = 500
MOST_BYTES = 1024 * 1024
"""Of a batch of events, as JSON."""

ENROL_PATH = "/api/v1/agent/enrol"
POLL_PATH = "/api/v1/agent/poll"
EVENTS_PATH = "/api/v1/agent/events"

_MOST_ITEMS = 10_000
_LONGEST_DOCUMENT = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
NAME_TAKES = "1 to 63 of A-Z a-z 0-9 . _ - and starts with a letter or digit"


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """An agent that is new: its one-time token, its public key, and that it has the private one (`enrol_proof`)."""

    protocol: int
    token: str = field(repr=False)
    name: str
    public_key: str
    version: str
    proof: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """Who the agent is from now on, and the manager's key that it pins."""

    protocol: int
    agent: str
    name: str
    manager_key: str
    time: datetime


@dataclass(frozen=True, slots=True)
class PollRequest:
    """An agent that has every item up to `cursor` on its disk, and waits at most `wait_s` for the next.

    `manager_key` is the manager's key that it has pinned; empty: it does not say.
    """

    protocol: int
    cursor: int
    wait_s: int
    version: str = ""
    manager_key: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One signed document (`signed.py`), numbered in the order in which this agent is told them."""

    seq: int
    document: str
    signature: str


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """Items after the cursor, oldest first, and the manager's clock."""

    protocol: int
    items: tuple[Item, ...]
    time: datetime


@dataclass(frozen=True, slots=True)
class EventsRequest:
    """Events of one log, the first numbered `first`. `skipped`: those before it that are missing are lost for good."""

    protocol: int
    stream: str
    first: int
    events: tuple[Event, ...]
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class EventsAnswer:
    """The number of the last event that has been applied."""

    applied: int


def is_agent_name(name: str) -> bool:
    """Whether an agent may be called that. It stands between `@` and `/` in the names of targets."""
    return _NAME.fullmatch(name) is not None


def read_enrol_request(value: Any) -> EnrolRequest:
    """What an agent sends to enrol."""
    fields = Fields(value)
    name = fields.text("name")
    if not is_agent_name(name):
        raise MessageError("name", f"it is no name of an agent, which has {NAME_TAKES}")
    return EnrolRequest(
        protocol=fields.whole("protocol"),
        token=fields.text("token", most=256),
        name=name,
        public_key=_public(fields, "public_key"),
        version=fields.text("version", "", most=64),
        proof=fields.text("proof", most=128),
    )


def write_enrol_request(it: EnrolRequest) -> dict[str, Any]:
    """Its JSON, with the secret token."""
    return {
        "protocol": it.protocol,
        "token": it.token,
        "name": it.name,
        "public_key": it.public_key,
        "version": it.version,
        "proof": it.proof,
    }


def read_enrol_answer(value: Any) -> EnrolAnswer:
    """What the manager answers."""
    fields = Fields(value)
    return EnrolAnswer(
        protocol=fields.whole("protocol"),
        agent=fields.text("agent", most=64),
        name=fields.text("name"),
        manager_key=_public(fields, "manager_key"),
        time=fields.time("time"),
    )


def write_enrol_answer(it: EnrolAnswer) -> dict[str, Any]:
    """Its JSON."""
    return {
        "protocol": it.protocol,
        "agent": it.agent,
        "name": it.name,
        "manager_key": it.manager_key,
        "time": write_time(it.time),
    }


def read_poll_request(value: Any) -> PollRequest:
    """What an agent polls with."""
    fields = Fields(value)
    return PollRequest(
        protocol=fields.whole("protocol"),
        cursor=fields.whole("cursor"),
        wait_s=fields.whole("wait_s", most=LONGEST_WAIT_S),
        version=fields.text("version", "", most=64),
        manager_key=_public_or_none(fields, "manager_key"),
    )


def write_poll_request(it: PollRequest) -> dict[str, Any]:
    """Its JSON."""
    known = {"manager_key": it.manager_key} if it.manager_key else {}
    return {"protocol": it.protocol, "cursor": it.cursor, "wait_s": it.wait_s, "version": it.version, **known}


def read_poll_answer(value: Any) -> PollAnswer:
    """What the manager answers to a poll."""
    fields = Fields(value)
    items = fields.each("items", _read_item, most=_MOST_ITEMS)
    return PollAnswer(fields.whole("protocol"), items, fields.time("time"))


def write_poll_answer(it: PollAnswer) -> dict[str, Any]:
    """Its JSON."""
    items = [{"seq": one.seq, "document": one.document, "signature": one.signature} for one in it.items]
    return {"protocol": it.protocol, "items": items, "time": write_time(it.time)}


def read_events_request(value: Any) -> EventsRequest:
    """A batch of events."""
    fields = Fields(value)
    return EventsRequest(
        protocol=fields.whole("protocol"),
        stream=fields.text("stream", most=64),
        first=fields.whole("first", least=1),
        events=fields.each("events", read_event, most=MOST_EVENTS),
        skipped=fields.yes("skipped", default=False),
    )


def write_events_request(it: EventsRequest) -> dict[str, Any]:
    """Its JSON."""
    events = [write_event(event) for event in it.events]
    skipped = {"skipped": True} if it.skipped else {}
    return {"protocol": it.protocol, "stream": it.stream, "first": it.first, **skipped, "events": events}


def read_events_answer(value: Any) -> EventsAnswer:
    """What the manager has applied."""
    return EventsAnswer(Fields(value).whole("applied"))


def write_events_answer(it: EventsAnswer) -> dict[str, Any]:
    """Its JSON."""
    return {"applied": it.applied}


def _read_item(fields: Fields) -> Item:
    document = fields.text("document", most=_LONGEST_DOCUMENT)
    return Item(fields.whole("seq", least=1), document, fields.text("signature", most=128))


def _public_or_none(fields: Fields, name: str) -> str:
    return _public(fields, name) if fields.text(name, "", most=64) else ""


def _public(fields: Fields, name: str) -> str:
    found = fields.text(name, most=64)
    if not is_public(found):
        raise MessageError(fields.where(name), "it is no Ed25519 public key, which is base64 of 32 bytes")
    return found
