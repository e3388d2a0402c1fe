"""Pulling an image: the engine's progress lines, and what they say when it breaks off."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from tidegate.engine.errors import EngineError, EngineUnavailableError, PullError
from tidegate.engine.failures import pull_failure
from tidegate.engine.model import PullProgress
from tidegate.engine.streams import json_lines
from tidegate.engine.transport import Transport

Progress = Callable[[PullProgress], None]


def split_reference(reference: str) -> tuple[str, str]:
    """`repository@digest` or `repository:tag` in its two parts; the tag is `latest` where none is given.

    A digest behind a tag (`repository:tag@digest`) wins, as the engine has it.
    """
    name, at, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name, ""
    return repository, digest if at else tag or "latest"


async def pull(transport: Transport, reference: str, auth: str | None, progress: Progress | None) -> None:
    """Pull to the end. Raises `PullError` and its kinds, `EngineUnavailableError`."""
    try:
        async for line in _lines(transport, reference, auth):
            if "error" in line or "errorDetail" in line:
                raise pull_failure(reference, _message(line))
            if progress is not None:
                progress(progress_of(line))
    except (EngineUnavailableError, PullError):
        raise
    except EngineError as error:
        raise pull_failure(reference, _engine_said(error)) from error


async def _lines(transport: Transport, reference: str, auth: str | None) -> AsyncIterator[dict[str, Any]]:
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
