"""What becomes of everything that may be raised while a request is answered."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from tidegate.manager.agents.newest_key import KeyBehindError
from tidegate.manager.api.door import Door
from tidegate.manager.api.problems import CONFLICT, INVALID, UNAVAILABLE, Problem, response
from tidegate.manager.api.refused import faults
from tidegate.manager.people.audit import AuditBrokenError
from tidegate.manager.store.errors import StoreUnavailableError

_log = structlog.get_logger(__name__)


def add_handlers(app: FastAPI) -> None:
    """Have every error answered as problem details."""
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)


async def answer_of(request: Request, error: Exception) -> Response | None:
    """The same for who asks without the app; None for what the program is at fault for."""
    for kind, handler in _HANDLERS.items():
        if isinstance(error, kind):
            return await handler(request, error)
    return None


async def _problem(_: Request, error: Exception) -> Response:
    return response(cast("Problem", error))


async def _invalid(request: Request, error: Exception) -> Response:
    found = faults(cast("RequestValidationError", error).errors(), _body_type(request))
    return response(Problem(INVALID, "invalid", "; ".join(f"{f.field}: {f.message}" for f in found), errors=found))


def _body_type(request: Request) -> Any:
    field = getattr(request.scope.get("route"), "body_field", None)
    return field.field_info.annotation if field is not None else None


async def _http(request: Request, error: Exception) -> Response:
    try:
        request.app.state.parts.one(Door).slow_down(request)  # no route has done so
    except Problem as problem:
        return response(problem)
    wrong = cast("HTTPException", error)
    status = HTTPStatus(wrong.status_code)
    path = request.url.path
    match status:
        case HTTPStatus.NOT_FOUND:
            detail = f"There is nothing at {path}; /openapi.json lists what there is."
            return response(Problem(status, "not-found", detail))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allow = ", ".join(sorted(_methods(request)))
            detail = f"{path} does not take {request.method}; it takes {allow}."
            return response(Problem(status, "method-not-allowed", detail, headers={"Allow": allow}))
        case _:
            code = status.phrase.lower().replace(" ", "-")
            return response(Problem(status, code, str(wrong.detail), headers=wrong.headers))


def _methods(request: Request) -> Iterable[str]:
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in fitting for method in route.methods or ()}


async def _unavailable(_: Request, error: Exception) -> Response:
    wrong = cast("StoreUnavailableError", error)
    _log.warning("the database could not be used", reason=str(wrong))
    again = {"Retry-After": str(wrong.retry_after_s)}
    detail = f"The request was not done: {wrong}. Try again in {wrong.retry_after_s} s."
    return response(Problem(UNAVAILABLE, "unavailable", detail, headers=again))


async def _key_behind(_: Request, error: Exception) -> Response:
    """Which file and which keys is for who reads the log."""
    wrong = cast("KeyBehindError", error)
    again = {"Retry-After": str(wrong.retry_after_s)}
    detail = (
        "This replica's signing key is not the newest that the database knows, so it signs nothing, and nothing was "
        "done. Its log says what to do; another replica may answer meanwhile."
    )
    return response(Problem(UNAVAILABLE, "signing-key", detail, headers=again))


async def _audit_broken(_: Request, error: Exception) -> Response:
    wrong = cast("AuditBrokenError", error)
    _log.error("nothing is written: the audit log does not hold", reason=str(wrong))
    again = {"Retry-After": str(wrong.retry_after_s)}
    return response(Problem(UNAVAILABLE, "audit-log", f"The request was not done: {wrong}.", headers=again))


async def _overtaken(_: Request, error: Exception) -> Response:
    _log.info("a write was overtaken by another", reason=type(cast("IntegrityError", error).orig).__name__)
    detail = (
        "Something that this refers to was changed or made meanwhile; nothing was done. Read it again and try anew."
    )
    return response(Problem(CONFLICT, "overtaken", detail))


_HANDLERS: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    Problem: _problem,
    RequestValidationError: _invalid,
    HTTPException: _http,
    KeyBehindError: _key_behind,  # before what it is one of
    AuditBrokenError: _audit_broken,  # as above
    StoreUnavailableError: _unavailable,
    IntegrityError: _overtaken,
}
