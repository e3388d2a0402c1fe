"""What the link keeps, in one append-only file: what was told, how far it is, and events the manager does not have yet.

One change is one line, so that after a kill an assignment and what is to be told of it are never at odds: both are on
disk, or neither is.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

from tidegate.agent.link.entry import Entry
from tidegate.agent.link.held import Held, Numbered, forget, renumber, snapshot, taken
from tidegate.agent.store.files import (
    Clock,
    StateError,
    append,
    drop_torn_line,
    make_directory,
    read_lines,
    set_aside,
    spell_lines,
    wall_clock,
    write,
)
from tidegate.protocol.events import Event, Inventory, write_event
from tidegate.protocol.messages import MOST_BYTES, MOST_EVENTS

_NAME = "log.jsonl"
_COMPACT_BYTES = 256 * 1024
_QUEUE = 5000
"""So many events are kept while the manager is away; then inventories of no use go, and after them the oldest."""
_SUPERSEDED = "superseded"
_ROOM_BYTES = 4096
_NOT_SHORTENED = (
    "the log of the link could not be shortened, and goes on growing; make room on the disk of the state folder"
)
_Stamp = tuple[int, int]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What is written at once. `entries` replace those with the same id; `events` are numbered as they are written.

    `numbered`: the item had its number under the manager's signature.
    """

    cursor: int | None = None
    numbered: bool = False
    manager_key: str | None = None
    entries: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to be sent, as JSON. `skipped`: some that came before are lost."""

    stream: str
    first: int
    events: tuple[Mapping[str, Any], ...]
    skipped: bool

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + len(self.events) - 1


class LinkLog:
    """`log.jsonl` under `directory`. Only who `may_write`, because it holds the state's lock, changes it."""

    def __init__(
        self,
        directory: Path,
        *,
        may_write: Callable[[], bool] = lambda: True,
        clock: Clock = wall_clock,
        most: int = _QUEUE,
    ) -> None:
        self._path = directory / _NAME
        self._may_write = may_write
        self._clock = clock
        self._most = most
        self._held = Held()
        self._found = self._held.next
        self._stamp: _Stamp | None = None
        self._compact_at = _COMPACT_BYTES
        self.on_event: Callable[[], None] = lambda: None

    @property
    def exists(self) -> bool:
        """Whether the agent has ever enrolled here."""
        return self._path.exists()

    @property
    def cursor(self) -> int:
        """The last item of the manager's that is on this disk."""
        return self._read().cursor

    @property
    def numbered(self) -> bool:
        """Whether items have had their number under the manager's signature: then all that follow have."""
        return self._read().numbered

    @property
    def manager_key(self) -> str:
        """The manager's key that is pinned; empty before the agent has enrolled."""
        return self._read().manager_key

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every assignment that is remembered, by its id, in the order in which they came."""
        return self._read().entries

    @property
    def stream(self) -> str:
        """The name by which the manager tells this log from others."""
        return self._read().stream

    @property
    def queued(self) -> int:
        """How many events the manager does not have yet."""
        return len(self._read().queue)

    @property
    def oldest(self) -> str | None:
        """When the oldest of them happened (RFC 3339), if there is any."""
        queue = self._read().queue
        return str(queue[0][1].get("at", "")) if queue else None

    def begin(self, manager_key: str) -> None:
        """Start anew, as the agent that has just enrolled. Raises `StateError`."""
        self._check()
        self._held = Held(stream=uuid4().hex, manager_key=manager_key)
        self._rewrite()

    def commit(self, change: Change) -> None:
        """Write a change; on disk when it returns. Raises `StateError`, and nothing has changed then."""
        held = self._open()
        numbered = list(enumerate(map(write_event, change.events), held.next))
        record: dict[str, Any] = {}
        if change.cursor is not None:
            record["cursor"] = change.cursor
        if change.numbered and not held.numbered:
            record["numbered"] = True
        if change.manager_key is not None:
            record["manager_key"] = change.manager_key
        if change.entries:
            record["entries"] = [entry.record() for entry in change.entries]
        if numbered:
            record["events"] = numbered
        if record:
            self._append(record)
            if any(isinstance(event, Inventory) for event in change.events):
                self._only_the_last_inventory()
            self._shrink()
        if numbered:
            self.on_event()

    def acknowledged(self, stream: str, applied: int) -> None:
        """The manager has these. Raises `StateError`.

        One that has more than was ever sent knows a log that was lost: what is left to tell goes into a new one.
        """
        held = self._open()
        if stream != held.stream or applied < held.applied:
            return
        if applied >= held.next:
            self._renew()
        elif applied > held.applied:
            self._append({"applied": applied})
            self._shrink()

    def known_before(self, stream: str, applied: int) -> None:
        """The manager has these, and this process has sent none yet. Raises `StateError`.

        If it has more than was found here, the state folder was put back from a backup. What was written since has
        numbers that the manager would take for those of the events that were lost, so it goes into a new log.
        """
        self._open()
        self.acknowledged(stream, min(applied, self._found - 1))
        if stream == self._held.stream and applied >= self._found:
            self._renew()

    def renew(self) -> None:
        """Go on as a new log with what is left to tell. Raises `StateError`."""
        self._open()
        self._renew()

    def batch(self, *, after: int | None = None, most: int = MOST_EVENTS) -> Batch | None:
        """The next events to be sent, up to a hole, at most `most` and what a request may hold; None: there are none.

        `after` is the last that the manager says it has.
        """
        held = self._read()
        waiting = [(number, event) for number, event in held.queue if after is None or number > after]
        if not waiting:
            return None
        first = waiting[0][0]
        events: list[Mapping[str, Any]] = []
        size = _ROOM_BYTES
        for number, event in waiting[:most]:
            size += len(json.dumps(event)) + 1
            if events and (size > MOST_BYTES or number != first + len(events)):
                break  # the manager counts on from the first: what comes after a hole is a batch of its own
            events.append(event)
        known = held.applied if after is None else after
        return Batch(held.stream, first, tuple(events), skipped=first > known + 1)

    def drop(self, number: int) -> None:
        """Give up an event that the manager does not take. Raises `StateError`."""
        self._open()
        self._append({"dropped": number})

    def _check(self) -> None:
        if not self._may_write():
            raise StateError(f"{self._path} was not written: another agent has the state by now.")

    def _open(self) -> Held:
        """The content, with the right to change it."""
        self._check()
        held = self._read()
        if not held.stream:
            raise StateError(f"{self._path} is missing: the agent has not enrolled.")
        return held

    def _read(self) -> Held:
        """The content; read anew where another process has written to the file."""
        if self._stamp is None or self._stamp_now() != self._stamp:
            self._held = self._load()
            self._found = self._held.next  # others may have sent what is before that, and nothing after it
            self._stamp = self._stamp_now()
        return self._held

    def _stamp_now(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0)
        return found.st_ino, found.st_size

    def _load(self) -> Held:
        held = Held()
        if not self.exists:
            return held
        whole = True
        if self._may_write():
            drop_torn_line(self._path)
        for line in read_lines(self._path):
            whole = line is not None and taken(held, line) and whole
        if not whole:
            self._salvage(held)
        return held

    def _salvage(self, held: Held) -> None:
        """A damaged log: what can be read stays, and events go on under another name, so that none is taken twice."""
        _log.error("the log of the link to the manager is damaged; what can be read of it counts", file=str(self._path))
        if self._may_write():
            set_aside(self._path, self._clock(), spell_lines(snapshot(held)))
            held.stream, held.applied = uuid4().hex, 0
            renumber(held)
            write(self._path, spell_lines(snapshot(held)))

    def _append(self, record: Mapping[str, Any]) -> None:
        append(self._path, record)
        taken(self._held, record)
        self._stamp = self._stamp_now()

    def _only_the_last_inventory(self) -> None:
        """Earlier ones are of no use any more; their numbers stay, with nothing behind them."""
        queue = self._held.queue
        last = max(number for number, event in queue if event["kind"] == "inventory")
        for number, event in queue:
            if event["kind"] == "inventory" and number != last:
                event.pop("targets", None)
                event["kind"] = _SUPERSEDED

    def _shrink(self) -> None:
        held = self._held
        full = len(held.queue) > self._most
        if full:
            held.queue = _newest(held.queue, self._most)
        size = self._stamp_now()[1]
        if not full and size <= self._compact_at:
            return
        try:
            self._rewrite()
        except StateError as error:  # what was to be written is on disk already, so whoever wrote it is to go on
            self._compact_at = max(_COMPACT_BYTES, 2 * size)
            _log.warning(_NOT_SHORTENED, file=str(self._path), size=size, reason=str(error))

    def _renew(self) -> None:
        held = self._held
        _log.warning("the manager knows another log of this agent; it goes on with a new one", events=len(held.queue))
        held.stream, held.applied = uuid4().hex, 0
        renumber(held)
        try:
            self._rewrite()
        except StateError:
            self._stamp = None  # what is on disk counts, and is read again
            raise

    def _rewrite(self) -> None:
        make_directory(self._path.parent)
        forget(self._held)
        data = spell_lines(snapshot(self._held))
        write(self._path, data)
        self._compact_at = max(_COMPACT_BYTES, 2 * len(data))
        self._stamp = self._stamp_now()


def _newest(queue: deque[Numbered], most: int) -> deque[Numbered]:
    """At most so many: first what is of no use any more goes, and only then what is oldest."""
    useful = [one for one in queue if one[1]["kind"] != _SUPERSEDED]
    return deque(useful[-most:])
