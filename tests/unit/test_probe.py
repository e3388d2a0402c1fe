"""Probes over the network: what counts as healthy, as sick, and as not asked at all. Loopback only."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from tidegate.agent.probe import run_probe
from tidegate.domain.policy import ProbeHttp, ProbeTcp
from tidegate.domain.verdict import ProbeResult
from tidegate.engine.port import Engine

NO_ENGINE = cast("Engine", None)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[int]:
    served: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(cast("asyncio.Task[Any]", asyncio.current_task()))
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        await asyncio.gather(*served)


def answering(data: bytes, requests: list[bytes] | None = None) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if requests is not None:
            requests.append(request)
        writer.write(data)
        await writer.drain()

    return handler


async def ask(port: int, path: str = "/healthz", timeout_s: float = 5) -> ProbeResult:
    return await run_probe(ProbeHttp(port, path, 1, timeout_s), "127.0.0.1", NO_ENGINE, "c")


async def knock(port: int, timeout_s: float = 5) -> ProbeResult:
    return await run_probe(ProbeTcp(port, 1, timeout_s), "127.0.0.1", NO_ENGINE, "c")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize("line", ["200 OK", "204", "301 Moved", "399 Whatever"])
async def test_an_answer_of_2xx_or_3xx_is_healthy(line: str) -> None:
    async with server(answering(f"HTTP/1.1 {line}\r\n\r\n".encode())) as port:
        result = await ask(port)
    assert result == ProbeResult(ok=True, conclusive=True, detail=f"http://127.0.0.1:{port}/healthz answered {line}")


@pytest.mark.parametrize("line", ["503 Service Unavailable", "404 Not Found", "100 Continue", "600 What"])
async def test_any_other_answer_is_sick(line: str) -> None:
    async with server(answering(f"HTTP/1.1 {line}\r\n\r\n".encode())) as port:
        result = await ask(port)
    assert (result.ok, result.conclusive) == (False, True)
    assert line in result.detail


@pytest.mark.parametrize("data", [b"", b"\r\n", b"SSH-2.0-x\r\n", b"x" * 100_000, b"HTTP/1.1 OK\r\n", b"HTTP/1.1 2"])
async def test_an_answer_that_is_not_http_is_sick(data: bytes) -> None:
    async with server(answering(data)) as port:
        result = await ask(port)
    assert (result.ok, result.conclusive) == (False, True)


async def test_the_request_is_plain_http_for_the_path_alone() -> None:
    requests: list[bytes] = []
    async with server(answering(b"HTTP/1.1 200 OK\r\n\r\n", requests)) as port:
        await ask(port, path="/a b\r\nX: y?z=1&q=%20")
    assert requests[0].startswith(b"GET /a%20b%0D%0AX:%20y?z=1&q=%20 HTTP/1.1\r\n")
    assert f"\r\nHost: localhost:{port}\r\n".encode() in requests[0]


async def test_a_server_that_listens_and_never_answers_is_sick() -> None:
    done = asyncio.Event()

    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        await done.wait()

    async with server(silent) as port:
        result = await ask(port, timeout_s=1)
        done.set()
    assert result == ProbeResult(ok=False, conclusive=True, detail=f"127.0.0.1:{port} gave no answer within 1s")


async def test_a_refused_connection_is_sick(closed_port: int) -> None:
    for result in (await ask(closed_port), await knock(closed_port)):
        assert (result.ok, result.conclusive) == (False, True)
        assert "refused" in result.detail


async def test_a_port_that_accepts_is_healthy_to_a_tcp_probe() -> None:
    async with server(answering(b"")) as port:
        assert (await knock(port)).ok


async def test_a_container_without_an_address_is_not_asked() -> None:
    result = await run_probe(ProbeTcp(80, 1, 1), "", NO_ENGINE, "c")
    assert (result.ok, result.conclusive) == (False, False)


@pytest.mark.parametrize(
    ("code", "conclusive"),
    [
        (errno.ECONNREFUSED, True),
        (errno.ECONNRESET, True),
        (errno.EHOSTUNREACH, False),
        (errno.ENETUNREACH, False),
        (errno.EMFILE, False),
        (errno.EADDRNOTAVAIL, False),
    ],
)
async def test_only_what_the_other_side_says_is_conclusive(
    monkeypatch: pytest.MonkeyPatch, code: int, *, conclusive: bool
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(asyncio, "open_connection", fail)
    assert (await ask(80)).conclusive is conclusive


async def test_a_connection_that_never_comes_about_is_not_conclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", hang)
    result = await ask(80, timeout_s=0.05)
    assert (result.ok, result.conclusive) == (False, False)
