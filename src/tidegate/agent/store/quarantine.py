"""The quarantine: digests that failed on a target, never tried there again until a person releases them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tidegate.agent.store.files import Clock, Record, wall_clock
from tidegate.agent.store.table import Table

_SHORTEST = 6


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One digest that failed. `since` is an ISO time, `release` what people call it (version or tag), if known."""

    repository: str
    digest: str
    cluster: str
    service: str
    reason: str
    since: str
    release: str = ""

    @property
    def target(self) -> str:
        """`cluster/service`."""
        return f"{self.cluster}/{self.service}" if self.cluster else self.service


_FIELDS = tuple(field.name for field in fields(QuarantineEntry))
_KEY = ("repository", "digest", "cluster", "service")


class Quarantine:
    """`quarantine.json`; edits by other processes are seen at the next question.

    The last `keep` entries stay: so many that what is dropped is of targets that are long gone.
    """

    def __init__(self, directory: Path, *, keep: int = 5000, clock: Clock = wall_clock) -> None:
        self._keep = keep
        self._table = Table(directory / "quarantine.json", _KEY, clock=clock)

    def add(self, entry: QuarantineEntry) -> None:
        """Put a digest in; one that is in already gets the new reason. Raises `StateError`."""
        with self._table.edit() as rows:
            rows[:] = [row for row in rows if _key(row) != _key(asdict(entry))]
            rows.append(asdict(entry))
            del rows[: -self._keep]

    def find(self, repository: str, digest: str, cluster: str, service: str) -> QuarantineEntry | None:
        """The entry of a digest on a target, or None. Raises `StateError`."""
        wanted = (repository, digest, cluster, service)
        return next((_entry(row) for row in self._table.rows() if _key(row) == wanted), None)

    def contains(self, repository: str, digest: str, cluster: str, service: str) -> bool:
        """Whether a digest must not be tried on a target. Raises `StateError`."""
        return self.find(repository, digest, cluster, service) is not None

    def release(self, matches: Callable[[QuarantineEntry], bool]) -> list[QuarantineEntry]:
        """Let go of every entry that matches; those entries. Raises `StateError`."""
        with self._table.edit() as rows:
            gone = [row for row in rows if matches(_entry(row))]
            rows[:] = [row for row in rows if row not in gone]
        return [_entry(row) for row in gone]

    def list(self) -> list[QuarantineEntry]:
        """Every entry, the oldest first. Raises `StateError`."""
        return [_entry(row) for row in self._table.rows()]


def named(what: str) -> Callable[[QuarantineEntry], bool]:
    """Matches what a person types: `CLUSTER/SERVICE`, a repository, `all`, or a digest or its beginning."""
    hexadecimal = what.removeprefix("sha256:")

    def matches(entry: QuarantineEntry) -> bool:
        begins = len(hexadecimal) >= _SHORTEST and entry.digest.removeprefix("sha256:").startswith(hexadecimal)
        return begins or what in {"all", entry.target, entry.repository}

    return matches


def _key(row: Record) -> tuple[str, ...]:
    return tuple(str(row.get(name, "")) for name in _KEY)


def _entry(row: Record) -> QuarantineEntry:
    """Entries that a person added by hand may lack what only people read."""
    return QuarantineEntry(**{name: str(row.get(name, "")) for name in _FIELDS})
