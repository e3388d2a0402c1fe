"""What asks for no token: whether the process and its database are there, and what the API is."""

from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field
from sqlalchemy import text
from starlette.responses import HTMLResponse, JSONResponse

from tidegate.manager.api.access import anybody
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.problems import UNAVAILABLE, Problem
from tidegate.manager.api.reading import CONTENT_SECURITY_POLICY, page
from tidegate.manager.api.router import API
from tidegate.manager.api.router import router as make_router

router = make_router("health", prefix="")
_SAYS_NOTHING = "it says nothing that matters"
_SAME_FOR_ALL = anybody("it is the same for everybody")
_KEPT = {"Cache-Control": "max-age=300"}


class Health(BaseModel):
    """That it is there."""

    status: str = Field(description="`ok`.")


@router.get("/healthz", dependencies=[anybody(_SAYS_NOTHING)])
async def process_health() -> Health:
    """Whether the process answers."""
    return Health(status="ok")


@router.get("/readyz", dependencies=[anybody(_SAYS_NOTHING)])
async def readiness(parts: PartsHere) -> Health:
    """Whether requests can be answered: the database does, and the process is not about to end."""
    if parts.stopping.is_set():
        raise Problem(UNAVAILABLE, "stopping", "The manager is about to end.", headers={"Retry-After": "5"})
    if parts.db.cannot_write is not None:
        await parts.db.try_to_write()
    async with parts.db.read() as conn:
        await conn.execute(text("SELECT 1"))
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
