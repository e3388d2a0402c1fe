"""Probes: one question to a container, asked from outside (http, tcp) or inside (exec).

A probe that is answered badly is conclusive; one that could not be asked, because no way leads to the container
or the command does not exist there, is not: it says nothing about the release.
"""

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from tidegate.domain.durations import format_duration
from tidegate.domain.policy import Probe, ProbeExec, ProbeHttp
from tidegate.domain.verdict import ProbeResult
from tidegate.engine.errors import EngineError
from tidegate.engine.port import Engine

_ANSWERED_BADLY = {errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED}
_CANNOT_RUN = {126, 127}
_OUTPUT_CHARS = 200
_FIRST_LINE_BYTES = 4096
_PATH_SAFE = "/?&=%:@!$'()*+,;~-._[]"
_Ask = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[ProbeResult]]


async def run_probe(probe: Probe, address: str, engine: Engine, container_id: str) -> ProbeResult:
    """Ask once; `address` is the container's, empty where it has none. Never raises an engine's or network's error."""
    if isinstance(probe, ProbeExec):
        return await _inside(probe, engine, container_id)
    if not address:
        return _unasked("the container has no address on a network that the agent can reach")
    target = _target(address, probe.port)
    if isinstance(probe, ProbeHttp):
        path = probe.path
        return await _connected(address, probe.port, probe.timeout_s, lambda r, w: _http(r, w, target, path))
    return await _connected(address, probe.port, probe.timeout_s, lambda _, __: _accepted(target))


def _target(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


async def _inside(probe: ProbeExec, engine: Engine, container_id: str) -> ProbeResult:
    try:
        result = await engine.execute(container_id, ["sh", "-c", probe.command], timeout_s=probe.timeout_s)
    except TimeoutError:
        return _bad(f"{probe.command!r} took longer than {format_duration(probe.timeout_s)}")
    except EngineError as error:
        return _unasked(f"{probe.command!r}: {error}")
    said = " ".join(result.output.split())[-_OUTPUT_CHARS:]
    detail = f"{probe.command!r} ended with exit code {result.exit_code}{f': {said}' if said else ''}"
    if result.exit_code in _CANNOT_RUN:
        return _unasked(detail)
    return ProbeResult(ok=result.exit_code == 0, conclusive=True, detail=detail)


async def _connected(address: str, port: int, timeout_s: float, ask: _Ask) -> ProbeResult:
    target, limit = _target(address, port), format_duration(timeout_s)
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address, port, limit=_FIRST_LINE_BYTES)
            return await ask(reader, writer)
    except TimeoutError:
        if writer is not None:
            return _bad(f"{target} gave no answer within {limit}")
        # a container that runs refuses at once where nobody listens; silence means that no way leads there
        return _unasked(f"no connection to {target} came about within {limit}")
    except OSError as error:
        said = os.strerror(error.errno) if error.errno else str(error)
        detail = f"{target}: {said[:1].lower()}{said[1:]}"
        return _bad(detail) if error.errno in _ANSWERED_BADLY else _unasked(detail)
    finally:
        if writer is not None:
            writer.transport.abort()


async def _accepted(target: str) -> ProbeResult:
    return ProbeResult(ok=True, conclusive=True, detail=f"{target} accepts connections")


async def _http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, path: str) -> ProbeResult:
    # the name is what a check from inside would use; applications that vet names accept it
    writer.write(
        f"GET {quote(path, safe=_PATH_SAFE)} HTTP/1.1\r\nHost: localhost:{target.rpartition(':')[2]}\r\n"
        "User-Agent: tidegate\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
    )
    await writer.drain()
    try:
        line = (await reader.readuntil(b"\n")).decode("latin-1").strip()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return _bad(f"http://{target}{path} was not answered with HTTP")
    version, _, rest = line.partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/") or not (code.isascii() and code.isdigit()):
        return _bad(f"http://{target}{path} was not answered with HTTP")
    ok = code[0] in "23"
    return ProbeResult(ok=ok, conclusive=True, detail=f"http://{target}{path} answered {rest[:_OUTPUT_CHARS]}")


def _bad(detail: str) -> ProbeResult:
    return ProbeResult(ok=False, conclusive=True, detail=detail)


def _unasked(detail: str) -> ProbeResult:
    return ProbeResult(ok=False, conclusive=False, detail=detail)
