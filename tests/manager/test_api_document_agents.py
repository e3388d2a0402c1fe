"""What agents tell, what is signed for them, and what they and others are refused with, is in the OpenAPI document."""

import ast
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from tests.support.webhooks import DISTRIBUTION, DOCKER_HUB, GITHUB, HARBOR

import tidegate.manager
from tidegate.domain.assignment import Assignment
from tidegate.domain.channel_policy import read_channel_policy, write_channel_policy
from tidegate.domain.course import StepTook
from tidegate.domain.rollout_apply import Outcome
from tidegate.domain.webhook import Kind, WebhookError, read_webhook
from tidegate.manager.agents.refusals import RefusedError
from tidegate.manager.api.problems import NOT_FOUND, Problem
from tidegate.manager.api.problems import document as problem_document
from tidegate.protocol.events import (
    Event,
    Health,
    Inventory,
    InventoryTarget,
    LastScan,
    Member,
    Refusal,
    Report,
    Running,
    Sighting,
    UnknownEvent,
    read_event,
    write_event,
)
from tidegate.protocol.fields import Fields, MessageError
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.signed import Document, Pin, UnknownDocument, Withdraw, read_unverified, write_document

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
DIGEST = f"sha256:{'1' * 64}"
STEP = StepTook("prove", 1.5, "shop-web-1", back=True)
MEMBER = Member("shop-web-1", "running", Health.HEALTHY, DIGEST)
TARGET = InventoryTarget("shop/web", "app:1", "r/app", "1", DIGEST, Running.RUNNING, Health.HEALTHY, members=(MEMBER,))
EVENTS: dict[str, Event] = {
    "AgentInventory": Inventory(NOON, (TARGET,), LastScan(3, 1, 0, 7)),
    "AgentSighting": Sighting(NOON, "r/app", "1", DIGEST),
    "AgentReport": Report(
        NOON, "a", "1", "shop/web", 1, DIGEST, Outcome.FAILED, duration_s=1.5, output="no", steps=(STEP,)
    ),
    "AgentRefusal": Refusal(NOON, "a", "shop/web", 1, "why"),
    "AgentOtherEvent": UnknownEvent(NOON, "of-tomorrow"),
}
DOCUMENTS: dict[str, Assignment | Withdraw | Pin] = {
    "SignedAssignment": Assignment("a", "b", "shop/web", "r/app", DIGEST, 1, NOON, NOON, tag="1"),
    "SignedWithdraw": Withdraw("b", "shop/web", 1, NOON),
    "SignedPin": Pin("b", public_text(load_key(make_key())), NOON),
}


def test_every_kind_of_event_and_of_document_is_in_the_document(document: dict[str, Any]) -> None:
    assert {type(one) for one in EVENTS.values()} == set(get_args(Event))
    assert {type(one) for one in DOCUMENTS.values()} == set(get_args(Document)) - {UnknownDocument}
    schemas = document["components"]["schemas"]
    for name, some in (("AgentEvent", set(EVENTS)), ("SignedDocument", set(DOCUMENTS))):
        assert {one["$ref"].rpartition("/")[2] for one in schemas[name]["oneOf"]} == some


def test_requests_and_answers_refer_to_events_and_documents(document: dict[str, Any]) -> None:
    batch = document["paths"]["/api/v1/agent/events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert batch["properties"]["events"]["items"] == {"$ref": "#/components/schemas/AgentEvent"}
    answer = document["paths"]["/api/v1/agent/poll"]["post"]["responses"]["200"]["content"]["application/json"]
    item = answer["schema"]["properties"]["items"]["items"]["properties"]["document"]
    assert item["contentSchema"] == {"$ref": "#/components/schemas/SignedDocument"}


def fits(document: dict[str, Any], name: str, value: Any) -> bool:
    """Whether a value is what the document says of a component."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema_rs.validator_for(schema).is_valid(value)


def read_target(value: Any) -> None:
    """One target, as it is read within an inventory."""
    read_event(Fields({"kind": "inventory", "at": "2026-11-25T12:00:00Z", "targets": [value]}))


def read_member(value: Any) -> None:
    """One container, as it is read within a target."""
    read_target({**write_event(EVENTS["AgentInventory"])["targets"][0], "members": [value]})


def read_step(value: Any) -> None:
    """What was waited for, as it is read within a report."""
    read_event(Fields({**write_event(EVENTS["AgentReport"]), "steps": [value]}))


def read_updater(value: Any) -> None:
    """The counts of one, as they are read within an inventory."""
    read_event(Fields({"kind": "inventory", "at": "2026-11-25T12:00:00Z", "targets": [], "updater": value}))


SAID: dict[str, tuple[dict[str, Any], Callable[[Any], object]]] = {
    name: (write_event(one), lambda value: read_event(Fields(value))) for name, one in EVENTS.items()
}
SAID |= {
    "AgentInventoryTarget": (write_event(EVENTS["AgentInventory"])["targets"][0], read_target),
    "AgentMember": (write_event(EVENTS["AgentInventory"])["targets"][0]["members"][0], read_member),
    "AgentStep": (write_event(EVENTS["AgentReport"])["steps"][0], read_step),
    "AgentUpdaterCounts": (write_event(EVENTS["AgentInventory"])["updater"], read_updater),
}
SAID |= {
    name: (json.loads(write_document(one, 1)), lambda value: read_unverified(json.dumps(value)))
    for name, one in DOCUMENTS.items()
}
"""By components, what is written, and what reads it."""


@pytest.mark.parametrize("name", SAID)
def test_everything_that_is_written_is_described_and_what_is_needed_is_what_its_reader_asks_for(
    document: dict[str, Any], name: str
) -> None:
    schema, (said, read) = document["components"]["schemas"][name], SAID[name]
    assert set(schema["properties"]) == set(said)
    needed = set()
    for one in said:
        try:
            read({key: value for key, value in said.items() if key != one})
        except MessageError:
            needed.add(one)
    assert set(schema["required"]) == needed


@pytest.mark.parametrize("name", SAID)
def test_what_is_written_fits_what_is_described(document: dict[str, Any], name: str) -> None:
    assert fits(document, name, SAID[name][0])


@pytest.mark.parametrize("name", [*EVENTS, *DOCUMENTS])
def test_an_event_or_document_fits_what_is_described_of_its_kind_alone(document: dict[str, Any], name: str) -> None:
    assert fits(document, "AgentEvent" if name in EVENTS else "SignedDocument", SAID[name][0])
    assert [one for one in EVENTS | DOCUMENTS if fits(document, one, SAID[name][0])] == [name]


def test_an_event_of_tomorrow_fits_and_so_does_what_an_event_of_today_holds_then(document: dict[str, Any]) -> None:
    of_tomorrow = SAID["AgentSighting"][0] | {"of-tomorrow": 1}
    read_event(Fields(of_tomorrow))
    assert fits(document, "AgentEvent", of_tomorrow)


# problems

SENT = ast.parse("\n".join(one.read_text() for one in Path(tidegate.manager.__file__).parent.rglob("*.py")))


def members_sent() -> Iterator[str]:
    """The members of their own that problems are made with."""
    made = {one.__name__: set(inspect.signature(one).parameters) for one in (Problem, RefusedError)}
    for node in ast.walk(SENT):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in made:
            yield from {one.arg for one in node.keywords if one.arg} - made[node.func.id]


def test_every_member_of_a_problem_is_described(document: dict[str, Any]) -> None:
    described = set(document["components"]["schemas"]["Problem"]["properties"])
    found = set(members_sent())
    assert {"expected", "time", "proofs"} <= found
    assert found - described == set()
    assert set(problem_document(Problem(NOT_FOUND, "x", "y"))) <= described


# what has no members that are known

FREE = {"AuditEntry.before", "AuditEntry.after"}
"""What is in these goes by what was done."""
UNNAMED = {"properties", "anyOf", "oneOf", "items"}


def objects(path: str, schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that is described anywhere in it; what is told of a value goes by the value's name."""
    if isinstance(schema, list):
        for one in schema:
            yield from objects(path, one)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        yield path, schema
    for key, one in schema.items():
        yield from objects(path if key in UNNAMED else f"{path}.{key}".lstrip("."), one)


def test_every_object_has_members_that_are_described(document: dict[str, Any]) -> None:
    found = [*objects("", document["components"]["schemas"]), *objects("", document["paths"])]
    assert len(found) > 60
    bare = [name for name, one in found if not (one.get("properties") or one.get("patternProperties"))]
    typed = {name for name, one in found if isinstance(one.get("additionalProperties"), dict)}
    assert set(bare) - typed == FREE


def test_a_rollouts_policy_fits_the_document_with_a_wave_that_has_no_share(document: dict[str, Any]) -> None:
    kinds = document["components"]["schemas"]["Rollout"]["properties"]["policy"]["anyOf"]
    assert {"$ref": "#/components/schemas/PolicyOut"} in kinds
    policy = write_channel_policy(read_channel_policy({"waves": [{"labels": {"ring": "late"}}, "1"]}))
    assert "share" not in policy["waves"][0]
    assert fits(document, "PolicyOut", policy)


WEBHOOKS: dict[Kind, tuple[str, dict[str, Any]]] = {
    Kind.GENERIC: ("PlainWebhook", {"image": "r.test/app:1", "digest": DIGEST}),
    Kind.GITHUB: ("GitHubWebhook", GITHUB),
    Kind.DISTRIBUTION: ("DistributionWebhook", DISTRIBUTION),
    Kind.DOCKER_HUB: ("DockerHubWebhook", DOCKER_HUB),
    Kind.HARBOR: ("HarborWebhook", HARBOR),
}


class Reads(dict[str, Any]):
    """A document that notes which of its members are looked at."""

    def __init__(self, value: dict[str, Any]) -> None:
        super().__init__(value)
        self.names = set[str]()

    def get(self, name: Any, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)


@pytest.mark.parametrize("kind", Kind)
def test_what_is_read_of_every_kind_of_webhook_is_described(document: dict[str, Any], kind: Kind) -> None:
    name, said = WEBHOOKS[kind]
    body = document["paths"]["/api/v1/webhooks/{kind}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"$ref": f"#/components/schemas/{name}"} in body["anyOf"]
    full, bare = Reads(said), Reads({})
    assert read_webhook(kind, full)
    with pytest.raises(WebhookError):
        read_webhook(kind, bare)
    assert set(document["components"]["schemas"][name]["properties"]) == full.names | bare.names
    assert fits(document, name, said)
    assert not fits(document, name, {}) or kind is Kind.GITHUB
