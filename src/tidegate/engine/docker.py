"""The Docker Engine over its HTTP API: the one implementation of `Engine` that ships."""
# ruff: noqa: D102 - the contracts of the verbs are the docstrings of the port

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Self

import aiohttp

from tidegate.engine import parse
from tidegate.engine.archive_verbs import ArchiveVerbs
from tidegate.engine.container_verbs import ContainerVerbs
from tidegate.engine.errors import EngineUnavailableError
from tidegate.engine.image_verbs import ImageVerbs
from tidegate.engine.model import EngineVersion, Event
from tidegate.engine.network_verbs import NetworkVerbs
from tidegate.engine.streams import json_lines
from tidegate.engine.transport import UNARY_S, Transport

# Named one by one: each health check of each container makes three exec events that nobody here reads.
WATCHED_ACTIONS = (
    *("create", "start", "die", "stop", "kill", "destroy", "rename", "update", "restart", "pause", "unpause"),
    *("oom", "health_status", "connect", "disconnect", "remove"),
)

_REMEMBERED = 250
"""An engine keeps 256 events; some may be dropped while it tells of them."""


class DockerEngine(ContainerVerbs, ArchiveVerbs, NetworkVerbs, ImageVerbs):
    """One engine over a local socket or TCP. `open` makes one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def open(cls, docker_host: str | None, api_version: str | None = None) -> Self:
        """Connect to DOCKER_HOST's value (None: the usual socket) and agree on an API version.

        DOCKER_TLS_VERIFY and DOCKER_CERT_PATH count for tcp addresses.
        Raises `EngineUnavailableError` and `EngineVersionError`, each one line with a remedy.
        """
        return cls(await Transport.open(docker_host, api_version))

    async def version(self) -> EngineVersion:
        if self._transport.version is None:
            raise EngineUnavailableError("Not connected to an engine: open it first")
        return self._transport.version

    async def events(self, *, since_ns: int | None, until_ns: int | None = None) -> AsyncIterator[Event]:
        times = {"since": _seconds(since_ns), "until": _seconds(until_ns)}
        filters = {"type": ["container", "network"], "event": list(WATCHED_ACTIONS)}
        async with self._transport.stream(
            "GET", "events", action="watch the engine's events", params={**times, "filters": filters}
        ) as response:
            try:
                async with aclosing(json_lines(response)) as lines:
                    async for line in lines:
                        event = parse.event(line)
                        if event is not None:
                            yield event
            except aiohttp.ClientError:
                return  # the engine went

    async def forgot_before_ns(self) -> int:
        times = {"since": _seconds(1), "until": _seconds(time.time_ns())}
        count = oldest_ns = 0
        async with (
            self._transport.stream(
                "GET", "events", action="ask what the engine remembers", params=times, limit_s=UNARY_S
            ) as response,
            aclosing(json_lines(response)) as lines,
        ):
            async for line in lines:
                count, oldest_ns = count + 1, oldest_ns or int(line.get("timeNano") or 0)
        return oldest_ns if count >= _REMEMBERED else 0

    async def free_bytes(self) -> int | None:
        if not self._transport.address.local:
            return None
        info = await self._transport.call("GET", "info", action="ask where the engine keeps its images")
        return await asyncio.to_thread(_free_bytes, str(info.get("DockerRootDir") or ""))

    async def close(self) -> None:
        await self._transport.close()


def _seconds(time_ns: int | None) -> str | None:
    return None if time_ns is None else f"{time_ns // 10**9}.{time_ns % 10**9:09d}"


def _free_bytes(folder: str) -> int | None:
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
