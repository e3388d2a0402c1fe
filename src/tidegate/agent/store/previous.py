"""What ran before on each target: enough to make it again. It holds environments, so the file is 0600."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tidegate.agent.store.files import Clock, wall_clock
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

    def of(self, cluster: str, service: str) -> list[Earlier]:
        """What ran on a target, the newest first. Raises `StateError`."""
        return [one for one in reversed(self.list()) if (one.cluster, one.service) == (cluster, service)]

    def list(self) -> list[Earlier]:
        """Everything noted, the oldest of each container first. Raises `StateError`."""
        return [Earlier(**{name: row[name] for name in _FIELDS}) for row in self._table.rows()]
