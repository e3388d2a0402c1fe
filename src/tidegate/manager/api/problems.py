"""Errors as problem details (RFC 9457)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from tidegate.protocol.problems import PROBLEM

MEDIA_TYPE = "application/problem+json"

BAD_REQUEST = HTTPStatus.BAD_REQUEST
UNAUTHORIZED = HTTPStatus.UNAUTHORIZED
FORBIDDEN = HTTPStatus.FORBIDDEN
NOT_FOUND = HTTPStatus.NOT_FOUND
CONFLICT = HTTPStatus.CONFLICT
STALE = HTTPStatus.PRECONDITION_FAILED
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
INVALID = HTTPStatus.UNPROCESSABLE_ENTITY
CONDITION_NEEDED = HTTPStatus.PRECONDITION_REQUIRED
TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request; `field` is where, such as `body.name` or `query.limit`."""

    field: str
    message: str


class Problem(Exception):  # noqa: N818 - it is what RFC 9457 calls it
    """A request that is refused. `detail` says what, why, and what is accepted; `more` are members of its own."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        accepted: Any = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.accepted, self.headers, self.more = tuple(errors), accepted, dict(headers or {}), more


def invalid(field: str, message: str, *, accepted: Any = None) -> Problem:
    """A value that cannot be used."""
    return Problem(INVALID, "invalid", f"{field}: {message}", errors=[Fault(field, message)], accepted=accepted)


def not_found(what: str, hint: str = "") -> Problem:
    """Something that is not there; `what` is such as `window 3`."""
    return Problem(NOT_FOUND, "not-found", f"There is no {what}." + (f" {hint}" if hint else ""))


def conflict(code: str, detail: str) -> Problem:
    """Something that does not go with what is there."""
    return Problem(CONFLICT, code, detail)


def may_answer(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems that a route may answer beside the usual ones, for its `responses`; the document says what they mean."""
    return {status: {"description": ""} for status in statuses}


def document(problem: Problem) -> dict[str, Any]:
    """What is sent."""
    found: dict[str, Any] = {
        "type": f"{PROBLEM}{problem.code}",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": problem.detail,
        "code": problem.code,
    }
    if problem.errors:
        found["errors"] = [{"field": one.field, "message": one.message} for one in problem.errors]
    if problem.accepted is not None:
        found["accepted"] = problem.accepted
    return found | problem.more


def response(problem: Problem) -> JSONResponse:
    """The answer to a request that is refused."""
    return JSONResponse(document(problem), int(problem.status), problem.headers, MEDIA_TYPE)
