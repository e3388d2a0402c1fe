"""A JSON file that holds a list of flat entries; a person or the command line may edit it at any time."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import structlog

from tidegate.agent.store.files import (
    Clock,
    Record,
    StateError,
    make_directory,
    set_aside,
    telling,
    wall_clock,
    write,
)

_EDIT_LOCK = "edit.lock"
_Stamp = tuple[int, int, int]
_log = structlog.get_logger(__name__)


class Table:
    """Entries in one file. An entry without all `required` keys is not one."""

    def __init__(self, path: Path, required: Sequence[str], *, cache: bool = True, clock: Clock = wall_clock) -> None:
        self._path = path
        self._required = frozenset(required)
        self._clock = clock
        self._cache = cache
        self._stamp: _Stamp | None = None
        self._damaged: _Stamp | None = None
        self._rows: list[Record] = []

    def rows(self) -> list[Record]:
        """The entries as they are on disk now; a missing file has none. Raises `StateError`."""
        stamp = self._stamp_now()
        if stamp is None:
            return []
        if stamp == self._stamp:
            return list(self._rows)
        rows, whole = self._read()
        if not whole and stamp != self._damaged:
            self._damaged = stamp
            _log.error("a state file is damaged; its whole entries count until it is mended", file=str(self._path))
        if self._cache:
            self._rows, self._stamp = rows, stamp
        return list(rows)

    @contextmanager
    def edit(self) -> Iterator[list[Record]]:
        """Change the list in place; it is written when the block ends, if it changed. Raises `StateError`.

        Entries are replaced, not changed themselves. Editors of other processes wait meanwhile. Only here a damaged
        file is set aside: who merely reads it may be looking while a person saves it.
        """
        make_directory(self._path.parent)
        with _alone(self._path.with_name(_EDIT_LOCK)):
            before = self.rows()
            if self._damaged is not None and self._damaged == self._stamp_now():
                set_aside(self._path, self._clock(), _spell(before))
            rows = list(before)
            yield rows
            if rows != before:
                write(self._path, _spell(rows))

    def _stamp_now(self) -> _Stamp | None:
        with telling(self._path):
            try:
                found = self._path.stat()
            except FileNotFoundError:
                return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[list[Record], bool]:
        """The entries that can be read, and whether the file is nothing but these."""
        with telling(self._path):
            data = self._path.read_bytes()
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and all(self._is_entry(row) for row in found):
            return found, True
        return list(self._salvage(data.decode(errors="replace"))), False

    def _is_entry(self, row: object) -> bool:
        return isinstance(row, dict) and self._required <= row.keys()

    def _salvage(self, text: str) -> Iterator[Record]:
        """Every entry that is whole, wherever it stands in a damaged file."""
        decoder = json.JSONDecoder()
        at = text.find("{")
        while at >= 0:
            try:
                row, end = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                row, end = None, at + 1
            if self._is_entry(row):
                yield row
            else:
                end = at + 1
            at = text.find("{", end)


def _spell(rows: list[Record]) -> bytes:
    return json.dumps(rows, indent=2, ensure_ascii=False, default=str).encode() + b"\n"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the short lock that all writers of tables take."""
    with telling(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            raise StateError(
                f"{path} could not be locked: {error.strerror}. TIDEGATE_STATE has to be on a local file system."
            ) from error
        yield
    finally:
        os.close(descriptor)
