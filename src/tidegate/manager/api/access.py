"""What a route declares about who may use it. One that declares nothing answers nobody."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from tidegate.manager.people.roles import Permission
from tidegate.manager.people.tokens import Who
from tidegate.manager.settings import ManagerSettings


@dataclass(frozen=True, slots=True)
class Access:
    """`permission` None: anybody, for the reason `why`. `opened_by`: a setting by which anybody may, too.

    Who asks without a token is counted, by address, unless not `counted`. `small`: the body is. `knows`: whether a
    request names somebody who is known, before its body is read; of others no large one is.
    """

    permission: Permission | None
    why: str = ""
    opened_by: Callable[[ManagerSettings], bool] | None = None
    counted: bool = True
    small: bool = False
    knows: Callable[[Request], Awaitable[bool]] | None = None


class _Declared:
    """A dependency that carries the declaration. The door has been passed when it is called."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __call__(self, request: Request) -> Who | None:
        """Whose request it is."""
        return getattr(request.state, "who", None)


def needs(permission: Permission, *, opened_by: Callable[[ManagerSettings], bool] | None = None) -> Any:
    """A dependency: the route is for tokens whose role has `permission`; its value is `Who` (None if opened)."""
    return Depends(_Declared(Access(permission, opened_by=opened_by)))


def anybody(
    why: str,
    *,
    counted: bool = True,
    small: bool = False,
    knows: Callable[[Request], Awaitable[bool]] | None = None,
) -> Any:
    """A dependency: the route asks for no token; it says nothing that matters, or authenticates by itself."""
    return Depends(_Declared(Access(None, why, counted=counted, small=small, knows=knows)))


def declared(dependant: Dependant) -> Access | None:
    """What a route declares; None: nothing. Raises `ValueError` where it declares more than one thing."""
    found = list(_walk(dependant))
    if len(found) > 1:
        raise ValueError(f"{dependant.path} declares {len(found)} times who may use it")
    return found[0] if found else None


def _walk(dependant: Dependant) -> Iterator[Access]:
    if isinstance(dependant.call, _Declared):
        yield dependant.call.access
    for one in dependant.dependencies:
        yield from _walk(one)
