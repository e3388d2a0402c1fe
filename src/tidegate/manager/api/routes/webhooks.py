"""Registries telling that something was pushed. It has their channels asked; it is believed in nothing else."""

import json
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs

import structlog
from fastapi import Path, Request
from pydantic import BaseModel, Field

from tidegate.domain.webhook import Kind, WebhookError, read_webhook
from tidegate.manager.api.access import anybody
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.door import address_of
from tidegate.manager.api.problems import INVALID, MEDIA_TYPE, TOO_LARGE, UNAUTHORIZED, Fault, Problem
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.webhook_schemas import WEBHOOK
from tidegate.manager.parts import Parts
from tidegate.manager.releases.authentic import is_authentic, is_secret
from tidegate.manager.releases.channels import hinted

router = make_router("webhooks")
MOST_BYTES = 1 << 20
_FORM = "application/x-www-form-urlencoded"
_log = structlog.get_logger(__name__)
_PROBLEM = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_BODY = {"required": True, "content": {"application/json": {"schema": WEBHOOK}}}


class Taken(BaseModel):
    """What came of a webhook."""

    channels: list[str] = Field(description="The channels whose registries are asked now, `REPOSITORY:TAG` each.")


_ROUTE: dict[str, Any] = {
    "status_code": HTTPStatus.ACCEPTED,
    "dependencies": [anybody("it authenticates by a secret for its kind; without one it is refused")],
    "openapi_extra": {"requestBody": _BODY},
    "responses": {
        401: {"description": "It does not show the secret for its kind, or there is none.", **_PROBLEM},
        429: {"description": "Too many requests: wait for `Retry-After` seconds.", **_PROBLEM},
    },
}


@router.post("/webhooks/{kind}", **_ROUTE)
async def webhook(
    kind: Annotated[Kind, Path(description="Whose form the body has.")], request: Request, parts: PartsHere
) -> Taken:
    """Take a registry's word for it that a tag was pushed: the registry of a channel that is followed is asked now.

    `github` is signed (`X-Hub-Signature-256`); the others show their secret as `Authorization: Bearer SECRET`, as the
    password of `Basic`, or as the whole header. `generic` may be signed as well; it takes
    `{"image": "REPOSITORY:TAG"}`.
    """
    body = await request.body()
    secret = getattr(parts.settings, f"webhook_{kind}")
    _check(request, kind, body)
    if not is_authentic(kind, request.headers, body, secret):
        raise _refused(request, kind, secret)
    return await _taken(request, parts, kind, body)


@router.post("/webhooks/dockerhub/{secret}", **_ROUTE)
async def docker_hub_webhook(
    secret: Annotated[str, Path(max_length=1000, description="The secret for Docker Hub's webhooks.")],
    request: Request,
    parts: PartsHere,
) -> Taken:
    """Take Docker Hub's word for it, as of any other registry.

    Docker Hub sends no header of yours, so that the secret can only be in its address. Whoever reads it there, such as
    in the log of a proxy, can have registries asked, and nothing else.
    """
    body = await request.body()
    kept = parts.settings.webhook_dockerhub
    _check(request, Kind.DOCKER_HUB, body)
    if not is_secret(secret, kept):
        raise _refused(request, Kind.DOCKER_HUB, kept)
    return await _taken(request, parts, Kind.DOCKER_HUB, body)


async def _taken(request: Request, parts: Parts, kind: Kind, body: bytes) -> Taken:
    try:
        pushes = read_webhook(kind, _document(request, body))
    except WebhookError as error:
        raise _invalid(str(error)) from None
    async with parts.db.write() as conn:
        return Taken(channels=list(await hinted(conn, pushes, parts.clock())))


def _check(request: Request, kind: Kind, body: bytes) -> None:
    """Raises `Problem` unless it may be looked at."""
    if len(body) > MOST_BYTES:
        raise Problem(TOO_LARGE, "too-large", f"The body is larger than {MOST_BYTES} bytes, which no webhook is.")
    if request.query_params:
        where = "the path" if kind is Kind.DOCKER_HUB else "a header"
        detail = f"A webhook's address has no query: a secret in it would be logged on its way. Send it in {where}."
        raise Problem(INVALID, "invalid", detail, errors=[Fault("query", "it takes no parameters")])


def _refused(request: Request, kind: Kind, secret: str | None) -> Problem:
    shows = "X-Hub-Signature-256 by" if kind is Kind.GITHUB else "Authorization: Bearer with"
    why = "it does not show the secret" if secret else "no secret is set for its kind"
    _log.warning("a webhook was refused", kind=str(kind), address=address_of(request), why=why)
    detail = (
        f"A webhook of {kind} takes {shows} the secret of TIDEGATE_WEBHOOK_{kind.upper()}; without one it is refused."
    )
    return Problem(UNAUTHORIZED, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})


def _document(request: Request, body: bytes) -> Any:
    """The body decoded; GitHub sends a form with a `payload` unless it is told otherwise."""
    try:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
            body = "".join(parse_qs(body.decode(), max_num_fields=9).get("payload", [])).encode()
        return json.loads(body)
    except (ValueError, RecursionError):
        raise _invalid("it is not JSON") from None


def _invalid(why: str) -> Problem:
    return Problem(INVALID, "invalid", f"body: {why}", errors=[Fault("body", why)])
