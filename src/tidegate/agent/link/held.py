"""What the log of the link adds up to."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.agent.link.entry import Entry, Stage

_ENDED_KEPT = 200
Numbered = tuple[int, dict[str, Any]]


@dataclass(slots=True)
class Held:
    """The file's content. `queue` has the events after `applied`, with their numbers."""

    stream: str = ""
    next: int = 1
    applied: int = 0
    cursor: int = 0
    numbered: bool = False
    manager_key: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    queue: deque[Numbered] = field(default_factory=deque)


def taken(held: Held, record: Mapping[str, Any]) -> bool:
    """Apply one line; whether it could be understood."""
    try:
        entries = [Entry.from_record(each) for each in record.get("entries", ())]
        events = [(int(number), dict(event)) for number, event in record.get("events", ())]
        numbers = {key: int(record[key]) for key in ("next", "applied", "cursor", "dropped") if key in record}
    except (ValueError, TypeError, LookupError):
        return False
    held.stream = str(record.get("stream", held.stream))
    held.manager_key = str(record.get("manager_key", held.manager_key))
    held.numbered = held.numbered or record.get("numbered") is True
    held.next = numbers.get("next", held.next)
    held.cursor = numbers.get("cursor", held.cursor)
    held.applied = numbers.get("applied", held.applied)
    for entry in entries:
        held.entries[entry.it.id] = entry
    for number, event in events:
        held.queue.append((number, event))
        held.next = number + 1
    while held.queue and held.queue[0][0] <= held.applied:
        held.queue.popleft()
    if "dropped" in numbers:
        held.queue = deque(each for each in held.queue if each[0] != numbers["dropped"])
    return True


def snapshot(held: Held) -> Iterator[dict[str, Any]]:
    """Lines that say all of it."""
    yield {
        "stream": held.stream,
        "next": held.next,
        "applied": held.applied,
        "cursor": held.cursor,
        "numbered": held.numbered,
        "manager_key": held.manager_key,
        "entries": [entry.record() for entry in held.entries.values()],
    }
    for number, event in held.queue:
        yield {"events": [(number, event)]}


def renumber(held: Held) -> None:
    """Number what is queued from 1."""
    held.queue = deque(enumerate((event for _, event in held.queue), 1))
    held.next = len(held.queue) + 1


def forget(held: Held) -> None:
    """Assignments that ended long ago, but for the latest of each target, which later ones have to follow."""
    latest: dict[str, Entry] = {}
    for entry in held.entries.values():
        if entry.it.target not in latest or entry.it.generation >= latest[entry.it.target].it.generation:
            latest[entry.it.target] = entry
    ended = [id_ for id_, entry in held.entries.items() if entry.stage is Stage.ENDED]
    for id_ in ended[: max(0, len(ended) - _ENDED_KEPT)]:
        if latest[held.entries[id_].it.target].it.id != id_:
            del held.entries[id_]
