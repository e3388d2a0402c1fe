"""How much of a request's body is read, before anything of it is believed."""

import asyncio
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from tidegate.manager.api.access import Access
from tidegate.manager.api.limits import Room, read_body
from tidegate.manager.parts import Parts
from tidegate.manager.people.tokens import Who

_MIB = 1024 * 1024
SMALL = 16 * 1024
"""Many times what an enrolment or a poll has."""
ROOM_KNOWN = 256 * _MIB
ROOM_STRANGERS = 64 * _MIB
"""Who is not known takes no room from who is."""
_HEARD_OUT, _HEARD_OUT_S = 64 * 1024, 1.0
"""Bytes, and seconds."""


class Bodies:
    """One of a process."""

    def __init__(self, parts: Parts) -> None:
        self._most = parts.settings.max_request_bytes
        self._known = Room(max(ROOM_KNOWN, self._most))
        self._strangers = Room(max(ROOM_STRANGERS, self._most))

    async def read(self, request: Request, access: Access | None, who: Who | None = None) -> bytes:
        """The body, as in `read_body`; `who` is known by a token. Raises `Problem` and `StoreUnavailableError`."""
        try:
            return await self._read(request, access, who)
        except Exception:
            await _hear_out(request)
            raise

    async def _read(self, request: Request, access: Access | None, who: Who | None) -> bytes:
        knows = access.knows if access is not None else None
        known = who is not None or (knows is not None and await knows(request))
        small = access is not None and (access.small or (knows is not None and not known))
        most = min(SMALL, self._most) if small else self._most
        return await read_body(request, most, self._known if known else self._strangers)


async def _hear_out(request: Request) -> None:
    """Read a little on, and keep nothing of it: who still sends when the connection ends does not hear why it did."""
    size = 0
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: there is no more of it
        async with asyncio.timeout(_HEARD_OUT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > _HEARD_OUT:
                    return
