"""The OpenAPI document is complete, and can be read."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.manager import People

from tidegate.manager.api.app import create_app
from tidegate.manager.api.models import TAKES
from tidegate.manager.api.reading import page
from tidegate.manager.parts import make_parts
from tidegate.manager.settings import load_manager_settings

Operation = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("document")
    return create_app(make_parts(load_manager_settings({"TIDEGATE_DATA": str(folder)}))).openapi()


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
