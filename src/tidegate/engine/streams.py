"""Answers that arrive piece by piece: JSON lines, and the two output streams of a container in one."""

import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aiohttp

_HEADER = struct.Struct(">BxxxL")
_LARGEST_LINE = 1 << 20


async def json_lines(response: aiohttp.ClientResponse) -> AsyncGenerator[dict[str, Any], None]:
    """Each JSON object of a stream of lines. A last line that was cut off is left out."""
    pending = b""
    async for chunk in response.content.iter_any():
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield json.loads(line)
        if len(pending) > _LARGEST_LINE:
            raise aiohttp.ClientPayloadError("a line of the engine's stream has no end")
    if pending.strip() and _whole(pending):
        yield json.loads(pending)


async def last_output(response: aiohttp.ClientResponse, *, tty: bool, keep: int) -> str:
    """Read to the end; the last `keep` bytes of both output streams in the order they came."""
    tail = _Tail(keep)
    if tty:
        async for chunk in response.content.iter_any():
            tail.add(chunk)
        return tail.text()
    async for chunk in _frames(response.content):
        tail.add(chunk)
    return tail.text()


async def _frames(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The payloads of the engine's frames: one byte stream kind, three zero, four length, then the bytes."""
    while True:
        header = await _exactly(content, _HEADER.size)
        if len(header) < _HEADER.size:
            return
        _, left = _HEADER.unpack(header)
        while left > 0:
            chunk = await content.read(min(left, 1 << 16))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk


async def _exactly(content: aiohttp.StreamReader, size: int) -> bytes:
    """`size` bytes, or fewer at the end of the stream."""
    got = b""
    while len(got) < size:
        chunk = await content.read(size - len(got))
        if not chunk:
            break
        got += chunk
    return got


class _Tail:
    """The last bytes of what was added."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._bytes = bytearray()

    def add(self, chunk: bytes) -> None:
        self._bytes += chunk
        if len(self._bytes) > 2 * self._keep:
            del self._bytes[: -self._keep]

    def text(self) -> str:
        return bytes(self._bytes[-self._keep :]).decode(errors="replace")


def _whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except json.JSONDecodeError:
        return False
    return True
