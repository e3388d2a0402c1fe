"""What agents ask. They sign their requests, so no token is asked for; nothing here goes over models."""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse, Response

from tidegate.manager.agents.link import AgentLink
from tidegate.manager.agents.refusals import RefusedError
from tidegate.manager.api.access import anybody
from tidegate.manager.api.door import Door, address_of
from tidegate.manager.api.problems import Fault, Problem, may_answer
from tidegate.manager.api.router import router as make_router
from tidegate.manager.parts import Parts

router = make_router("agent link")
_UNKNOWN = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_PROBLEMS = may_answer(401, 403, 426, 429)
_TOKEN = anybody("it takes a one-time token")
_SIGNED = anybody("agents sign their requests")


_SAYS = {
    "protocol": "The version of what agent and manager say to each other.",
    "token": "The one-time token, `te_<id>_<secret>`.",
    "name": "The agent's name.",
    "public_key": "The agent's Ed25519 key: 32 bytes in base64.",
    "version": "The agent's version.",
    "proof": "The key's signature over the token.",
    "agent": "The agent's id.",
    "manager_key": "The manager's Ed25519 key: 32 bytes in base64.",
    "time": "The manager's clock.",
    "cursor": "The number of the last document that the agent has stored.",
    "wait_s": "For how many seconds the poll may be held.",
    "items": "Signed documents, each with its number.",
    "stream": "The id of the agent's log of events.",
    "first": "The number of the first event of the batch.",
    "events": "The events, in their order.",
    "applied": "The number of the last event that was applied.",
}


def _object(**properties: str) -> dict[str, Any]:
    """A JSON object whose members are of these types."""
    members = {name: {"type": kind, "description": _SAYS[name]} for name, kind in properties.items()}
    schema = {"type": "object", "required": list(properties), "properties": members}
    return {"content": {"application/json": {"schema": schema}}}


def _operation(asks: dict[str, Any], answers: dict[str, Any], says: str) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, **asks},
        "responses": {"200": {"description": says, **answers}},
    }


_ENROL = _operation(
    _object(protocol="integer", token="string", name="string", public_key="string", version="string", proof="string"),  # noqa: S106
    _object(protocol="integer", agent="string", name="string", manager_key="string", time="string"),
    "Who the agent is from now on, and the key of the manager, which it pins.",
)
_POLL = _operation(
    _object(protocol="integer", cursor="integer", wait_s="integer"),
    _object(protocol="integer", items="array", time="string"),
    "Signed documents after the cursor; none if there were none within `wait_s`.",
)
_EVENTS = _operation(
    _object(protocol="integer", stream="string", first="integer", events="array"),
    _object(applied="integer"),
    "The number of the last event that was applied.",
)


@router.post("/agent/enrol", dependencies=[_TOKEN], openapi_extra=_ENROL, responses=_PROBLEMS)
async def enrol(request: Request) -> Response:
    """Let an agent in that has a one-time token."""
    link = _link(request)
    return await _answered(request, link.enrol(await request.body(), address_of(request)))


@router.post("/agent/poll", dependencies=[_SIGNED], openapi_extra=_POLL, responses=_PROBLEMS)
async def poll(request: Request) -> Response:
    """Hold an agent's poll until there is something for it. Signed by the agent."""

    async def work() -> dict[str, Any]:
        link, body = _link(request), await request.body()
        agent = await link.who(request.method, _target(request), request.headers, body)
        return await link.poll(agent, body, address_of(request))

    return await _answered(request, work())


@router.post("/agent/events", dependencies=[_SIGNED], openapi_extra=_EVENTS, responses=_PROBLEMS)
async def events(request: Request) -> Response:
    """Apply a batch of an agent's events, once. Signed by the agent."""

    async def work() -> dict[str, Any]:
        link, body = _link(request), await request.body()
        agent = await link.who(request.method, _target(request), request.headers, body)
        return await link.events(agent, body)

    return await _answered(request, work())


def _link(request: Request) -> AgentLink:
    parts: Parts = request.app.state.parts
    return parts.one(AgentLink)


def _target(request: Request) -> str:
    """The path with its query, as it was sent."""
    path = request.scope.get("raw_path") or request.url.path.encode()
    query = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


async def _answered(request: Request, work: Awaitable[dict[str, Any]]) -> Response:
    try:
        return JSONResponse(await work)
    except RefusedError as error:
        if error.status in _UNKNOWN:
            request.app.state.parts.one(Door).slow_down(request)
        raise _problem(error) from None


def _problem(error: RefusedError) -> Problem:
    more = dict(error.more)
    faults = [Fault(one["field"], one["message"]) for one in more.pop("errors", ())]
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    accepted = more.pop("accepted", None)
    return Problem(
        HTTPStatus(error.status), error.code, str(error), errors=faults, accepted=accepted, headers=headers, **more
    )
