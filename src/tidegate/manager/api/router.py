"""Routers whose routes pass the door first, and write in one transaction."""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, ClassVar, get_args, get_origin

from fastapi import APIRouter, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

from tidegate.domain.values import near_miss
from tidegate.manager.api.access import declared
from tidegate.manager.api.bodies import Bodies
from tidegate.manager.api.body import check_address, check_json
from tidegate.manager.api.door import Door, Whose
from tidegate.manager.api.etag import HEADER as IF_MATCH
from tidegate.manager.api.idempotency import HEADER as KEY
from tidegate.manager.api.idempotency import once
from tidegate.manager.api.problems import INVALID, Fault, Problem
from tidegate.manager.parts import Parts

API = "/api/v1"
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ONCE = (KEY, IF_MATCH, "Last-Event-ID")
"""Headers."""
Answer = Callable[[Request], Coroutine[Any, Any, Response]]


class GuardedRoute(APIRoute):
    """A route that declares with `needs` or `anybody` who may use it.

    Before anything of a request is looked at, the token is. A write by a person is one transaction, which is
    committed before the answer is sent: the endpoint takes a `Change`, and must open no transaction of its own.
    """

    schemes: ClassVar[tuple[str, ...]] = ("token",)
    """How a request may show a token, by the names that the document has for it."""

    def whose(self) -> Whose | None:
        """What tells whose request it is; None: its bearer token."""
        return None

    def get_route_handler(self) -> Answer:
        """What answers a request."""
        self.access = declared(self.dependant)
        answer = super().get_route_handler()
        queries = dict(sorted(_queries(self.dependant)))
        takes_json = self.body_field is not None

        async def guarded(request: Request) -> Response:
            parts: Parts = request.app.state.parts
            who = request.state.who = await parts.one(Door).admit(request, self.access, self.whose())
            check_address(request)
            _check_headers(request)
            if request.method in _READS:
                _check_queries(request, queries)
                return await answer(request)
            body = await parts.one(Bodies).read(request, self.access, who)
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


def _queries(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The names of all parameters, and whether each takes several values."""
    for field in dependant.query_params:
        yield field.alias, _takes_several(field.field_info.annotation)
    for one in dependant.dependencies:
        yield from _queries(one)


def _takes_several(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_takes_several(one) for one in get_args(annotation))


def _check_queries(request: Request, known: Mapping[str, bool]) -> None:
    """A filter that is misspelt must not be passed over: what it asks for would be something else."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    names = list(known)
    faults = [
        Fault(f"query.{name}", f"it is not known.{near_miss(name, names)}") for name in given if name not in known
    ]
    if faults:
        takes = ", ".join(names) or "no query parameters"
        detail = f"{'; '.join(f'{f.field}: {f.message}' for f in faults)} {request.url.path} takes {takes}."
        raise Problem(INVALID, "invalid", detail, errors=faults, accepted=names)
    _refuse_repeated([(f"query.{name}", times) for name, times in given.items() if not known[name]])


def _check_headers(request: Request) -> None:
    given = [(name, len(request.headers.getlist(name))) for name in _ONCE]
    _refuse_repeated([(f"header.{name}", times) for name, times in given])


def _refuse_repeated(given: Iterable[tuple[str, int]]) -> None:
    """Of two values one would be passed over, and nobody could tell which."""
    faults = [Fault(field, f"it is given {times} times; it takes one") for field, times in given if times > 1]
    if faults:
        detail = "; ".join(f"{one.field}: {one.message}" for one in faults)
        raise Problem(INVALID, "invalid", detail, errors=faults)
