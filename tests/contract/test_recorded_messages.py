"""What agents and managers of this protocol and the one before have said is still understood."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tidegate.domain.assignment import Assignment
from tidegate.domain.course import StepTook
from tidegate.domain.rollout_apply import Outcome
from tidegate.protocol import messages, requests
from tidegate.protocol.events import (
    Health,
    Inventory,
    InventoryTarget,
    LastScan,
    Member,
    Refusal,
    Report,
    Running,
    Sighting,
)
from tidegate.protocol.problems import Code
from tidegate.protocol.signed import Document, Pin, Withdraw, read_document, write_document
from tidegate.protocol.version import OLDEST, PROTOCOL

RECORDED = Path(__file__).parent / "recorded"
T0 = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
SPOKEN = range(OLDEST, PROTOCOL + 1)
FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "enrol-request": (messages.read_enrol_request, messages.write_enrol_request),
    "enrol-answer": (messages.read_enrol_answer, messages.write_enrol_answer),
    "poll-request": (messages.read_poll_request, messages.write_poll_request),
    "poll-answer": (messages.read_poll_answer, messages.write_poll_answer),
    "events-request": (messages.read_events_request, messages.write_events_request),
    "events-answer": (messages.read_events_answer, messages.write_events_answer),
}


def recorded(protocol: int, name: str) -> Any:
    return json.loads((RECORDED / str(protocol) / f"{name}.json").read_text())


def documents(protocol: int) -> list[Document]:
    key = messages.read_enrol_answer(recorded(protocol, "enrol-answer")).manager_key
    items = messages.read_poll_answer(recorded(protocol, "poll-answer")).items
    return [read_document(key, one.document, one.signature) for one in items]


@pytest.mark.parametrize("name", FORMS)
def test_a_message_is_written_as_it_was_read(name: str) -> None:
    read, write = FORMS[name]
    assert write(read(recorded(PROTOCOL, name))) == recorded(PROTOCOL, name)


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("name", FORMS)
def test_every_message_of_every_spoken_protocol_is_read(name: str, protocol: int) -> None:
    message = FORMS[name][0](recorded(protocol, name))
    assert getattr(message, "protocol", protocol) == protocol


@pytest.mark.parametrize("protocol", SPOKEN)
def test_a_request_of_every_spoken_protocol_is_known_by_its_signature(protocol: int) -> None:
    sent = recorded(protocol, "signed-request")
    claim = requests.read_claim(sent["headers"])
    assert claim is not None
    sides = (sent["public_key"], sent["method"], sent["target"])
    now_s = int(T0.timestamp())
    assert requests.fault_of(claim, *sides, sent["body"].encode(), now_s=now_s) is None
    assert requests.fault_of(claim, *sides, sent["body"].encode() + b" ", now_s=now_s) is Code.BAD_SIGNATURE


@pytest.mark.parametrize("protocol", SPOKEN)
def test_an_enrolment_of_every_spoken_protocol_proves_its_key(protocol: int) -> None:
    sent = messages.read_enrol_request(recorded(protocol, "enrol-request"))
    assert requests.proof_holds(sent.public_key, sent.token, sent.proof)


def test_the_documents_of_this_protocol_are_written_as_they_were_signed() -> None:
    items = messages.read_poll_answer(recorded(1, "poll-answer")).items
    assert [type(one) for one in documents(1)] == [Assignment, Assignment, Withdraw, Pin]
    assert [write_document(one) for one in documents(1) if isinstance(one, Assignment | Withdraw | Pin)] == [
        one.document for one in items
    ]


def test_an_assignment_of_the_protocol_before_forces_nothing_and_leaves_the_agent_its_time() -> None:
    first = documents(0)[0]
    assert isinstance(first, Assignment)
    assert (first.target, first.generation, first.rollout) == ("autonomy/orchestrator", 3, "17")
    assert (first.back, first.forced, first.health_timeout_s) == (False, False, None)


def test_the_events_of_the_protocol_before_count_with_what_they_do_not_say_left_open() -> None:
    inventory, begun, failed = messages.read_events_request(recorded(0, "events-request")).events
    repository = "ghcr.io/acme/orchestrator"
    assert isinstance(inventory, Inventory)
    assert inventory.targets[0] == InventoryTarget(
        "autonomy/orchestrator",
        f"{repository}:autonomy-latest",
        repository,
        "autonomy-latest",
        "sha256:" + "a" * 64,
        Running.RUNNING,
        Health.HEALTHY,
    )
    assert isinstance(begun, Report)
    assert isinstance(failed, Report)
    assert (begun.outcome, failed.outcome, failed.blame) == (Outcome.BEGUN, Outcome.FAILED, True)
    assert (failed.rollout, failed.duration_s) == ("", None)


def test_an_inventory_says_what_a_watchtower_counts_and_without_one_it_says_nothing_of_it() -> None:
    """The field came later: managers before it pass it over, and agents before it do not send it."""
    sent = recorded(1, "events-request-watchtower")
    request = messages.read_events_request(sent)
    (counting,) = request.events
    assert isinstance(counting, Inventory)
    assert counting.updater == LastScan(scanned=3, updated=1, failed=2, scans=7)
    assert messages.write_events_request(request) == sent
    (plain, *_) = messages.read_events_request(recorded(1, "events-request")).events
    assert isinstance(plain, Inventory)
    assert plain.updater is None


def test_the_events_of_this_protocol_are_all_of_its_kinds() -> None:
    sent = messages.read_events_request(recorded(1, "events-request"))
    assert [type(one) for one in sent.events] == [Inventory, Sighting, Report, Report, Refusal]
    assert sent.skipped


def test_containers_are_named_and_steps_told_and_where_there_are_none_nothing_is_said_of_them() -> None:
    """Both came later, too."""
    sent = recorded(1, "events-request-in-full")
    request = messages.read_events_request(sent)
    naming, failed = request.events
    assert isinstance(naming, Inventory)
    assert isinstance(failed, Report)
    assert failed.steps == (
        StepTook("prove", 6.25, "autonomy-orchestrator-1"),
        StepTook("create", 0.5, "autonomy-orchestrator-1", back=True),
        StepTook("bake", 1.0),
    )
    assert naming.targets[0].members == (
        Member("autonomy-orchestrator-1", "running", Health.HEALTHY, f"sha256:{'a' * 64}"),
        Member("autonomy-orchestrator-2", "exited", Health.NONE),
    )
    assert messages.write_events_request(request) == sent
    (plain, *_) = messages.read_events_request(recorded(1, "events-request")).events
    assert isinstance(plain, Inventory)
    assert plain.targets[0].members == ()
