"""How much anybody may ask: requests a second, and bytes a request."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from time import monotonic

from starlette.requests import ClientDisconnect, Request

from tidegate.manager.api.problems import TOO_LARGE, TOO_MANY, Problem

_BURST = 4
_MOST_KEYS = 20_000
_BODY_S = 30


class RateLimit:
    """A bucket of tokens for each key; the keys that were used last are remembered, so it never grows."""

    def __init__(self, a_second: float, *, burst: float | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._rate = a_second
        self._most = max(1.0, burst if burst is not None else a_second * _BURST)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one; 0, or the seconds until there is one."""
        now = self._clock()
        left, at = self._left.pop(key, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._left[key] = (left if wait else left - 1, now)
        if len(self._left) > _MOST_KEYS:
            self._left.popitem(last=False)
        return wait

    def check(self, key: str, whose: str) -> None:
        """Take one. Raises `Problem` where there is none."""
        wait = math.ceil(self.take(key))
        if wait:
            detail = f"{whose} makes more than {self._rate:g} requests a second; try again in {wait} s."
            raise Problem(TOO_MANY, "too-many-requests", detail, headers={"Retry-After": str(wait)})


async def read_body(request: Request, most: int) -> bytes:
    """The request's body, which FastAPI finds there afterwards. Raises `Problem` where it is too large or slow."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise _too_large(most)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(_BODY_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                chunks.append(chunk)
    except TimeoutError:
        detail = f"The body did not arrive within {_BODY_S} s."
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "timeout", detail, headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "disconnected", "The connection ended before the body.") from None
    request._body = b"".join(chunks)  # noqa: SLF001 - where Starlette keeps a body that was read
    return request._body  # noqa: SLF001 - the same


def _too_large(most: int) -> Problem:
    detail = f"The body is larger than {most} bytes, which is the most that is taken (TIDEGATE_MAX_REQUEST)."
    return Problem(TOO_LARGE, "too-large", detail, headers={"Connection": "close"})
