"""What a manager has signed is read as it was written, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain.assignment import Assignment
from tidegate.protocol.fields import MessageError
from tidegate.protocol.keys import load_key, make_key, public_text, sign
from tidegate.protocol.signed import (
    Document,
    Pin,
    UnknownDocument,
    UnsignedError,
    Withdraw,
    read_document,
    read_unverified,
    seal,
    write_document,
)
from tidegate.protocol.version import may_send

MANAGER = load_key(make_key())
PINNED = public_text(MANAGER)
NOW = datetime(2026, 11, 25, 12, 0, 0, 17, tzinfo=UTC)
IT = Assignment(
    id="a1",
    agent="agent-1",
    target="autonomy/web",
    repository="ghcr.io/acme/web",
    digest="sha256:" + "b" * 64,
    generation=3,
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
    rollout="17",
    back=True,
    forced=True,
    health_timeout_s=90.5,
    tag="stable",
)
EACH = [IT, replace(IT, tag=""), Withdraw("agent-1", "autonomy/web", 3, NOW), Pin("agent-1", PINNED, NOW)]


def read(text: str, signature: str | None = None) -> Document:
    return read_document(PINNED, text, seal(MANAGER, text) if signature is None else signature)


@pytest.mark.parametrize("it", EACH)
def test_a_document_is_read_as_it_was_written(it: Assignment | Withdraw | Pin) -> None:
    assert read(write_document(it)) == it


def test_a_document_that_was_changed_is_not_read() -> None:
    text = write_document(IT)
    with pytest.raises(UnsignedError):
        read(text.replace('"generation":3', '"generation":4'), seal(MANAGER, text))


def test_an_assignment_says_no_tag_where_none_is_known_and_a_tag_is_signed_with_the_rest() -> None:
    text = write_document(IT)
    assert json.loads(text)["tag"] == "stable"
    assert "tag" not in json.loads(write_document(replace(IT, tag="")))
    for changed in (text.replace('"tag":"stable"', '"tag":"2-hotfix"'), text.replace(',"tag":"stable"', "")):
        with pytest.raises(UnsignedError):
            read(changed, seal(MANAGER, text))


def test_a_signature_of_another_key_or_for_another_purpose_is_none() -> None:
    text = write_document(IT)
    for signature in ("", seal(load_key(make_key()), text), sign(MANAGER, text.encode())):
        with pytest.raises(UnsignedError):
            read(text, signature)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "{}", '{"kind":"assignment"}', "[" * 100_000])
def test_what_is_signed_and_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(MessageError):
        read(text)


def test_a_kind_of_a_later_version_is_passed_over() -> None:
    assert read('{"kind":"novelty"}') == UnknownDocument("novelty")


def test_a_field_of_a_later_version_is_passed_over() -> None:
    assert read(json.dumps(json.loads(write_document(IT)) | {"novelty": [1]})) == IT


def test_what_nobody_signed_can_be_shown_to_people() -> None:
    assert read_unverified(write_document(IT)) == IT


def test_a_pinned_key_is_one() -> None:
    with pytest.raises(MessageError, match="key: "):
        read(write_document(Pin("agent-1", "AAAA", NOW)))


def test_an_agent_of_the_protocol_before_is_not_sent_what_it_does_not_know() -> None:
    assert [may_send(kind, 0) for kind in ("assignment", "withdraw", "pin")] == [True, True, False]
    assert may_send("pin", 1)
