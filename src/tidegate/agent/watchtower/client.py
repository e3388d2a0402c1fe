"""Watchtower's HTTP API: an update of some images now, and the counts of its last scan."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from tidegate.os_words import os_words

_UPDATE_S = 1800.0
"""It answers when it is done: it pulls, stops and starts one container after the other."""
_ASK_S = 10.0
_AGAIN_S = 1.0
_MOST_BYTES = 1 << 20
_MOST_COUNTED = 10**9
_NOTHING = "tidegate.local/none"
"""No container has this image, so an update of it moves nothing; its turn comes when the one before it is done."""
_GAUGES = {
    "watchtower_containers_scanned": "scanned",
    "watchtower_containers_updated": "updated",
    "watchtower_containers_failed": "failed",
    "watchtower_scans_total": "scans",
}
_LOOK = "look at `docker logs` of Watchtower's container, and at WATCHTOWER_HTTP_API_UPDATE and _TOKEN there"


class WatchtowerError(Exception):
    """Watchtower did not do what it was asked; the message says why, and what to look at."""


class UnreachableError(WatchtowerError):
    """Nothing listens at its address, so it has not heard what it was to do."""


class BrokenOffError(WatchtowerError):
    """It heard, and ended, or was cut off, before it answered."""


class SilentError(WatchtowerError):
    """It heard, and has not answered in time: it may still be at it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of containers, in its last scan; `scans` are those since it was started."""

    scanned: int
    updated: int
    failed: int
    scans: int = 0


class WatchtowerClient:
    """Speaks to one Watchtower. `url` is its address, such as `http://watchtower:8080`."""

    def __init__(self, url: str, token: str, *, update_s: float = _UPDATE_S) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._update_s = update_s

    async def update(self, images: Iterable[str]) -> None:
        """Have it update the containers of these images, and wait until it is done. Raises `WatchtowerError`.

        Images go by what Watchtower compares: all before the first colon. If it is at work already, it ends that first.
        """
        wanted = ",".join(sorted({image_key(one) for one in images}))
        await self._ask("POST", "/v1/update", self._update_s, image=wanted)

    async def at_rest(self, *, patience_s: float) -> None:
        """Return when it is at work on nothing any more. Raises `WatchtowerError`.

        Where nothing listens it is asked again for so long: it may just be starting.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + patience_s
        while True:
            try:
                await self.update([_NOTHING])
            except (UnreachableError, BrokenOffError):
                if clock() >= until:
                    raise
            else:
                return
            await asyncio.sleep(_AGAIN_S)

    async def counts(self) -> Counts:
        """What its last scan came to. Raises `WatchtowerError`."""
        text = await self._ask("GET", "/v1/metrics", _ASK_S)
        found = {}
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name in _GAUGES:
                found[_GAUGES[name]] = _count(value)
        if len(found) < len(_GAUGES):
            raise WatchtowerError(f"{self.url}/v1/metrics has no counts of Watchtower's: is that its address?")
        return Counts(**found)

    async def _ask(self, method: str, path: str, limit_s: float, **query: str) -> str:
        status, body = await self._answer(method, path, limit_s, query)
        if status == HTTPStatus.UNAUTHORIZED:
            raise WatchtowerError(
                f"Watchtower at {self.url} does not take the token: TIDEGATE_WATCHTOWER_TOKEN has to be its "
                f"WATCHTOWER_HTTP_API_TOKEN"
            )
        if status == HTTPStatus.NOT_FOUND:
            raise WatchtowerError(
                f"Watchtower at {self.url} serves no {path}: set WATCHTOWER_HTTP_API_UPDATE and "
                f"WATCHTOWER_HTTP_API_METRICS there to true"
            )
        if status != HTTPStatus.OK:
            raise WatchtowerError(f"Watchtower at {self.url} answered {status} to {path}; {_LOOK}")
        return body.decode(errors="replace")

    async def _answer(self, method: str, path: str, limit_s: float, query: dict[str, str]) -> tuple[int, bytes]:
        limit = aiohttp.ClientTimeout(total=limit_s, sock_connect=_ASK_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, headers=self._headers) as session,
                session.request(method, f"{self.url}{path}", params=query, allow_redirects=False) as answer,
            ):
                return answer.status, await _whole(answer.content)
        except aiohttp.ConnectionTimeoutError as error:  # a TimeoutError too
            why = f"no connection within {_ASK_S:g} s"
            raise UnreachableError(f"Watchtower at {self.url} cannot be reached ({why}); {_LOOK}") from error
        except TimeoutError as error:
            raise SilentError(f"Watchtower at {self.url} did not answer within {limit_s:g} s; {_LOOK}") from error
        except aiohttp.ClientConnectorError as error:
            why = os_words(error.os_error)
            raise UnreachableError(f"Watchtower at {self.url} cannot be reached ({why}); {_LOOK}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise BrokenOffError(f"Watchtower at {self.url} broke off ({type(error).__name__}); {_LOOK}") from error
        except ValueError as error:  # of an address or a token that no request can carry
            raise WatchtowerError(f"Watchtower at {self.url} cannot be asked: {error}") from error


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """All of an answer, or as much of it as any answer of Watchtower's has: one read gives what has come so far."""
    body = b""
    while len(body) < _MOST_BYTES and (more := await content.read(_MOST_BYTES - len(body))):
        body += more
    return body


def image_key(image: str) -> str:
    """What Watchtower compares of an image's name; with a registry that has a port, that is the registry's host."""
    return image.partition(":")[0]


def _count(text: str) -> int:
    """As a number that every reader takes, whatever answers there."""
    try:
        return min(max(int(float(text)), 0), _MOST_COUNTED)
    except (ValueError, OverflowError):
        return 0
