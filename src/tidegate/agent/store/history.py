"""The history: one line for each thing that happened, oldest first, bounded in size."""

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidegate.agent.store.files import (
    Clock,
    Record,
    append,
    drop_torn_line,
    make_directory,
    read_lines,
    set_aside,
    spell_lines,
    sync_directory,
    telling,
    wall_clock,
)


class History:
    """`history.jsonl`, and `history.1.jsonl` before it, each at most about `max_bytes`."""

    def __init__(self, directory: Path, *, max_bytes: int = 5_000_000, clock: Clock = wall_clock) -> None:
        self._path = directory / "history.jsonl"
        self._older = directory / "history.1.jsonl"
        self._max_bytes = max_bytes
        self._clock = clock
        self._mended = False

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a record; on disk when it returns. `cluster` and `service` are what `tail` selects by.

        Only for the one process that holds the state's lock. Raises `StateError`.
        """
        make_directory(self._path.parent)
        if not self._mended:
            self._mend()
        self._rotate()
        append(self._path, record)

    def tail(self, n: int, *, cluster: str | None = None, service: str | None = None) -> list[Record]:
        """The last `n` records of a cluster and a service (None: of any), the newest last. Raises `StateError`."""
        wanted = {key: value for key, value in (("cluster", cluster), ("service", service)) if value is not None}
        matching = (record for record in self._records() if wanted.items() <= _told(record, wanted).items())
        return list(deque(matching, maxlen=n))

    def _records(self) -> Iterator[Record]:
        for path in (self._older, self._path):
            # a writer may be in the midst of the last line; its damage, if it is one, is the writer's to mend
            yield from (record for record in read_lines(path) if record is not None)

    def _mend(self) -> None:
        drop_torn_line(self._path)
        if any(record is None for record in read_lines(self._path)):
            kept = spell_lines(record for record in read_lines(self._path) if record is not None)
            set_aside(self._path, self._clock(), kept)
        self._mended = True

    def _rotate(self) -> None:
        with telling(self._path):
            if self._path.exists() and self._path.stat().st_size >= self._max_bytes:
                self._path.replace(self._older)
                sync_directory(self._path.parent)


def _told(record: Record, wanted: Mapping[str, str]) -> Record:
    return {key: record.get(key) for key in wanted}
