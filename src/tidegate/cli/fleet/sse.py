"""Server-sent events, as far as the manager's feed uses them."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Final

_MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event: its number, kind and data as they were sent. Without data it was a sign of life."""

    id: str
    kind: str
    data: str


async def read_events(content: AsyncIterable[bytes]) -> AsyncIterator[FeedEvent]:
    """The events of a stream, and one without data for each comment, which is a sign of life. Overlong ones are cut."""
    id_, kind, data = "", "", ""
    async for raw in content:
        line = raw[:_MOST_BYTES].decode("utf-8", errors="replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield FeedEvent(id_, kind, data)
            kind, data = "", ""
        elif not name:
            yield FeedEvent(id_, "", "")
        elif name == "id":
            id_ = value
        elif name == "event":
            kind = value
        elif name == "data" and len(data) < _MOST_BYTES:
            data = f"{data}\n{value}" if data else value
