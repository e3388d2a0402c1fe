"""Connections that never become requests: they cost the manager little, and are closed."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support import databases
from tests.support.manager import Manager, serving

from tidegate.manager import wire

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST /api/v1/windows HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
ENROL = CHUNKED.replace(b"/api/v1/windows", b"/api/v1/agent/enrol")
"""A route that reads its body whoever asks."""
SOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"


@pytest.fixture
def manager(sqlite_template: Path, tmp_path: Path) -> Iterator[Manager]:
    with serving(databases.sqlite_copy(sqlite_template, tmp_path), tmp_path) as one:
        yield one


@asynccontextmanager
async def connected(manager: Manager) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(manager.url.rpartition(":")[2]))
        try:
            yield reader, writer
        finally:
            writer.close()


async def said_to(manager: Manager, data: bytes) -> tuple[int, Any]:
    """The answer's status and document."""
    async with connected(manager) as (reader, writer):
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def sent_until_closed(manager: Manager, start: bytes, again: bytes) -> int:
    """How many bytes the manager took of a request without an end."""
    async with connected(manager) as (reader, writer):
        writer.write(start)
        taken = 0
        while taken < 64 * 1024 * 1024 and not reader.at_eof():
            writer.write(again)
            try:
                await writer.drain()
            except ConnectionError:
                break
            taken += len(again)
            await asyncio.sleep(0)
        return taken


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (GET + b"X: ", b"x" * 4096),
        (GET, b"X: y\r\n" * 700),
        (b"GET /", b"x" * 4096),
        (ENROL + b"1\r\n{\r\n1;", b"x" * 4096),
        (ENROL + b"1\r\n{\r\n0\r\n", b"X: y\r\n" * 700),
    ],
    ids=["one header", "many headers", "its line", "a chunk's extension", "trailers"],
)
async def test_a_request_without_an_end_is_cut(manager: Manager, start: bytes, again: bytes) -> None:
    assert await sent_until_closed(manager, start, again) < 8 * 1024 * 1024
    assert await said_to(manager, GET + b"\r\n") == (200, {"status": "ok"})


async def test_what_is_too_much_and_what_is_no_request_are_told_as_problems(manager: Manager) -> None:
    status, problem = await said_to(manager, GET + b"X: " + b"x" * (wire.MOST_HEAD + 1))
    assert (status, problem["code"]) == (431, "head-too-large")
    assert str(wire.MOST_HEAD) in problem["detail"]
    status, problem = await said_to(manager, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    assert (status, problem["code"]) == (400, "bad-request")


ROOM = wire.MOST_HEAD - len(GET + b"X: \r\n\r\n")
"""For a header's value: with so many bytes the head has as many as are taken."""


async def test_a_head_that_is_as_large_as_may_be_is_taken(manager: Manager) -> None:
    assert await said_to(manager, GET + b"X: " + b"x" * ROOM + b"\r\n\r\n") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"x" * (ROOM + 1),
        GET + b"X: " + b"x" * 90_000,
        GET + b"\r\n".join(b"X%d: " % each + b"x" * 1000 for each in range(100)),
        GET.replace(b"/healthz", b"/healthz?" + b"x" * 70_000),
    ],
    ids=["by one byte", "one header", "many headers", "its line"],
)
async def test_a_head_that_is_whole_and_too_large_is_refused(manager: Manager, head: bytes) -> None:
    status, problem = await said_to(manager, head.rstrip() + b"\r\n\r\n")
    assert (status, problem["code"]) == (431, "head-too-large")


async def test_what_cannot_be_upgraded_is_answered_and_no_line_of_the_log_worth(
    manager: Manager, caplog: pytest.LogCaptureFixture
) -> None:
    assert await said_to(manager, GET + SOCKET) == (200, {"status": "ok"})
    assert caplog.records == []


async def test_who_does_not_come_to_the_point_is_hung_up_on(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_S", 0.2)
    for begun in (b"", b"GET /heal"):
        async with connected(manager) as (reader, writer):
            writer.write(begun)
            assert await reader.read() == b""


async def test_the_next_request_of_a_connection_has_its_time_as_well(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connected(manager) as (reader, writer):
        for head_s in (wire.HEAD_S, -73.0):  # the first is not hurried; of the 75 s of a resting connection 2 are left
            monkeypatch.setattr(wire, "HEAD_S", head_s)
            writer.write(GET + b"\r\n")
            await reader.readuntil(b'{"status":"ok"}')
        writer.write(b"GET /heal")
        assert await reader.read() == b""


async def test_a_request_that_is_under_way_is_not_hurried(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEAD_S", 2.0)
    async with connected(manager) as (reader, writer):
        writer.write(ENROL + b"1\r\n{\r\n")
        await asyncio.sleep(3.0)
        writer.write(b"1\r\n}\r\n0\r\n\r\n")
        assert b"400 Bad Request" in await reader.readuntil(b"\r\n\r\n")
