"""The journal: what a transaction is about to do, on disk before it is done. Recovery reads it."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tidegate.agent.store.files import (
    Clock,
    Record,
    StateError,
    append,
    drop_torn_line,
    make_directory,
    read_lines,
    set_aside,
    spell_lines,
    sync_directory,
    telling,
    wall_clock,
    write,
)

_SUFFIX = ".jsonl"
_ATTACHED = ".tar"
_RESERVE_BYTES = 256 * 1024
_TXID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A transaction that was begun and not closed; the first record is the one it began with."""

    txid: str
    records: tuple[Record, ...]


class Journal:
    """One file for each transaction under `directory`; closed ones move to `done/`, the last `keep` stay there."""

    def __init__(self, directory: Path, *, keep: int = 20, clock: Clock = wall_clock) -> None:
        self._directory = directory
        self._done = directory / "done"
        self._reserve = directory / "reserve"
        self._keep = keep
        self._clock = clock

    def begin(self, txid: str, record: Mapping[str, Any]) -> None:
        """Open a transaction; on disk when it returns. Raises `StateError`, also where the id is taken."""
        make_directory(self._directory)
        path = self._path(txid)
        if path.exists():
            raise StateError(f"{path} exists already: transaction {txid} was begun before and has not ended.")
        self._put_by()
        append(path, record)

    def append(self, txid: str, record: Mapping[str, Any]) -> None:
        """Add a record; on disk when it returns. Raises `StateError`."""
        path = self._path(txid)
        if not path.exists():
            raise StateError(f"{path} is missing: somebody removed the journal of transaction {txid} as it ran.")
        try:
            append(path, record)
        except StateError:
            if not self._give_room():
                raise
            append(path, record)

    def knows(self, txid: str) -> bool:
        """Whether it is one of this agent's own, open or among the last that ended."""
        return self._path(txid).exists() or self.ended(txid)

    def ended(self, txid: str) -> bool:
        """Whether it is among the last of this agent's own that ended."""
        return (self._done / f"{txid}{_SUFFIX}").exists()

    def _put_by(self) -> None:
        """Hold some of the disk, so that what is begun can be written to its end though it fills up meanwhile."""
        if not self._reserve.exists() or self._reserve.stat().st_size < _RESERVE_BYTES:
            write(self._reserve, os.urandom(_RESERVE_BYTES))  # zeros would take no room on some file systems

    def _give_room(self) -> bool:
        """Let go of what was put by, once; whether there was anything."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        _log.warning("the state folder is full; an update goes on with what was put by", folder=str(self._directory))
        return True

    def open_transactions(self) -> list[JournalFile]:
        """Those not closed, the one written to first first; damaged journals are mended or set aside.

        Only for the one process that holds the state's lock. Raises `StateError`.
        """
        found = [self._load(path) for path in _oldest_first(self._directory)]
        self._drop_left_over()
        return [journal for journal in found if journal is not None]

    def peek(self) -> list[JournalFile]:
        """Those not closed, as far as they can be read now; changes nothing, for a look from another process."""
        found = []
        for path in _oldest_first(self._directory):
            records = tuple(line for line in read_lines(path) if line is not None)
            if records:
                found.append(JournalFile(path.name.removesuffix(_SUFFIX), records))
        return found

    def records(self, txid: str) -> tuple[Record, ...]:
        """What one that is not closed says, as far as it can be read. Raises `StateError`."""
        return tuple(line for line in read_lines(self._path(txid)) if line is not None)

    def attach(self, txid: str, name: str, data: bytes) -> None:
        """Keep a tar beside an open transaction; on disk when it returns, gone when that is closed.

        Raises `StateError`.
        """
        write(self._attachment(txid, name), data)

    def attached(self, txid: str, name: str) -> bytes | None:
        """What was kept under that name, if anything. Raises `StateError`."""
        path = self._attachment(txid, name)
        with telling(path):
            try:
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def _attachment(self, txid: str, name: str) -> Path:
        return self._path(f"{txid}.{name}").with_suffix(_ATTACHED)

    def _detach(self, txid: str) -> None:
        """Remove what was kept, also what a crash left half-written."""
        for path in self._directory.glob(f"{txid}.*{_ATTACHED}*"):
            path.unlink(missing_ok=True)

    def _drop_left_over(self) -> None:
        """What was kept beside a journal that a person has removed since may hold secrets."""
        with telling(self._directory):
            open_ = [f"{path.name.removesuffix(_SUFFIX)}." for path in self._directory.glob(f"*{_SUFFIX}")]
            for path in self._directory.glob(f"*{_ATTACHED}*"):
                if not path.name.startswith(tuple(open_)):
                    path.unlink(missing_ok=True)

    def close(self, txid: str) -> None:
        """The transaction is over; closing it twice is no error. Raises `StateError`."""
        path = self._path(txid)
        make_directory(self._done)
        with telling(path):
            self._detach(txid)
            if path.exists():
                path.replace(self._done / path.name)
                sync_directory(self._done)
                sync_directory(self._directory)
            for old in _oldest_first(self._done)[: -self._keep]:
                old.unlink(missing_ok=True)

    def _load(self, path: Path) -> JournalFile | None:
        try:
            drop_torn_line(path)
        except StateError as error:  # the line is passed over all the same
            _log.error("a torn line stays in a journal", reason=str(error))
        lines = list(read_lines(path))
        records = tuple(line for line in lines if line is not None)
        txid = path.name.removesuffix(_SUFFIX)
        if not lines:
            _log.info("a transaction was cut off before it began; nothing was done", transaction=txid)
            self.close(txid)
            return None
        if lines[0] is None:
            self._detach(txid)
            set_aside(path, self._clock())
            _log.error(
                "an update that was cut off cannot be recovered: the beginning of its journal is damaged; "
                "look for containers with this label: docker ps -a --filter label=tidegate.transaction",
                transaction=txid,
            )
            return None
        if len(records) < len(lines):
            set_aside(path, self._clock(), spell_lines(records))
        return JournalFile(txid, records)

    def _path(self, txid: str) -> Path:
        if not _TXID.fullmatch(txid):
            raise ValueError(f"{txid!r} is not a transaction's id")
        return self._directory / f"{txid}{_SUFFIX}"


def _oldest_first(directory: Path) -> list[Path]:
    """A journal that the agent closes while another process looks is left out."""
    found = []
    with telling(directory):
        for path in directory.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path.name, path))
    return [path for _, _, path in sorted(found)]
