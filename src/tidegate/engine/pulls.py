"""Pulling an image: the engine's progress lines, and what they say when it breaks off."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from tidegate.engine.errors import EngineError, EngineUnavailableError, PullError
from tidegate.engine.failures import pull_failure
from tidegate.engine.model import PullProgress
from tidegate.engine.streams import json_lines
from tidegate.engine.transport import Transport

Progress = Callable[[PullProgress], None]

QUIET_S = 300.0
"""How long a pull may make no progress at all; a stalled registry would hold up everything else for ever."""


def split_reference(reference: str) -> tuple[str, str]:
    """`repository@digest` or `repository:tag` in its two parts; the tag is `latest` where none is given.

    A digest behind a tag (`repository:tag@digest`) wins, as the engine has it.
    """
    name, at, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    return repository, digest if at else tag or "latest"


async def pull(
    transport: Transport, reference: str, auth: str | None, progress: Progress | None, *, quiet_s: float = QUIET_S
) -> None:
    """Pull to the end, or until nothing came for `quiet_s`. Raises `PullError` and kinds, `EngineUnavailableError`."""
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(quiet_s) as limit, aclosing(_lines(transport, reference, auth)) as lines:
            async for line in lines:
                limit.reschedule(clock() + quiet_s)
                _take(line, reference, progress)
    except TimeoutError as error:
        # it has held up everything else for long enough: it is not one to be tried again at once
        raise PullError(
            f"Could not pull {reference}: no progress within {quiet_s:g} s: it is tried again later"
        ) from error
    except (EngineUnavailableError, PullError):
        raise
    except EngineError as error:
        raise pull_failure(reference, _engine_said(error)) from error


def _take(line: dict[str, Any], reference: str, progress: Progress | None) -> None:
    if "error" in line or "errorDetail" in line:
        raise pull_failure(reference, _message(line))
    if progress is not None:
        progress(progress_of(line))


async def _lines(transport: Transport, reference: str, auth: str | None) -> AsyncGenerator[dict[str, Any], None]:
    repository, tag = split_reference(reference)
    async with transport.stream(
        "POST",
        "images/create",
        action=f"pull {reference}",
        params={"fromImage": repository, "tag": tag},
        headers={"X-Registry-Auth": auth} if auth else None,
    ) as response:
        async for line in json_lines(response):
            yield line


def progress_of(line: dict[str, Any]) -> PullProgress:
    """One progress line as our model; unknown byte counts are 0."""
    detail = line.get("progressDetail") or {}
    return PullProgress(
        layer=str(line.get("id", "")),
        status=str(line.get("status", "")),
        current=int(detail.get("current") or 0),
        total=int(detail.get("total") or 0),
    )


def _message(line: dict[str, Any]) -> str:
    detail = line.get("errorDetail") or {}
    return str(detail.get("message") or line.get("error") or "the engine gave no reason")


def _engine_said(error: EngineError) -> str:
    """The engine's own words: what was raised carries them behind our "Could not ...:"."""
    return str(error).partition(": ")[2]
