"""The short way for agents: thousands of them ask for three things, again and again.

What is around a route of FastAPI costs several times what these routes do, and holds ten times the memory while a poll
is held. So exactly their requests are handed to their endpoints from here; anything else about them (another method, a
query) goes the long way and comes to the same.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.manager.api.bodies import Bodies
from tidegate.manager.api.handlers import answer_of
from tidegate.manager.api.router import GuardedRoute
from tidegate.manager.parts import Parts


class Lane:
    """ASGI middleware; `router` has the routes, all of which are POST and look for themselves who asks."""

    def __init__(self, app: ASGIApp, router: APIRouter, parts: Parts) -> None:
        self._app = app
        self._bodies = parts.one(Bodies)
        self._routes = {route.path: route for route in router.routes if isinstance(route, GuardedRoute)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        await (await self._answer(route, request))(scope, receive, send)

    async def _answer(self, route: GuardedRoute, request: Request) -> Response:
        try:
            await self._bodies.read(request, route.access)
            answer: Response = await route.endpoint(request)
        except Exception as error:
            found = await answer_of(request, error)
            if found is None:
                raise
            return found
        return answer
