"""Containers that a private network was not enough for; they are stopped first from then on."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tidegate.agent.store.files import Clock, wall_clock
from tidegate.agent.store.table import Table


class Unprovable(Mapping[str, str]):
    """`unprovable.json`: why, by the container's name. Delete an entry to have it tried again."""

    def __init__(self, directory: Path, *, clock: Clock = wall_clock) -> None:
        self._table = Table(directory / "unprovable.json", ("container", "reason"), clock=clock)

    def note(self, container: str, reason: str) -> None:
        """Remember why. Raises `StateError`."""
        with self._table.edit() as rows:
            rows[:] = [row for row in rows if row["container"] != container]
            rows.append({"container": container, "reason": reason})

    def __getitem__(self, container: str) -> str:
        return {str(row["container"]): str(row["reason"]) for row in self._table.rows()}[container]

    def __iter__(self) -> Iterator[str]:
        return iter([str(row["container"]) for row in self._table.rows()])

    def __len__(self) -> int:
        return len(self._table.rows())
