"""When each digest was first seen on its channel; a cool-down counts from there."""

from datetime import UTC, datetime
from pathlib import Path

from tidegate.agent.store.files import Clock, Record, wall_clock
from tidegate.agent.store.table import Table


class Seen:
    """`seen.json`; the last `keep` digests of each channel, and of the `channels` that had a new one last."""

    def __init__(self, directory: Path, *, keep: int = 20, channels: int = 2000, clock: Clock = wall_clock) -> None:
        self._table = Table(directory / "seen.json", ("channel", "digest", "first_seen"), clock=clock)
        self._keep = keep
        self._channels = channels

    def first_seen(self, channel: str, digest: str, now: datetime) -> datetime:
        """When the digest was first seen there; `now`, which is noted, if it never was. Raises `StateError`."""
        known = self.known(channel, digest)
        if known is not None:
            return known
        with self._table.edit() as rows:
            others = [row for row in rows if row["channel"] != channel]
            own = [row for row in rows if row["channel"] == channel and row["digest"] != digest]
            noted = {"channel": channel, "digest": digest, "first_seen": now.astimezone(UTC).isoformat()}
            rows[:] = [*self._newest(others), *[*own, noted][-self._keep :]]
        return now

    def _newest(self, rows: list[Record]) -> list[Record]:
        """Those of the last channels: a channel's rows stand where its newest was noted."""
        channels = list(dict.fromkeys(row["channel"] for row in rows))
        gone = set(channels[: max(0, len(channels) + 1 - self._channels)])
        return [row for row in rows if row["channel"] not in gone]

    def known(self, channel: str, digest: str) -> datetime | None:
        """When the digest was first seen there, or None; notes nothing. Raises `StateError`."""
        return _find(self._table.rows(), channel, digest)


def _find(rows: list[Record], channel: str, digest: str) -> datetime | None:
    for row in rows:
        if (row["channel"], row["digest"]) == (channel, digest):
            try:
                moment = datetime.fromisoformat(str(row["first_seen"]))
            except ValueError:
                return None  # edited by hand into something else: seen now
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
