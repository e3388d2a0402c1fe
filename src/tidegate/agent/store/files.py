"""Writing files that survive a crash, and setting aside those that did not.

Files are 0600 and directories 0700: saved create requests hold the environment of containers. A write is on
disk, its directory entry too, when the call returns.
"""

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

Record = dict[str, Any]
Clock = Callable[[], datetime]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}
_log = structlog.get_logger(__name__)


class StateError(Exception):
    """The state directory cannot be used; the message says what to do."""


def wall_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what the operating system says about `path` into a `StateError`."""
    try:
        yield
    except OSError as error:
        raise StateError(_sentence(path, error)) from error


def make_directory(path: Path) -> None:
    """Create a directory (0700) and its parents. Raises `StateError`."""
    with telling(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(PermissionError):  # somebody else's directory, e.g. a mounted one; its files are 0600
            path.chmod(0o700)


def write(path: Path, data: bytes) -> None:
    """Replace a file's content at once: after a crash it holds the old content or the new. Raises `StateError`."""
    temporary = path.with_name(f"{path.name}.new")
    with telling(path):
        try:
            with os.fdopen(_open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add one JSON line. A write that fails half-way leaves the file as it was. Raises `StateError`."""
    line = spell_lines([record])
    with telling(path):
        fresh = not path.exists()
        descriptor = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            _append(descriptor, line)
        finally:
            os.close(descriptor)
        if fresh:
            sync_directory(path.parent)


def spell_lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Records as JSON lines."""
    return b"".join(json.dumps(record, ensure_ascii=False, default=str).encode() + b"\n" for record in records)


def read_lines(path: Path) -> Iterator[Record | None]:
    """Each line's record, None for a line that holds none; nothing for a missing file. Raises `StateError`."""
    with telling(path):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                if line.strip():
                    yield parse_line(line)


def parse_line(line: bytes) -> Record | None:
    """The JSON object of one line, or None."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def drop_torn_line(path: Path) -> bool:
    """Cut off a last line that a crash left unfinished; whether there was one. Only for the file's one writer."""
    with telling(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return False
        whole, newline, rest = data.rpartition(b"\n")
        if not rest.strip() or parse_line(rest):
            return False
        write(path, whole + newline)
    _log.warning(
        "a crash left the last line unfinished; it was dropped, the rest is kept",
        file=str(path),
        dropped_bytes=len(rest),
    )
    return True


def set_aside(path: Path, now: datetime, kept: bytes | None = None) -> Path | None:
    """Rename a damaged file to `<name>.broken-<time>`, and put what could be `kept` in its place.

    Never raises: a directory that cannot be written is told about, and the file left as it is.
    """
    aside = path.with_name(f"{path.name}.broken-{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}")
    try:
        if kept is None:
            path.replace(aside)
        else:
            os.link(path, aside)  # a full disk must not cost us the original
            write(path, kept)
        sync_directory(path.parent)
    except (OSError, StateError) as error:
        _log.error("a state file is damaged and cannot be set aside", file=str(path), error=str(error))
        return None
    _log.error("a state file was damaged and was set aside", file=str(path), set_aside=str(aside))
    return aside


def sync_directory(path: Path) -> None:
    """Make creations, renames and removals in a directory last."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _append(descriptor: int, line: bytes) -> None:
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        line = b"\n" + line  # an editor may have left the last line without its end
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return f"{path} could not be written: its disk is full. Free some space there; nothing was changed."
    if error.errno in _DENIED:
        return (
            f"{path} could not be used: {error.strerror}. Let TIDEGATE_STATE name a directory that the agent may "
            "write to, e.g. a volume of its own."
        )
    return f"{path} could not be used: {error.strerror or error}. Check the directory that TIDEGATE_STATE names."
