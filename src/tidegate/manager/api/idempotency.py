"""Writes that may be sent twice and are done once: `Idempotency-Key`.

What a request answered is kept in the transaction of what it did, so there is either both or neither. An answer that
refuses is not kept, because nothing was done.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import structlog
from fastapi import Request
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from tidegate.manager.api.problems import CONFLICT, INVALID, Fault, Problem
from tidegate.manager.parts import Parts
from tidegate.manager.people.tokens import Who
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import idempotency

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
_LOOK_S = 3600
_FORM = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("etag", "location", "content-type")
_log = structlog.get_logger(__name__)

Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class Running:
    """The keys of requests that are being answered now."""

    def __init__(self, _: Parts) -> None:
        self.keys: set[tuple[int, str]] = set()


class Forgetting:
    """A service: takes away what was kept long enough."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """Look once an hour."""
        while True:
            async with self._parts.db.write() as conn:
                await conn.execute(delete(idempotency).where(idempotency.c.at <= self._parts.clock() - KEPT))
            await asyncio.sleep(_LOOK_S)


async def once(request: Request, body: bytes, answer: Answer) -> Response:
    """Answer a write in one transaction, which `request.state.conn` is; a repeated one as it was answered before.

    What the endpoint leaves in `request.state.afterwards` is done when that is committed.
    """
    request.state.afterwards = []
    response = await _answered(request, body, answer)
    for work in request.state.afterwards:
        try:
            await work()
        except StoreUnavailableError as error:  # the write itself is done, so that is the answer
            _log.warning("what follows from a write comes later", reason=str(error))
    return response


async def _answered(request: Request, body: bytes, answer: Answer) -> Response:
    parts: Parts = request.app.state.parts
    key = _key(request)
    if key is None:
        async with parts.db.write() as conn:
            request.state.conn = conn
            return await answer(request)
    who: Who = request.state.who
    running, mine = parts.one(Running).keys, (who.token_id, key)
    if mine in running:
        raise _still_running(key)
    running.add(mine)
    try:
        return await _once(request, key, _hash(request, body), answer)
    finally:
        running.discard(mine)


async def _once(request: Request, key: str, asked: str, answer: Answer) -> Response:
    parts: Parts = request.app.state.parts
    row = {"token_id": request.state.who.token_id, "key": key, "request_hash": asked, "at": parts.clock()}
    async with parts.db.write() as conn:
        before = await _claimed(conn, row)
        if before is not None:
            return before
        request.state.conn = conn
        response = await answer(request)
        await _keep(conn, row, response, request)
        return response


async def _claimed(conn: AsyncConnection, row: dict[str, Any]) -> Response | None:
    """What was answered before; None: the key is this request's now."""
    mine = (idempotency.c.token_id == row["token_id"]) & (idempotency.c.key == row["key"])
    await conn.execute(delete(idempotency).where(mine, idempotency.c.at <= row["at"] - KEPT))
    found = (await conn.execute(select(idempotency).where(mine))).one_or_none()
    if found is None:
        try:
            await conn.execute(insert(idempotency).values(row))
        except IntegrityError:  # another replica is at it
            raise _still_running(row["key"]) from None
        return None
    if found.request_hash != row["request_hash"]:
        raise Problem(
            INVALID,
            "idempotency-mismatch",
            f"{HEADER} {row['key']!r} was used for another request within the last 24 hours; take a new one.",
            errors=[Fault(f"header.{HEADER}", "it was used for another request")],
        )
    return Response(found.body or "", found.status, dict(found.headers or {}) | {"Idempotency-Replayed": "true"})


async def _keep(conn: AsyncConnection, row: dict[str, Any], response: Response, request: Request) -> None:
    mine = (idempotency.c.token_id == row["token_id"]) & (idempotency.c.key == row["key"])
    kept = getattr(request.state, "kept_body", None)
    body = bytes(response.body).decode() if kept is None else kept
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    await conn.execute(update(idempotency).where(mine).values(status=response.status_code, headers=headers, body=body))


def _key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and _FORM.fullmatch(key) is None:
        message = "it takes 1 to 255 visible ASCII characters, such as a UUID"
        raise Problem(INVALID, "invalid", f"{HEADER}: {message}", errors=[Fault(f"header.{HEADER}", message)])
    return key


def _hash(request: Request, body: bytes) -> str:
    parts = [request.method, request.url.path, request.url.query, request.headers.get("if-match", "")]
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + body).hexdigest()


def _still_running(key: str) -> Problem:
    detail = f"The request with {HEADER} {key!r} is still being answered; ask again in a moment."
    return Problem(CONFLICT, "idempotency-running", detail, headers={"Retry-After": "1"})
