"""The OpenAPI document, complete: what each operation asks for and every problem that it may answer."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tidegate.manager.api.agent_schemas import AGENT_SCHEMAS
from tidegate.manager.api.problems import MEDIA_TYPE
from tidegate.manager.api.router import GuardedRoute
from tidegate.manager.api.webhook_schemas import WEBHOOK_SCHEMAS

_WRITES = frozenset({"post", "put", "patch", "delete"})
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_SAYS = {
    400: "The request cannot be read.",
    401: "There is no token, or it is not valid (any more).",
    403: "The token's role does not allow this.",
    404: "What the request names is not there.",
    408: "The body took too long.",
    409: "It does not go with what is there now, or the same request is still being answered.",
    412: "It was changed meanwhile: read it again.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    422: "A value cannot be used; `errors` says which and why.",
    426: "It is said in a version of the protocol that is not spoken.",
    428: "The edit does not say which edition it was made from.",
    429: "Too many requests: wait for `Retry-After` seconds.",
    500: "The manager has a fault.",
    503: "The database is locked, gone or full; nothing was done. Try again after `Retry-After` seconds.",
}
_ABOUT = """\
Updates of Docker Compose clusters: releases, approvals, windows, waves, rollback and status.

Every request but a few carries `Authorization: Bearer tg_...`. Errors are problem details (RFC 9457). Lists come in
pages: give `next` of one as `after` of the next. A write may carry an `Idempotency-Key`: sent again within 24 hours it
is answered as the first time, and done once. What can be edited has an `ETag`; an edit names it in `If-Match`. Times
are RFC 3339, in UTC.
"""


def describe(app: FastAPI) -> None:
    """Have `app.openapi()` give the complete document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    components = found.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= {"Problem": _problem_schema(), **AGENT_SCHEMAS, **WEBHOOK_SCHEMAS}
    for name, schema in schemas.items():
        if name.startswith("Page_"):  # FastAPI takes no description from a generic model
            schema["description"] = "One page of a list."
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "A token, `tg_<id>_<secret>`."},
        "password": {"type": "http", "scheme": "basic", "description": "The same as a password, with any user name."},
    }
    for route in app.routes:
        if isinstance(route, GuardedRoute) and route.include_in_schema:
            for method in route.methods or ():
                _complete(found["paths"][route.path_format][method.lower()], method.lower(), route)
    for operations in found["paths"].values():
        _say_etags(operations)
    return found


def _say_etags(operations: dict[str, Any]) -> None:
    """What can be edited is answered with its ETag."""
    if not any(_takes_if_match(one) for one in operations.values()):
        return
    for one in operations.values():
        if "200" in one["responses"]:
            about = {"description": "The edition that this is, for `If-Match`.", "schema": {"type": "string"}}
            one["responses"]["200"]["headers"] = {"ETag": about}


def _takes_if_match(operation: dict[str, Any]) -> bool:
    return any(one["name"].lower() == "if-match" for one in operation.get("parameters", ()))


def _complete(operation: dict[str, Any], method: str, route: GuardedRoute) -> None:
    assert route.access is not None  # noqa: S101 - `add_routes` refuses others
    person = route.access.permission is not None
    if person:
        operation["security"] = [{one: []} for one in route.schemes]
        operation["x-tidegate-permission"] = str(route.access.permission)
    if person and method in _WRITES:
        operation.setdefault("parameters", []).append(_idempotency_key())
    responses = operation["responses"]
    responses.pop("422", None)
    declared = {int(known) for known in responses}
    for status in sorted(_statuses(operation, method, route) | {known for known in declared if known in _SAYS}):
        if not responses.get(str(status), {}).get("content"):
            responses[str(status)] = _problem(status)


def _statuses(operation: dict[str, Any], method: str, route: GuardedRoute) -> set[int]:
    person = route.access is not None and route.access.permission is not None
    found = {500, 503}
    if person:
        found |= {401, 403, 422, 429}
    if "{" in route.path:
        found |= {404, 422}
    if operation.get("parameters"):
        found.add(422)
    if method in _WRITES:
        found |= {400, 408, 409, 413, 422}
    if operation.get("requestBody"):
        found |= {415}
    if _takes_if_match(operation):
        found |= {412, 428}
    return found


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {"description": _SAYS[status], "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        about = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        found["headers"] = {"Retry-After": about}
    return found


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "A name for this request, chosen anew for each, such as a UUID.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _problem_schema() -> dict[str, Any]:
    def text(about: str) -> dict[str, Any]:
        return {"type": "string", "description": about}

    return {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": text("`urn:tidegate:problem:` and the code."),
            "title": text("The name of the HTTP status."),
            "status": {"type": "integer", "description": "The HTTP status."},
            "detail": text("What was refused, why, and what is accepted, in a sentence for people."),
            "code": text("What kind of problem it is, for programs."),
            "errors": {
                "type": "array",
                "description": "Each value that is at fault.",
                "items": {
                    "type": "object",
                    "description": "A value that is at fault.",
                    "required": ["field", "message"],
                    "properties": {
                        "field": text("Where it is, such as `body.name` or `query.limit`."),
                        "message": text("What is wrong with it, and what it takes."),
                    },
                },
            },
            "accepted": {"description": "What would have been accepted."},
            "expected": {"type": "integer", "description": "With `gap`: the number of the event that is missing."},
            "time": {"type": "integer", "description": "With `clock-skew`: what time it is here, in unix seconds."},
            "proofs": {
                "type": "array",
                "description": "With `clock-skew`: that time for the nonce of the request, signed by each key that the "
                "manager has; none where the request has no nonce.",
                "items": {"type": "string", "description": "An Ed25519 signature: 64 bytes in base64."},
            },
        },
    }
