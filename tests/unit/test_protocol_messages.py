"""Messages are read strictly where they are known, and say which field is wrong; what is not known is passed over."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.masking import MOST_OUTPUT
from tidegate.protocol import messages
from tidegate.protocol.events import Inventory, Report, UnknownEvent, write_event
from tidegate.protocol.fields import LONGEST, MessageError, clipped
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import EnrolRequest, is_agent_name

PUBLIC = public_text(load_key(make_key()))
DIGEST = "sha256:" + "a" * 64
AT = "2026-11-25T12:00:00Z"
TARGET = {
    "target": "autonomy/web",
    "image": "web:1",
    "repository": "docker.io/library/web",
    "tag": "1",
    "digest": DIGEST,
    "state": "running",
    "health": "none",
}
REPORT = {
    "kind": "report",
    "at": AT,
    "assignment": "a1",
    "target": "autonomy/web",
    "generation": 1,
    "digest": DIGEST,
    "outcome": "healthy",
}
ENROL = {
    "protocol": 1,
    "token": "t0",
    "name": "berlin1",
    "public_key": PUBLIC,
    "version": "1",
    "proof": "cA==",
}


def batch(*events: dict[str, Any], **more: Any) -> Any:
    return {"protocol": 1, "stream": "s", "first": 1, "events": list(events), **more}


def said(value: Any, read: Any = messages.read_events_request) -> str:
    with pytest.raises(MessageError) as caught:
        read(value)
    return str(caught.value)


def test_a_field_that_is_wrong_is_named() -> None:
    assert said(batch(REPORT, {**REPORT, "generation": "1"})) == "events[1].generation: it is not a whole number"
    inventory = {"kind": "inventory", "at": AT, "targets": [{**TARGET, "health": "fine"}]}
    assert said(batch(inventory)) == (
        "events[0].targets[0].health: it is 'fine'; accepted are healthy, unhealthy, starting, none"
    )
    assert said(batch({**REPORT, "at": "2026-11-25T12:00:00"})).startswith("events[0].at: it is no RFC 3339 time")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("at", "yesterday"),
        ("at", "0001-01-01T00:00:00+23:59"),
        ("assignment", ""),
        ("assignment", None),
        ("assignment", "x" * (LONGEST + 1)),
        ("target", "a\0b"),
        ("target", "\ud800"),
        ("generation", -1),
        ("generation", True),
        ("generation", 2**54),
        ("digest", "sha256:ab"),
        ("outcome", "great"),
        ("blame", "yes"),
        ("blame", 1),
        ("output", "x" * (MOST_OUTPUT + 1)),
        ("output", "a\0b"),
        ("output", ["a"]),
        ("duration_s", -1),
        ("duration_s", float("nan")),
        ("duration_s", float("inf")),
        ("duration_s", 10**4000),
    ],
)
def test_a_report_with_a_field_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    assert said(batch({**REPORT, field: value})).startswith(f"events[0].{field}: ")


def test_what_is_not_known_is_passed_over() -> None:
    read = messages.read_events_request(batch({**REPORT, "colour": "red"}, {"kind": "novelty", "at": AT}, extra=1))
    assert [type(one) for one in read.events] == [Report, UnknownEvent]


def test_an_inventory_of_nothing_is_one() -> None:
    (inventory,) = messages.read_events_request(batch({"kind": "inventory", "at": AT, "targets": []})).events
    assert inventory == Inventory(inventory.at, ())


def test_a_batch_has_its_limits() -> None:
    assert "at most 500" in said(batch(*[REPORT] * (messages.MOST_EVENTS + 1)))
    assert said(batch(first=0)).startswith("first: it is 0")


def test_what_is_said_to_people_is_cut_to_what_is_accepted() -> None:
    (report,) = messages.read_events_request(batch(REPORT)).events
    assert isinstance(report, Report)
    long = Report(**{name: getattr(report, name) for name in Report.__slots__} | {"reason": "x\0" * LONGEST})
    written = write_event(long)
    assert len(written["reason"]) == LONGEST
    assert messages.read_events_request(batch(written)).events[0] != report
    assert clipped("as it is") == "as it is"


def test_output_is_told_where_there_is_some() -> None:
    (report,) = messages.read_events_request(batch({**REPORT, "output": "x\n" * (MOST_OUTPUT // 2)})).events
    assert isinstance(report, Report)
    assert len(report.output) == MOST_OUTPUT
    assert write_event(report)["output"] == report.output
    (silent,) = messages.read_events_request(batch(REPORT)).events
    assert "output" not in write_event(silent)


@pytest.mark.parametrize("name", ["a", "berlin-1.example_x", "0"])
def test_a_name_of_an_agent(name: str) -> None:
    assert is_agent_name(name)
    assert messages.read_enrol_request({**ENROL, "name": name}).name == name


@pytest.mark.parametrize("name", ["a/b", "a@b", "-a", "a b", "\u00fc", "a" * 64, "a\n"])
def test_no_name_of_an_agent(name: str) -> None:
    assert said({**ENROL, "name": name}, messages.read_enrol_request).startswith("name: ")


def test_secrets_are_not_shown_by_accident() -> None:
    assert "s3cret" not in repr(EnrolRequest(1, "s3cret", "a", PUBLIC, "1", "s3cret"))


def test_a_public_key_is_one() -> None:
    assert said({**ENROL, "public_key": "AAAA"}, messages.read_enrol_request).startswith("public_key: ")


def test_a_poll_waits_no_longer_than_a_minute() -> None:
    assert said({"protocol": 1, "cursor": 0, "wait_s": 61}, messages.read_poll_request).startswith("wait_s: it is 61")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
READERS = [
    (messages.read_enrol_request, ENROL),
    (messages.read_enrol_answer, {"protocol": 1, "agent": "a", "name": "n", "manager_key": PUBLIC, "time": AT}),
    (messages.read_poll_request, {"protocol": 1, "cursor": 0, "wait_s": 1, "version": "1"}),
    (messages.read_poll_answer, {"protocol": 1, "items": [], "time": AT}),
    (messages.read_events_request, batch(REPORT, {"kind": "inventory", "at": AT, "targets": [TARGET]})),
    (messages.read_events_answer, {"applied": 1}),
]


@given(st.data())
def test_whatever_is_sent_is_read_or_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    read, good = data.draw(st.sampled_from(READERS))
    whole = json.loads(json.dumps(good))
    where = whole
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [
            each for each in (where.values() if isinstance(where, dict) else where) if isinstance(each, dict | list)
        ]
        if not inner:
            break
        where = data.draw(st.sampled_from(inner))
    if isinstance(where, dict):
        where[data.draw(st.sampled_from([*where, "other"]))] = data.draw(ANY_JSON)
    else:
        where.append(data.draw(ANY_JSON))
    with suppress(MessageError):
        read(whole)
