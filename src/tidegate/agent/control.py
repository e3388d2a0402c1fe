"""How commands reach a running agent: a socket in its state directory, for typed verbs only."""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from tidegate.agent.command_rows import CommandOutcome

SOCKET = "agent.sock"
_LINE_LIMIT = 64 * 1024
_log = structlog.get_logger(__name__)

Verb = Callable[[Mapping[str, Any]], Awaitable[CommandOutcome]]


class ControlServer:
    """Answers one JSON line with one JSON line. Only who may read the state directory can connect."""

    def __init__(self, directory: Path, verbs: Mapping[str, Verb]) -> None:
        self._path = directory / SOCKET
        self._verbs = verbs
        self._server: asyncio.AbstractServer | None = None

    async def start(self) -> None:
        """Listen. Raises OSError where a socket cannot be made there."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        with _short(self._path) as path:
            self._server = await asyncio.start_unix_server(self._serve, path, limit=_LINE_LIMIT)
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            outcome = await self._answer(await reader.readline())
            writer.write(json.dumps({"ok": outcome.ok, "message": outcome.message}).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError) as error:
            _log.debug("a command went away", error=str(error))
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> CommandOutcome:
        try:
            request = json.loads(line)
            verb = self._verbs[request["verb"]]
        except (ValueError, KeyError, TypeError):
            return CommandOutcome(ok=False, message="the agent does not know this command; is it of another version?")
        return await verb(request)


async def ask(directory: Path, request: Mapping[str, Any]) -> CommandOutcome | None:
    """Ask the running agent; None where none runs. Raises OSError where the connection breaks off."""
    try:
        with _short(directory / SOCKET) as path:
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        writer.write(json.dumps(dict(request)).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline() or b"{}")
    finally:
        writer.close()
    if not answer:
        return CommandOutcome(ok=False, message="the agent ended before it answered; see its log, and `agent history`")
    return CommandOutcome(ok=bool(answer["ok"]), message=str(answer["message"]))


@contextlib.contextmanager
def _short(path: Path) -> Iterator[Path]:
    """The socket by a path that fits: the kernel takes 107 bytes, and state directories may be longer than that."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}") / path.name
    finally:
        os.close(descriptor)
