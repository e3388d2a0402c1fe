"""The OpenAPI document is complete."""

from collections.abc import Iterator
from typing import Any

import pytest

from tidegate.manager.api.app import create_app
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
