"""Watchtower's HTTP API: an update of some images now, and the counts of its last scan."""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from tidegate.os_words import os_words

_UPDATE_S = 1800.0
"""It answers when it is done: it pulls, stops and starts one container after the other."""
_ASK_S = 10.0
_MOST_BYTES = 1 << 20
_GAUGES = {
    "watchtower_containers_scanned": "scanned",
    "watchtower_containers_updated": "updated",
    "watchtower_containers_failed": "failed",
}
_LOOK = "look at `docker logs` of Watchtower's container, and at WATCHTOWER_HTTP_API_UPDATE and _TOKEN there"


class WatchtowerError(Exception):
    """Watchtower did not do what it was asked; the message says why, and what to look at."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of containers, in its last scan."""

    scanned: int
    updated: int
    failed: int


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
        limit = aiohttp.ClientTimeout(total=limit_s, sock_connect=_ASK_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, headers=self._headers) as session,
                session.request(method, f"{self.url}{path}", params=query, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(_MOST_BYTES)
        except TimeoutError as error:
            raise WatchtowerError(f"Watchtower at {self.url} did not answer within {limit_s:g} s; {_LOOK}") from error
        except aiohttp.ClientConnectorError as error:
            why = os_words(error.os_error)
            raise WatchtowerError(f"Watchtower at {self.url} cannot be reached ({why}); {_LOOK}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise WatchtowerError(f"Watchtower at {self.url} broke off ({type(error).__name__}); {_LOOK}") from error
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise WatchtowerError(
                f"Watchtower at {self.url} does not take the token: TIDEGATE_WATCHTOWER_TOKEN has to be its "
                f"WATCHTOWER_HTTP_API_TOKEN"
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            raise WatchtowerError(
                f"Watchtower at {self.url} serves no {path}: set WATCHTOWER_HTTP_API_UPDATE and "
                f"WATCHTOWER_HTTP_API_METRICS there to true"
            )
        if answer.status != HTTPStatus.OK:
            raise WatchtowerError(f"Watchtower at {self.url} answered {answer.status} to {path}; {_LOOK}")
        return body.decode(errors="replace")


def image_key(image: str) -> str:
    """What Watchtower compares of an image's name; with a registry that has a port, that is the registry's host."""
    return image.partition(":")[0]


def _count(text: str) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return 0
