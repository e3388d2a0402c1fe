"""For how long services have said that they are busy; who waits for them without a manager goes by it."""

from datetime import UTC, datetime
from pathlib import Path

from tidegate.agent.store.files import Clock, wall_clock
from tidegate.agent.store.table import Table

_MOST_BETWEEN_S = 600.0
"""A busy service is asked every minute. The time in which nobody asks, as outside its window, does not count."""
_MOST = 500


class Busy:
    """`busy.json`: by the container's name, for the release that waits for it."""

    def __init__(self, directory: Path, *, clock: Clock = wall_clock) -> None:
        self._table = Table(directory / "busy.json", ("container", "digest", "asked_at", "waited_s"), clock=clock)

    def said(self, container: str, digest: str, now: datetime) -> float:
        """It said so just now; for how many seconds it has been waited for. Raises `StateError`."""
        with self._table.edit() as rows:
            known = next((row for row in rows if (row["container"], row["digest"]) == (container, digest)), None)
            waited_s = _waited_s(known, now) if known else 0.0
            row = {"container": container, "digest": digest, "asked_at": now.astimezone(UTC).isoformat()}
            others = [one for one in rows if one["container"] != container]
            rows[:] = [*others[1 - _MOST :], row | {"waited_s": round(waited_s, 3)}]
        return waited_s

    def forget(self, container: str) -> None:
        """It was updated, or is not waited for any more. Raises `StateError`."""
        if any(row["container"] == container for row in self._table.rows()):
            with self._table.edit() as rows:
                rows[:] = [row for row in rows if row["container"] != container]


def _waited_s(row: dict[str, object], now: datetime) -> float:
    """Until now; nothing where somebody has edited it into something else."""
    try:
        before, since = float(str(row["waited_s"])), datetime.fromisoformat(str(row["asked_at"]))
        gap_s = (now - since).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return before + (gap_s if 0 < gap_s <= _MOST_BETWEEN_S else 0.0)
