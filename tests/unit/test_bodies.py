"""Who is refused for a body is heard out a little, so that the answer arrives, and no further."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from tidegate.manager.api import bodies
from tidegate.manager.api.bodies import Bodies
from tidegate.manager.api.problems import Problem
from tidegate.manager.parts import Parts

MOST = 1000


def sent(sizes: Iterator[int]) -> tuple[list[int], Callable[[], Awaitable[dict[str, Any]]]]:
    """The sizes that were read so far, and what receives; after the last one nothing more comes."""
    read: list[int] = []

    async def receive() -> dict[str, Any]:
        size = next(sizes, None)
        if size is None:
            await asyncio.Event().wait()
        read.append(size or 0)
        return {"type": "http.request", "body": b"x" * (size or 0), "more_body": True}

    return read, receive


async def refused(receive: Callable[[], Awaitable[dict[str, Any]]], *headers: tuple[bytes, bytes]) -> int:
    settings = SimpleNamespace(max_request_bytes=MOST)
    one = Bodies(cast("Parts", SimpleNamespace(settings=settings)))
    with pytest.raises(Problem) as problem:
        await one.read(Request({"type": "http", "method": "POST", "headers": list(headers)}, receive), None)
    return problem.value.status


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"5000")]])
async def test_what_is_too_large_is_read_on_with_and_thrown_away(
    monkeypatch: pytest.MonkeyPatch, headers: list[tuple[bytes, bytes]]
) -> None:
    monkeypatch.setattr(bodies, "_HEARD_OUT_S", 0.05)
    read, receive = sent(iter([500] * 10))
    assert await refused(receive, *headers) == 413
    assert sum(read) == 5000


async def test_what_does_not_end_is_left_after_a_while() -> None:
    read, receive = sent(iter(lambda: 8000, 0))
    assert await refused(receive) == 413
    assert sum(read) < 100_000
