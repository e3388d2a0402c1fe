"""When a registry that failed may be asked again. Pure: the time and the chance are arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_DELAY_S = 30.0
LONGEST_DELAY_S = 3600.0
# A registry may ask for more patience than we would have, but not for ever.
LONGEST_RETRY_AFTER_S = 86400.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The patience owed to one registry: failures in a row, when the last one was told, and until when to wait."""

    failures: int = 0
    not_before: float = 0.0
    failed_at: float = 0.0

    def next_allowed(self, now: float) -> float:
        """The earliest time at which it may be asked; `now` if it may be asked at once."""
        return max(now, self.not_before)

    def failed(
        self, now: float, *, jitter: float, asked_at: float | None = None, retry_after_s: float | None = None
    ) -> "Backoff":
        """After one more failure. `jitter` is a random number in [0, 1); `asked_at` is `now` where it is not given.

        The delay doubles from 30 s up to an hour, half of it by chance; a Retry-After is a floor to it, and
        chance adds up to a tenth, so that many agents do not come back in the same second. Of questions that
        were asked before the wait is over, which fail together, the first one counts.
        """
        floor_s = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S) * (1 + 0.1 * jitter)
        if (now if asked_at is None else asked_at) < self.not_before:
            return replace(self, not_before=max(self.not_before, now + floor_s), failed_at=now)
        failures = self.failures + 1
        full_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures - 1, 16))
        return Backoff(failures, now + max(full_s * (0.5 + 0.5 * jitter), floor_s), now)

    def held(self, until: float, now: float) -> "Backoff":
        """After a failure of something else that is to count here too, but not as one more of ours."""
        return replace(self, not_before=max(self.not_before, until), failed_at=now)

    def succeeded(self, asked_at: float) -> "Backoff":
        """After an answer: its failures are forgotten, and the wait too unless it was asked for meanwhile."""
        return replace(self, failures=0) if asked_at < self.failed_at else Backoff()


@dataclass(frozen=True, slots=True)
class Backoffs:
    """The back-off of every registry that failed lately, by its host name."""

    registries: Mapping[str, Backoff] = field(default_factory=dict)

    def next_allowed(self, registry: str, now: float) -> float:
        """The earliest time at which `registry` may be asked."""
        return self.registries.get(registry, Backoff()).next_allowed(now)

    def failed(
        self,
        registry: str,
        now: float,
        *,
        jitter: float,
        asked_at: float | None = None,
        retry_after_s: float | None = None,
    ) -> "Backoffs":
        """After a failure of `registry`."""
        before = self.registries.get(registry, Backoff())
        after = before.failed(now, jitter=jitter, asked_at=asked_at, retry_after_s=retry_after_s)
        return Backoffs({**self.registries, registry: after})

    def held(self, registry: str, until: float, now: float) -> "Backoffs":
        """After something else was refused by `registry` until then."""
        after = self.registries.get(registry, Backoff()).held(until, now)
        return Backoffs({**self.registries, registry: after})

    def succeeded(self, registry: str, asked_at: float) -> "Backoffs":
        """After an answer of `registry`."""
        after = self.registries.get(registry, Backoff()).succeeded(asked_at)
        return Backoffs({**self.registries, registry: after})


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait by a Retry-After header (seconds or an HTTP date); None if it says nothing usable."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
