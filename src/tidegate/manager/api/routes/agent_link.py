"""What agents ask. They sign their requests, so no token is asked for; nothing here goes over models."""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse, Response

from tidegate.manager.agents.link import AgentLink
from tidegate.manager.agents.refusals import RefusedError
from tidegate.manager.api.access import anybody
from tidegate.manager.api.agent_document import ENROL, EVENTS, POLL
from tidegate.manager.api.door import Door, address_of
from tidegate.manager.api.problems import Fault, Problem, may_answer
from tidegate.manager.api.router import router as make_router
from tidegate.manager.parts import Parts

router = make_router("agent link")
_UNKNOWN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_PROBLEMS = may_answer(401, 403, 426, 429)


async def _knows(request: Request) -> bool:
    """Whether it names an agent that has enrolled; whether it is from that agent is seen by its body alone."""
    try:
        return await _link(request).knows(request.headers)
    except RefusedError as error:
        found = _refused(request, error)
        found.headers["Connection"] = "close"  # its body is not read
        raise found from None


_TOKEN = anybody("it takes a one-time token", counted=False, small=True)  # see `enrol`
_POLLS = anybody("agents sign their requests", counted=False, small=True, knows=_knows)
_TELLS = anybody("agents sign their requests", counted=False, knows=_knows)


@router.post("/agent/enrol", dependencies=[_TOKEN], openapi_extra=ENROL, responses=_PROBLEMS)
async def enrol(request: Request) -> Response:
    """Let an agent in that has a one-time token."""
    _door(request).slow_down(request)  # each has a part in a transaction that writes, a forged one, too
    link = _link(request)
    try:
        answer = await link.enrol(await request.body(), address_of(request))
    except RefusedError as error:
        raise _problem(error) from None
    _door(request).forgive(request)
    return JSONResponse(answer)


@router.post("/agent/poll", dependencies=[_POLLS], openapi_extra=POLL, responses=_PROBLEMS)
async def poll(request: Request) -> Response:
    """Hold an agent's poll until there is something for it. Signed by the agent."""

    async def work() -> dict[str, Any]:
        link, body = _link(request), await request.body()
        agent = await link.who(request.method, _target(request), request.headers, body)
        _door(request).count_agent(agent)
        return await link.poll(agent, body, address_of(request))

    return await _answered(request, work())


@router.post("/agent/events", dependencies=[_TELLS], openapi_extra=EVENTS, responses=_PROBLEMS)
async def events(request: Request) -> Response:
    """Apply a batch of an agent's events, once. Signed by the agent."""

    async def work() -> dict[str, Any]:
        link, body = _link(request), await request.body()
        agent = await link.who(request.method, _target(request), request.headers, body)
        _door(request).count_agent(agent)
        return await link.events(agent, body)

    return await _answered(request, work())


def _link(request: Request) -> AgentLink:
    parts: Parts = request.app.state.parts
    return parts.one(AgentLink)


def _door(request: Request) -> Door:
    door: Door = request.app.state.parts.one(Door)
    return door


def _target(request: Request) -> str:
    """The path with its query, as it was sent."""
    path = request.scope.get("raw_path") or request.url.path.encode()
    query = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


async def _answered(request: Request, work: Awaitable[dict[str, Any]]) -> Response:
    try:
        return JSONResponse(await work)
    except RefusedError as error:
        raise _refused(request, error) from None


def _refused(request: Request, error: RefusedError) -> Problem:
    """What is answered. Raises `Problem` itself where the address has shown too much that is no good."""
    if error.status in _UNKNOWN:
        _door(request).slow_down(request)
    return _problem(error)


def _problem(error: RefusedError) -> Problem:
    more = dict(error.more)
    faults = [Fault(one["field"], one["message"]) for one in more.pop("errors", ())]
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    accepted = more.pop("accepted", None)
    return Problem(
        HTTPStatus(error.status), error.code, str(error), errors=faults, accepted=accepted, headers=headers, **more
    )
