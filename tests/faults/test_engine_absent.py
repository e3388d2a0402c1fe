"""An engine that is not there, may not be used, hangs, goes away, or is something else: one line and a remedy each."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tidegate.engine import transport
from tidegate.engine.address import parse_address, tls_context
from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import EngineError, EngineUnavailableError, EngineVersionError, PullError
from tidegate.engine.pulls import pull

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
VERSION = {"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}


@asynccontextmanager
async def engine_at(path: Path, handler: Handler) -> AsyncIterator[str]:
    """Something that answers on a socket as the handler says, and to `/version` as an engine does."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response(VERSION)
        return await handler(request)

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    yield f"unix://{path}"
    await runner.cleanup()


async def opened_error(host: str) -> str:
    with pytest.raises(EngineUnavailableError) as raised:
        await DockerEngine.open(host)
    assert "\n" not in str(raised.value)
    return str(raised.value)


async def test_an_absent_socket_is_told_with_its_path(tmp_path: Path) -> None:
    message = await opened_error(f"unix://{tmp_path}/none.sock")
    assert message.startswith(f"There is no engine socket at {tmp_path}/none.sock: start Docker")


async def test_a_socket_that_nothing_listens_at_is_told(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert "Nothing listens at the engine socket" in await opened_error(f"unix://{path}")


async def test_a_socket_that_may_not_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "closed.sock"
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(path))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may use everything
    assert "may not be used by this user" in await opened_error(f"unix://{path}")


async def test_a_refused_tcp_port_is_told_with_the_address() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    message = await opened_error(host)
    assert message.startswith(f"No engine answers at {host}")
    assert message.endswith("check DOCKER_HOST, and that the engine listens there")


@pytest.mark.parametrize("host", ["ssh://me@host", "nonsense", "unix://relative", "tcp://"])
def test_an_address_that_cannot_be_used_says_what_can(host: str) -> None:
    with pytest.raises(EngineUnavailableError, match=r"unix:///path or tcp://host:port"):
        parse_address(host)


def test_tls_without_its_files_names_the_folder(tmp_path: Path) -> None:
    environment = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    with pytest.raises(EngineUnavailableError, match=f"{tmp_path} has no usable ca.pem"):
        tls_context(environment)


def test_no_tls_is_asked_for_by_default() -> None:
    assert tls_context({}) is None


async def test_something_that_is_no_engine_is_told(tmp_path: Path) -> None:
    async def hello(_: web.BaseRequest) -> web.Response:
        return web.json_response({"hello": "world"})

    runner = web.ServerRunner(web.Server(hello), shutdown_timeout=0)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "other.sock")).start()
    with pytest.raises(EngineVersionError, match="not a Docker engine"):
        await DockerEngine.open(f"unix://{tmp_path}/other.sock")
    await runner.cleanup()


@pytest.mark.parametrize(
    "answer",
    [
        *((200, "<html>It works!</html>", "text/html"), (200, "[]", "application/json"), (200, '"1.45"', "text/plain")),
        *((404, "<html>no such page</html>", "text/html"), (500, "{}", "application/json")),
    ],
)
async def test_whatever_answers_and_is_no_engine_is_told_with_the_setting(
    tmp_path: Path, answer: tuple[int, str, str]
) -> None:
    async def other(_: web.BaseRequest) -> web.Response:
        return web.Response(status=answer[0], text=answer[1], content_type=answer[2])

    runner = web.ServerRunner(web.Server(other), shutdown_timeout=0)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "other.sock")).start()
    with pytest.raises((EngineUnavailableError, EngineVersionError), match=r"check DOCKER_HOST$"):
        await DockerEngine.open(f"unix://{tmp_path}/other.sock")
    await runner.cleanup()


async def test_a_version_that_is_newer_than_what_can_be_spoken_is_a_warning(tmp_path: Path) -> None:
    async with engine_at(tmp_path / "e.sock", lambda _: asyncio.sleep(0, web.Response())) as host:
        with capture_logs() as logs:
            engine = await DockerEngine.open(host, "1.52")
        await engine.close()
    assert [(line["asked"], line["spoken"]) for line in logs] == [("1.52", "1.45")]


async def test_an_engine_that_hangs_is_given_up(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.Response:
        await over.wait()
        return web.Response()

    async with engine_at(tmp_path / "hung.sock", hang) as host:
        link = await transport.Transport.open(host, None)
        with pytest.raises(EngineUnavailableError, match=r"list the containers.*no answer in 0 s"):
            await link.call("GET", "containers/json", action="list the containers", limit_s=0.1)
        over.set()
        await link.close()


async def test_an_answer_that_is_cut_off_is_told(tmp_path: Path) -> None:
    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'[{"Id"')
        assert request.transport is not None
        request.transport.close()
        return response

    async with engine_at(tmp_path / "cut.sock", cut) as host:
        engine = await DockerEngine.open(host)
        with pytest.raises(EngineUnavailableError, match="the engine broke off"):
            await engine.containers()
        await engine.close()


async def test_events_end_when_the_engine_goes(tmp_path: Path) -> None:
    line = {"Type": "container", "Action": "start", "Actor": {"ID": "a", "Attributes": {}}, "timeNano": 5}

    async def one_event(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(json.dumps(line).encode() + b'\n{"Type": "cont')
        await asyncio.sleep(0.05)
        assert request.transport is not None
        request.transport.close()
        return response

    async with engine_at(tmp_path / "gone.sock", one_event) as host:
        engine = await DockerEngine.open(host)
        seen = [event.action async for event in engine.events(since_ns=None)]
        await engine.close()
    assert seen == ["start"]


async def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    async def cut(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b'{"Type": "network", "Action": "connect", "Actor": {"ID": "a"}}\n{"Type": "cont')

    async with engine_at(tmp_path / "half.sock", cut) as host:
        engine = await DockerEngine.open(host)
        seen = [event.action async for event in engine.events(since_ns=None)]
        await engine.close()
    assert seen == ["connect"]


async def test_events_resume_at_the_moment_that_is_asked_for(tmp_path: Path) -> None:
    asked: list[str] = []

    async def note(request: web.BaseRequest) -> web.Response:
        asked.append(request.query["since"])
        return web.Response()

    async with engine_at(tmp_path / "since.sock", note) as host:
        engine = await DockerEngine.open(host)
        assert [event async for event in engine.events(since_ns=1_700_000_000_000_000_012)] == []
        await engine.close()
    assert asked == ["1700000000.000000012"]


async def test_a_pull_that_breaks_off_in_its_stream_is_an_error(tmp_path: Path) -> None:
    async def broken(_: web.BaseRequest) -> web.Response:
        lines = [{"status": "Pulling"}, {"errorDetail": {"message": "unexpected EOF"}, "error": "unexpected EOF"}]
        return web.Response(body="\n".join(map(json.dumps, lines)).encode())

    seen: list[str] = []
    async with engine_at(tmp_path / "pull.sock", broken) as host:
        engine = await DockerEngine.open(host)
        with pytest.raises(PullError, match=r"shop:two: unexpected EOF"):
            await engine.pull("shop:two", auth=None, progress=lambda step: seen.append(step.status))
        await engine.close()
    assert seen == ["Pulling"]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_pull_that_makes_no_progress_is_given_up(tmp_path: Path, begun: bool) -> None:
    over = asyncio.Event()

    async def stall(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
            await response.write(b'{"status": "Downloading"}\n')
        await over.wait()
        return response

    seen: list[str] = []
    async with engine_at(tmp_path / "stalled.sock", stall) as host:
        link = await transport.Transport.open(host, None)
        with pytest.raises(PullError, match=r"shop:two: no progress within 2 s: it is tried again later"):
            await pull(link, "shop:two", None, lambda step: seen.append(step.status), quiet_s=2)
        over.set()
        await link.close()
    assert seen == ["Downloading"] * begun


async def test_a_pull_that_is_slow_is_not_given_up(tmp_path: Path) -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(6):
            await asyncio.sleep(0.5)
            await response.write(b'{"status": "Downloading"}\n')
        return response

    async with engine_at(tmp_path / "slow.sock", slow) as host:
        link = await transport.Transport.open(host, None)
        await pull(link, "shop:two", None, None, quiet_s=2)
        await link.close()


async def test_a_refusal_that_is_not_json_is_still_one_line(tmp_path: Path) -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=500, text="proxy\nsays no")

    async with engine_at(tmp_path / "proxy.sock", refuse) as host:
        engine = await DockerEngine.open(host)
        with pytest.raises(EngineError, match=r"Could not list the containers: proxy says no \(status 500\)"):
            await engine.containers()
        await engine.close()
