"""What ran before on each target: enough to make it again. It holds environments, so the file is 0600."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.agent.store.files import Clock, Record, wall_clock
from tidegate.agent.store.table import Table


@dataclass(frozen=True, slots=True)
class Earlier:
    """One container as it ran before an update.

    `number` is its number within the service, `reference` what the Compose file said, `request` its create
    request, `endpoints` its networks by name with their settings, `saved_at` an ISO time.
    """

    cluster: str
    service: str
    number: str
    reference: str
    digest: str
    image_id: str
    saved_at: str
    request: Mapping[str, Any]
    endpoints: Mapping[str, Mapping[str, Any]]


_FIELDS = tuple(field.name for field in fields(Earlier))


_GONE_SINCE = "gone_since"


class Previous:
    """`previous.json`."""

    def __init__(self, directory: Path, *, clock: Clock = wall_clock) -> None:
        # requests are large and seldom asked for, so they are not kept in memory
        self._table = Table(directory / "previous.json", _FIELDS, cache=False, clock=clock)

    def add(self, earlier: Earlier, *, keep: int) -> None:
        """Note what ran; the last `keep` digests of each container stay. Raises `StateError`.

        A digest that is noted again moves to the newest place.
        """
        place = (earlier.cluster, earlier.service, earlier.number)
        with self._table.edit() as rows:
            others = [row for row in rows if (row["cluster"], row["service"], row["number"]) != place]
            own = [row for row in rows if row not in others and row["digest"] != earlier.digest]
            rows[:] = [*others, *([*own, asdict(earlier)][-keep:] if keep else [])]

    def forget_gone(self, present: Collection[tuple[str, str]], now: datetime, *, after: timedelta) -> None:
        """Drop what ran on targets (cluster, service) that were not `present` for so long. Raises `StateError`.

        Call it with what is there at some time of each day: a row notes since when its target is missed.
        """
        if self._table.rows():
            with self._table.edit() as rows:
                noted = [_noted(row, (row["cluster"], row["service"]) in present, now) for row in rows]
                rows[:] = [row for row in noted if now - _gone_since(row, now) < after]

    def of(self, cluster: str, service: str) -> list[Earlier]:
        """What ran on a target, the newest first. Raises `StateError`."""
        return [one for one in reversed(self.list()) if (one.cluster, one.service) == (cluster, service)]

    def list(self) -> list[Earlier]:
        """Everything noted, the oldest of each container first. Raises `StateError`."""
        return [Earlier(**{name: row[name] for name in _FIELDS}) for row in self._table.rows()]


def _noted(row: Record, present: bool, now: datetime) -> Record:
    if present:
        return {name: value for name, value in row.items() if name != _GONE_SINCE}
    return {_GONE_SINCE: now.isoformat(), **row}


def _gone_since(row: Record, now: datetime) -> datetime:
    """Since when its target is missed; `now` for one that is there, or whose time was edited into something else."""
    try:
        since = datetime.fromisoformat(str(row.get(_GONE_SINCE)))
    except ValueError:
        return now
    return since if since.tzinfo else now
