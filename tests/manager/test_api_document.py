"""The OpenAPI document is complete, and can be read."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.support.manager import People

from tidegate.domain.channel_policy import ChannelPolicyError, read_channel_policy
from tidegate.manager.api.app import ROUTERS
from tidegate.manager.api.models import TAKES
from tidegate.manager.api.policy_model import POLICY_SCHEMA
from tidegate.manager.api.reading import page
from tidegate.manager.api.router import GuardedRoute
from tidegate.protocol import messages
from tidegate.protocol.events import Sighting
from tidegate.protocol.keys import load_key, make_key
from tidegate.protocol.requests import NONCE_HEADER, signed_headers

Operation = tuple[str, dict[str, Any]]


def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def fields(name: str, schema: Any) -> Iterator[tuple[str, Any]]:
    """Every property of a schema, and of those within it."""
    if isinstance(schema, dict):
        for key, one in (schema.get("properties") or {}).items():
            yield f"{name}.{key}", one
        for key, one in schema.items():
            yield from fields(f"{name}.{key}", one)
    elif isinstance(schema, list):
        for one in schema:
            yield from fields(name, one)


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    assert [name for name, one in operations(document) if not one.get("description")] == []
    assert len(operations(document)) > 30


def test_every_field_has_a_description(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    found = [field for name, schema in schemas.items() for field in fields(name, schema)]
    found += [field for name, one in operations(document) for field in fields(name, one.get("requestBody"))]
    assert len(found) > 100
    assert [name for name, schema in found if not schema.get("description")] == []


def patterns(schema: Any) -> Iterator[str]:
    """Every pattern that there is anywhere in it."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    for one in schema if isinstance(schema, list) else ():
        yield from patterns(one)


def test_who_is_refused_for_a_pattern_is_told_in_words_what_is_taken(document: dict[str, Any]) -> None:
    found = set(patterns(document["components"]))
    assert len(found) > 4
    assert found - set(TAKES) == set()


def test_every_whole_number_that_people_send_has_a_least_and_a_most(document: dict[str, Any]) -> None:
    """A database takes none beyond its own, which would be a fault of ours."""
    schemas = document["components"]["schemas"]
    of_people = [(name, one) for name, one in operations(document) if "security" in one]
    found = [(f"{name} {it['name']}", it["schema"]) for name, one in of_people for it in one.get("parameters", ())]
    found += [(name, one.get("requestBody")) for name, one in of_people]
    whole = [one for name, schema in found for one in whole_numbers(name, schema, schemas)]
    assert len({name for name, _ in whole}) > 30
    assert [name for name, schema in whole if "maximum" not in schema or "minimum" not in schema] == []


def whole_numbers(name: str, schema: Any, schemas: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every integer that there is anywhere in it, or in what it refers to."""
    if isinstance(schema, list):
        for one in schema:
            yield from whole_numbers(name, one, schemas)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "integer":
        yield name, schema
    if "$ref" in schema:
        yield from whole_numbers(name, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for key, one in schema.items():
        yield from whole_numbers(f"{name}.{key}", one, schemas)


@pytest.mark.parametrize("name", ["success_percent", "approvals"])
def test_a_policy_takes_the_numbers_that_the_document_says(name: str) -> None:
    said = POLICY_SCHEMA["properties"][name]
    for number in (said["minimum"], said["maximum"]):
        read_channel_policy({"mode": "approval" if number else "automatic", name: number})
    for number in (said["minimum"] - 1, said["maximum"] + 1):
        with pytest.raises(ChannelPolicyError, match=name):
            read_channel_policy({"mode": "approval", name: number})


def test_whole_numbers_and_truths_in_bodies_are_those_of_json() -> None:
    """`true` is no 1, and "yes" is not `true`: what is meant otherwise would start something."""
    models = [(name, TypeAdapter(one)) for name, one in bodies()]
    cores = [(name, core) for name, one in models for core in cores_of(one.core_schema)]
    assert len(cores) > 10
    assert [name for name, core in cores if not core.get("strict")] == []


def bodies() -> Iterator[tuple[str, Any]]:
    """The model of each document that a request holds."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, GuardedRoute) and route.body_field is not None:
                yield f"{route.methods} {route.path}", route.body_field.field_info.annotation


def cores_of(core: Any) -> Iterator[dict[str, Any]]:
    """Every whole number and truth in what pydantic makes of a type."""
    if isinstance(core, dict):
        if core.get("type") in {"int", "bool"}:
            yield core
        core = list(core.values())
    for one in core if isinstance(core, list | tuple) else ():
        yield from cores_of(one)


def test_every_schema_has_a_description(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert [name for name, one in schemas.items() if not one.get("description")] == []


def test_every_parameter_has_a_description(document: dict[str, Any]) -> None:
    parameters = [(name, it) for name, one in operations(document) for it in one.get("parameters", ())]
    assert [f"{name} {it['name']}" for name, it in parameters if not it.get("description")] == []


def test_every_operation_lists_its_problems_as_problem_details(document: dict[str, Any]) -> None:
    for name, one in operations(document):
        problems = {status: it for status, it in one["responses"].items() if status >= "400"}
        assert {"500", "503"} <= set(problems), name
        for status, it in problems.items():
            assert list(it["content"]) == ["application/problem+json"], f"{name} {status}"
        if "security" in one:
            assert {"401", "403", "422", "429"} <= set(problems), name


def test_every_write_takes_an_idempotency_key_and_every_edit_an_if_match(document: dict[str, Any]) -> None:
    for name, one in operations(document):
        headers = {it["name"] for it in one.get("parameters", ()) if it["in"] == "header"}
        method = name.split()[0]
        if method != "GET" and "security" in one:
            assert "Idempotency-Key" in headers, name
        if method in {"PUT", "PATCH", "DELETE"} and not name.endswith("/agents/enrolments/{id}"):
            assert "If-Match" in headers, name
            assert {"412", "428"} <= set(one["responses"]), name


NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = load_key(make_key())
SAID: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "enrol": (
        [messages.write_enrol_request(messages.EnrolRequest(1, "te_1_x", "berlin1", "k", "1.0", "p"))],
        messages.write_enrol_answer(messages.EnrolAnswer(1, "a", "berlin1", "k", NOON)),
    ),
    "poll": (
        [messages.write_poll_request(messages.PollRequest(1, 0, 5, "1.0", key)) for key in ("", "k")],
        messages.write_poll_answer(messages.PollAnswer(1, (messages.Item(1, "{}", "s"),), NOON)),
    ),
    "events": (
        [
            messages.write_events_request(
                messages.EventsRequest(1, "s", 1, (Sighting(NOON, "r/app", "1", "d"),), skipped)
            )
            for skipped in (False, True)
        ],
        messages.write_events_answer(messages.EventsAnswer(1)),
    ),
}
"""What an agent asks, with and without what it may leave out; and what it is answered."""


def schema_of(said: dict[str, Any]) -> dict[str, Any]:
    return dict(said["content"]["application/json"]["schema"])


@pytest.mark.parametrize("what", SAID)
def test_what_agents_ask_and_are_answered_is_what_the_document_says(document: dict[str, Any], what: str) -> None:
    operation, (asked, answered) = document["paths"][f"/api/v1/agent/{what}"]["post"], SAID[what]
    asks, answers = schema_of(operation["requestBody"]), schema_of(operation["responses"]["200"])
    assert set(asks["properties"]) == {name for one in asked for name in one}
    assert set(asks["required"]) <= set.intersection(*(set(one) for one in asked))
    assert set(answers["properties"]) == set(answers["required"]) == set(answered)
    for said, schema in ((asked[0], asks), (answered, answers)):
        for name, one in said.items():
            described = schema["properties"][name]
            assert (described["type"] == "array") is isinstance(one, list), name
            if isinstance(one, list) and name != "events":  # those are in `test_api_document_agents`
                assert set(described["items"]["properties"]) == set(described["items"]["required"]) == set(one[0]), name


def test_what_signs_a_request_is_in_the_document(document: dict[str, Any]) -> None:
    signs = set(signed_headers(KEY, "a" * 32, "POST", "/", b"", time_s=1))
    for what, needed in (("enrol", set()), ("poll", signs), ("events", signs)):
        parameters = document["paths"][f"/api/v1/agent/{what}"]["post"].get("parameters", ())
        assert {it["name"] for it in parameters if it["required"]} == needed, what
        assert {it["name"] for it in parameters if not it["required"]} == ({NONCE_HEADER} if needed else set()), what


def test_every_list_is_paged_and_has_a_filter(document: dict[str, Any]) -> None:
    lists = {
        name: {it["name"] for it in one["parameters"] if it["in"] == "query"}
        for name, one in operations(document)
        if one["responses"]
        .get("200", {})
        .get("content", {})
        .get("application/json", {})
        .get("schema", {})
        .get("$ref", "")
        .rpartition("/")[2]
        .startswith("Page_")
    }
    assert len(lists) > 12
    assert {name: sorted(found) for name, found in lists.items() if not found > {"limit", "after"}} == {}


def test_names_of_operations_are_each_used_once(document: dict[str, Any]) -> None:
    names = [one["operationId"] for _, one in operations(document)]
    assert len(names) == len(set(names))


def test_the_page_for_people_has_every_operation_and_every_document(document: dict[str, Any]) -> None:
    shown = page(document)
    for name, _ in operations(document):
        assert f"<code>{name}</code>" in shown, name
    for name in document["components"]["schemas"]:
        assert f"<code>{name}</code>" in shown, name


def test_every_link_of_the_page_for_people_leads_to_a_place_in_it(document: dict[str, Any]) -> None:
    shown = page(document)
    links, places = re.findall(r'href="([^"]*)"', shown), re.findall(r'id="([^"]*)"', shown)
    assert len(links) > 100
    assert {link.removeprefix("#") for link in links} <= set(places)
    assert len(places) == len(set(places))


def test_nothing_in_the_document_is_markup_on_the_page_for_people(document: dict[str, Any]) -> None:
    strange = json.loads(json.dumps(document).replace("Its number", "<script>x"))
    shown = page(strange)
    assert "&lt;script&gt;x" in shown
    assert "<script" not in shown


async def test_the_page_for_people_may_load_nothing(people: People) -> None:
    answer = await people.nobody.get("/docs")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "GET /api/v1/agents" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
