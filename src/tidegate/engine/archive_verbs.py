"""The verbs about files in a container's own file system."""
# ruff: noqa: D102 - the contracts of the verbs are the docstrings of the port

import base64
import json

from tidegate.engine import parse
from tidegate.engine.model import FileStat
from tidegate.engine.transport import UNARY_S, WORK_S, Transport

_STAT = "X-Docker-Container-Path-Stat"
_DELETED = 2


class ArchiveVerbs:
    """The part of the port that is about files; see `Engine` for the contracts."""

    _transport: Transport

    async def changed_paths(self, ref: str) -> list[str]:
        rows = await self._transport.call(
            "GET", f"containers/{ref}/changes", action=f"ask what differs in container {ref}", limit_s=WORK_S
        )
        return [row["Path"] for row in rows or () if row["Kind"] != _DELETED]

    async def file_stat(self, ref: str, path: str) -> FileStat:
        # GET, though HEAD would do: only the answer to GET says what was wrong
        async with self._transport.stream(
            "GET",
            f"containers/{ref}/archive",
            action=f"look at {path} in container {ref}",
            params={"path": path},
            limit_s=UNARY_S,
        ) as response:
            return parse.file_stat(json.loads(base64.b64decode(response.headers[_STAT])))

    async def packed(self, ref: str, path: str) -> bytes:
        async with self._transport.stream(
            "GET",
            f"containers/{ref}/archive",
            action=f"copy {path} from container {ref}",
            params={"path": path},
            limit_s=UNARY_S,
        ) as response:
            return await response.read()

    async def unpack(self, ref: str, tar: bytes) -> None:
        async with self._transport.stream(
            "PUT",
            f"containers/{ref}/archive",
            action=f"copy files into container {ref}",
            params={"path": "/"},
            content=tar,
            headers={"Content-Type": "application/x-tar"},
            limit_s=WORK_S,
        ):
            return
