"""Server-sent events as text: what a reader of the feed is sent."""

import json
from datetime import UTC, datetime
from typing import Any

from tidegate.manager.telling.feed_read import Event

RETRY_MS = 2000


def opening(number: int) -> str:
    """What a stream begins with: how soon to come back, and where it stands, so that a resumption misses nothing."""
    return f"retry: {RETRY_MS}\nid: {number}\n\n"


def event_text(event: Event) -> str:
    """One entry of the feed; its number is the id that a resumption names."""
    document = {"id": event.number, "at": _moment(event.at), "kind": event.kind, "subject": event.subject}
    return _message(event.kind, event.number, document | {"data": dict(event.data)})


def reset_text(number: int, reason: str) -> str:
    """What was asked for is not to be had any more: the reader has to load anew, and goes on from here."""
    return _message("reset", number, {"reason": reason, "id": number})


def beat_text(number: int) -> str:
    """A sign of life. It moves the reader's id past what its filter left out; a message without data is no event."""
    return f": still here\nid: {number}\n\n"


def _message(kind: str, number: int, document: dict[str, Any]) -> str:
    name = " ".join(kind.split())  # a line's end would end the field
    return f"event: {name}\nid: {number}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
