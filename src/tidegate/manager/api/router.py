"""Routers whose routes pass the door first, and write in one transaction."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

from tidegate.domain.values import near_miss
from tidegate.manager.api.access import declared
from tidegate.manager.api.body import check_address, check_json
from tidegate.manager.api.door import Door
from tidegate.manager.api.idempotency import once
from tidegate.manager.api.limits import read_body
from tidegate.manager.api.problems import INVALID, Fault, Problem
from tidegate.manager.parts import Parts

API = "/api/v1"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route that declares with `needs` or `anybody` who may use it.

    Before anything of a request is looked at, the token is. A write by a person is one transaction, which is
    committed before the answer is sent: the endpoint takes a `Change`, and must open no transaction of its own.
    """

    def get_route_handler(self) -> Answer:
        """What answers a request."""
        self.access = declared(self.dependant)
        answer = super().get_route_handler()
        queries = sorted(_queries(self.dependant))
        takes_json = self.body_field is not None

        async def guarded(request: Request) -> Response:
            parts: Parts = request.app.state.parts
            who = request.state.who = await parts.one(Door).admit(request, self.access)
            check_address(request)
            if request.method in _READS:
                _check_queries(request, queries)
                return await answer(request)
            body = await read_body(request, parts.settings.max_request_bytes)
            if who is None:
                return await answer(request)
            _check_queries(request, queries)
            if takes_json and body:
                check_json(request, body)
            return await once(request, body, answer)

        return guarded


def router(tag: str, *, prefix: str = API) -> APIRouter:
    """A router for one resource; its name is the tag of its operations."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=GuardedRoute)


class UndeclaredRouteError(Exception):
    """A route that does not say who may use it."""


def add_routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Have the app answer these. Raises `UndeclaredRouteError`."""
    for one in routers:
        for route in one.routes:
            _check(route)
            app.router.routes.append(route)


def _check(route: BaseRoute) -> None:
    if not isinstance(route, GuardedRoute) or route.access is None:
        path = getattr(route, "path", route)
        raise UndeclaredRouteError(f"{path} does not say who may use it: declare `needs(...)` or `anybody(...)`")


def _queries(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_queries(one) for one in dependant.dependencies))


def _check_queries(request: Request, known: list[str]) -> None:
    """A filter that is misspelt must not be passed over: what it asks for would be something else."""
    faults = [
        Fault(f"query.{name}", f"it is not known.{near_miss(name, known)}")
        for name in request.query_params
        if name not in known
    ]
    if faults:
        takes = ", ".join(known) or "no query parameters"
        detail = f"{'; '.join(f'{f.field}: {f.message}' for f in faults)} {request.url.path} takes {takes}."
        raise Problem(INVALID, "invalid", detail, errors=faults, accepted=known)
