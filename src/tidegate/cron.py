"""When a cron expression occurs; cronsim computes it, with the daylight-saving rules of Debian's cron.

A time that the spring gap swallows occurs when the gap ends; one that autumn repeats occurs once, the first
time, unless the expression runs every hour or every minute.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def occurrences(cron: str, zone: str, start: datetime) -> Iterator[datetime]:
    """The instants strictly after `start` (which carries a time zone), in UTC and ascending.

    None for a date that never comes, e.g. 30 February. `cron` has been vetted by `domain.cronfields`.
    """
    after = start.astimezone(UTC)
    try:
        ticks = _FromMidnight(cron, after.astimezone(ZoneInfo(zone)))
    except CronSimError:
        # of a vetted expression cronsim refuses only days that none of its months has
        return
    for tick in ticks:
        moment = tick.astimezone(UTC)
        # cronsim goes by the wall clock: in the repeated hour it can name a moment that has passed, and in
        # the gap the same moment twice
        if moment > after:
            after = moment
            yield moment


def ever_occurs(cron: str, zone: str) -> bool:
    """Whether a vetted expression has any occurrence: the 30th of February has none."""
    return next(occurrences(cron, zone, _SOME_DAY), None) is not None


class _FromMidnight(CronSim):
    """Where clocks are put forward at midnight, a day begins at 1:00: without this the hour after is left out."""

    def advance_month(self) -> None:
        super().advance_month()
        self._land()

    def advance_day(self) -> bool:
        moved = super().advance_day()
        self._land()
        return moved

    def _land(self) -> None:
        if self.dt.tzinfo is not None:
            self.dt = self.dt.astimezone(UTC).astimezone(self.dt.tzinfo)
