"""What asks for no token: whether the process and its database are there, and what the API is."""

import asyncio
import copy
from time import monotonic
from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, JSONResponse

from tidegate.manager.agents.link import AgentLink
from tidegate.manager.agents.newest_key import behind
from tidegate.manager.api.access import anybody
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.problems import UNAVAILABLE, Problem
from tidegate.manager.api.reading import CONTENT_SECURITY_POLICY, page
from tidegate.manager.api.router import API
from tidegate.manager.api.router import router as make_router
from tidegate.manager.parts import Parts
from tidegate.manager.store.errors import StoreUnavailableError

router = make_router("health", prefix="")
_PROBES = anybody("it says nothing that matters", counted=False)  # else who asks too much has others taken for dead
_FRESH_S = 0.2
_SAME_FOR_ALL = anybody("it is the same for everybody")
_KEPT = {"Cache-Control": "max-age=300"}


class Health(BaseModel):
    """That it is there."""

    status: str = Field(description="`ok`.")


class Readiness:
    """Asks whether the database answers, and lets us sign, for all who want to know at the same time.

    They are not counted.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turn = asyncio.Lock()
        self._until_s = 0.0
        self._away: StoreUnavailableError | None = None

    async def check(self) -> None:
        """Raises `StoreUnavailableError`, or `KeyBehindError`, where it does not, or did not a moment ago."""
        async with self._turn:
            if monotonic() >= self._until_s:
                try:
                    await self._ask()
                except StoreUnavailableError as error:
                    self._away = error
                else:
                    self._away = None
                self._until_s = monotonic() + _FRESH_S
        if self._away is not None:
            raise copy.copy(self._away)

    async def _ask(self) -> None:
        if self._parts.db.cannot_write is not None:
            await self._parts.db.try_to_write()
        async with self._parts.db.read() as conn:
            error = await behind(conn, self._parts.one(AgentLink).keys())
        if error is not None:
            raise error


@router.head("/healthz", dependencies=[_PROBES], include_in_schema=False)
@router.get("/healthz", dependencies=[_PROBES])
async def process_health() -> Health:
    """Whether the process answers."""
    return Health(status="ok")


@router.head("/readyz", dependencies=[_PROBES], include_in_schema=False)
@router.get("/readyz", dependencies=[_PROBES])
async def readiness(parts: PartsHere) -> Health:
    """Whether requests can be answered: the database does, our key is the newest, and the process is not to end."""
    if parts.stopping.is_set():
        raise Problem(UNAVAILABLE, "stopping", "The manager is about to end.", headers={"Retry-After": "5"})
    await parts.one(Readiness).check()
    return Health(status="ok")


@router.get("/openapi.json", dependencies=[_SAME_FOR_ALL], include_in_schema=False)
async def openapi(request: Request) -> Any:
    """What the API is."""
    return JSONResponse(request.app.openapi(), headers=_KEPT)


@router.get(f"{API}/docs", dependencies=[_SAME_FOR_ALL], include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """The same, for people to read."""
    state = request.app.state
    if not hasattr(state, "docs"):
        state.docs = page(request.app.openapi())
    return HTMLResponse(state.docs, headers={**_KEPT, "Content-Security-Policy": CONTENT_SECURITY_POLICY})
