"""How much anybody may ask: requests a second, and bytes a request."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic

from starlette.requests import ClientDisconnect, Request

from tidegate.manager.api.problems import TOO_LARGE, TOO_MANY, UNAVAILABLE, Problem

_BURST = 4
_MOST_KEYS = 20_000
_BODY_S = 30
_FULL_RETRY_S = 5


class RateLimit:
    """A bucket of tokens for each key; the keys that were used last are remembered, so it never grows."""

    def __init__(self, a_second: float, *, burst: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._rate = a_second
        self._most = max(1.0, burst if burst is not None else a_second * _BURST)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: float = 1) -> float:
        """Take one, or so many; 0, or the seconds until they are there.

        A full bucket gives any number, also more than it holds: then it takes longer until it has some again.
        """
        now = self._clock()
        left, at = self._left.pop(key, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        needed = min(cost, self._most)
        wait = 0.0 if left >= needed else (needed - left) / self._rate
        self._left[key] = (left if wait else left - cost, now)
        if len(self._left) > _MOST_KEYS:
            self._left.popitem(last=False)
        return wait

    def give_back(self, key: str, cost: float = 1) -> None:
        """Have what was taken again."""
        if key in self._left:
            left, at = self._left[key]
            self._left[key] = min(self._most, left + cost), at

    def check(self, key: str, whose: str) -> None:
        """Take one. Raises `Problem` where there is none."""
        wait = math.ceil(self.take(key))
        if wait:
            detail = f"{whose} makes more than {self._rate:g} requests a second; try again in {wait} s."
            raise Problem(TOO_MANY, "too-many-requests", detail, headers={"Retry-After": str(wait)})


class Room:
    """So many bytes of bodies are held at once while these are read."""

    def __init__(self, most: int) -> None:
        self._left = most

    def take(self, size: int) -> None:
        """Hold so many more. Raises `Problem` where there is no room for them."""
        if size > self._left:
            detail = f"More is being sent than is read at once; try again in {_FULL_RETRY_S} s."
            headers = {"Retry-After": str(_FULL_RETRY_S), "Connection": "close"}
            raise Problem(UNAVAILABLE, "busy", detail, headers=headers)
        self._left -= size

    def give_back(self, size: int) -> None:
        """They are held no more."""
        self._left += size


async def read_body(request: Request, most: int, room: Room) -> bytes:
    """The request's body, which FastAPI finds there afterwards.

    Raises `Problem` where it is too large or slow, or there is no room for it.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    held = 0

    def hold(size: int) -> None:
        nonlocal held
        room.take(size)
        held += size

    try:
        request._body = await _read(request, most, hold)  # noqa: SLF001 - where Starlette keeps a body that was read
    finally:
        room.give_back(held)
    return request._body  # noqa: SLF001 - the same


async def _read(request: Request, most: int, hold: Callable[[int], None]) -> bytes:
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                hold(len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        detail = f"The body did not arrive within {_BODY_S} s."
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "timeout", detail, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "disconnected", "The connection ended before the body.") from None
    return b"".join(chunks)


def _too_large(most: int) -> Problem:
    detail = f"The body is larger than {most} bytes, which is the most that is taken here (see TIDEGATE_MAX_REQUEST)."
    return Problem(TOO_LARGE, "too-large", detail, headers={"Connection": "close"})
