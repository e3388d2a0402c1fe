"""Routes of pages: who has signed in is let in, what is refused is a page too, and writes come from our own forms."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.bodies import Bodies
from tidegate.manager.api.body import check_address
from tidegate.manager.api.door import Door
from tidegate.manager.api.handlers import answer_of
from tidegate.manager.api.idempotency import once
from tidegate.manager.api.router import GuardedRoute
from tidegate.manager.console.cookie import signed_in
from tidegate.manager.console.page import problem_page
from tidegate.manager.console.same_site import check_same_site
from tidegate.manager.parts import Parts

SIGN_IN = "/sign-in"
_READS = frozenset({"GET", "HEAD"})
Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class ConsoleRoute(GuardedRoute):
    """A page, or what a form of one does: one transaction, as every write by a person."""

    def get_route_handler(self) -> Answer:
        """What answers a request."""
        super().get_route_handler()  # reads what the route declares
        answer = super(GuardedRoute, self).get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await self._answer(request, answer)
            except Exception as error:
                found = await answer_of(request, error)
                if found is None:
                    raise
                return _refused(request, found)

        return guarded

    async def _answer(self, request: Request, answer: Answer) -> Response:
        parts: Parts = request.app.state.parts
        if request.method not in _READS:
            check_same_site(request)
        who = request.state.who = await parts.one(Door).admit(request, self.access, signed_in)
        check_address(request)
        if request.method in _READS:
            return await answer(request)
        body = await parts.one(Bodies).read(request, self.access, who)
        return await answer(request) if who is None else await once(request, body, answer)


def console_router() -> APIRouter:
    """A router for pages; they are no part of the API's document."""
    return APIRouter(route_class=ConsoleRoute, include_in_schema=False)


def _refused(request: Request, problem: Response) -> Response:
    """Who has not signed in is asked to; everything else is told on a page."""
    if problem.status_code != HTTPStatus.UNAUTHORIZED:
        return problem_page(request, problem)
    if "hx-request" in request.headers:  # a part of a page that is open: have all of it asked for
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Refresh": "true"})
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    to = f"{SIGN_IN}?next={quote(back, safe='/')}" if request.method in _READS and back != "/" else SIGN_IN
    return RedirectResponse(to, HTTPStatus.SEE_OTHER)
