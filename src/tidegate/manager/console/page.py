"""Making pages: every value is text to the templates, never markup."""

import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import HTMLResponse, Response

from tidegate import __version__
from tidegate.manager.console import words
from tidegate.manager.console.files import files
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import PERMISSIONS, Permission
from tidegate.manager.people.tokens import Who
from tidegate.manager.store.counters import current

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_SMALL = 1024
"""Bytes that are not worth being packed."""
_LEVEL = 5
PAGES = (
    ("/", "Fleet"),
    ("/rollouts", "Rollouts"),
    ("/releases", "Releases"),
    ("/channels", "Channels"),
    ("/calendar", "Calendar"),
    ("/charts", "Trends"),
    ("/quarantine", "Quarantine"),
    ("/alerts", "Alerts"),
    ("/agents", "Agents"),
    ("/audit", "Audit"),
    ("/tokens", "Tokens"),
)
"""What every page leads to: addresses and names."""
ONLY_FOR = {"/tokens": Permission.TOKENS}
"""What those pages ask for that are not for everybody."""


@cache
def environment() -> Environment:
    """The templates, one for all; everything that a page shows is escaped."""
    made = Environment(
        loader=PackageLoader("tidegate.manager.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= words.FILTERS
    made.globals |= {"file": files().address, "version": __version__, "pages": PAGES, "only_for": ONLY_FOR}
    return made


@contextlib.asynccontextmanager
async def reading(request: Request) -> AsyncIterator[AsyncConnection]:
    """Reads for a page, which is live from where the feed is now on."""
    parts: Parts = request.app.state.parts
    async with parts.db.read() as conn:
        request.state.feed_at = await current(conn, "feed")
        yield conn


def page(request: Request, name: str, status: int = HTTPStatus.OK, /, **facts: Any) -> Response:
    """A page of this template. It knows `who` has signed in (None: nobody), what they `may`, and `now`."""
    who: Who | None = getattr(request.state, "who", None)
    may = {str(one) for one in PERMISSIONS[who.role]} if who is not None else set[str]()
    now = request.app.state.parts.clock()
    told = {"who": who, "may": may, "now": now, "path": request.url.path, "at": getattr(request.state, "feed_at", "")}
    text = environment().get_template(name).render(**told, **facts)
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Vary": "Accept-Encoding, Cookie"}
    return packed(request, HTMLResponse(text, status, headers))


def packed(request: Request, response: Response) -> Response:
    """The answer in fewer bytes, if the browser takes it so. No page that is read has a secret of its own in it."""
    body = bytes(response.body)
    if request.method != "GET":  # it may be kept, as text, for who sends the same again; or hold what is shown once
        return response
    if len(body) >= _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(body, _LEVEL, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response


def problem_page(request: Request, problem: Response) -> Response:
    """What is refused, as people read it; status and headers stay."""
    told = json.loads(bytes(problem.body) or b"{}")
    made = page(request, "problem.html", problem.status_code, problem=told, back=_back(request))
    for name in ("retry-after", "allow"):
        if name in problem.headers:
            made.headers[name] = problem.headers[name]
    return made


def _back(request: Request) -> str:
    """Where somebody goes on who was refused: the page whose form it was."""
    path = request.url.path
    return path.rpartition("/")[0] or "/" if request.method not in {"GET", "HEAD"} else "/"
