"""Counters of the agent, as plain numbers, and their Prometheus text.

The text is written here, not by a client library: it costs no memory while nobody asks, and Watchtower's counters have
names that such a library would change.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS_S = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800)


Sample = tuple[str, str, str, int]
"""A metric's name, its kind, what it means, and its value."""


class UpdateOutcome(StrEnum):
    """How a transaction ended; a bounded set, because it is a metric's label."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    GAVE_WAY = "gave_way"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"


@dataclass(slots=True)
class Metrics:
    """What the agent has done since it started; the first three are of the last check only.

    A check is what Watchtower calls a scan: a poll, or what a call of `/v1/update` asked for. Looks in between, at
    containers that started or are tried again, are none; the `updates` that come of them count.
    `unended` updates were cut off and could not be ended yet. `more` are those of the link to a manager.
    """

    containers_scanned: int = 0
    containers_updated: int = 0
    containers_failed: int = 0
    scans_total: int = 0
    scans_skipped: int = 0
    unended: int = 0
    more: Callable[[], Sequence[Sample]] = tuple
    updates: Counter[UpdateOutcome] = field(default_factory=Counter)
    _durations: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    _duration_sum_s: float = 0.0

    def scanned(self, *, scanned: int, updated: int, failed: int) -> None:
        """A check ended."""
        self.scans_total += 1
        self.containers_scanned, self.containers_updated, self.containers_failed = scanned, updated, failed

    def skipped(self) -> None:
        """A check was asked for while another ran."""
        self.scans_total += 1
        self.scans_skipped += 1

    def transaction(self, outcome: UpdateOutcome, seconds: float) -> None:
        """A transaction ended."""
        self.updates[outcome] += 1
        self._durations[sum(seconds > bound for bound in BUCKETS_S)] += 1
        self._duration_sum_s += seconds

    def exposition(self) -> str:
        """The text format of Prometheus."""
        lines: list[str] = []
        for name, kind, meaning, value in (*self._simple(), *self.more()):
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", f"{name} {value}"]
        lines += self._update_lines() + self._duration_lines()
        return "\n".join(lines) + "\n"

    def _simple(self) -> tuple[Sample, ...]:
        last = "in the last check"
        return (
            ("watchtower_containers_scanned", "gauge", f"Containers looked at {last}", self.containers_scanned),
            ("watchtower_containers_updated", "gauge", f"Containers updated {last}", self.containers_updated),
            ("watchtower_containers_failed", "gauge", f"Containers not updated {last}", self.containers_failed),
            ("watchtower_scans_total", "counter", "Checks since the agent started", self.scans_total),
            ("tidegate_updates_unended", "gauge", "Updates cut off that could not be ended yet", self.unended),
            ("watchtower_scans_skipped", "counter", "Checks skipped since the agent started", self.scans_skipped),
        )

    def _update_lines(self) -> list[str]:
        name = "tidegate_updates_total"
        head = [f"# HELP {name} Transactions by how they ended", f"# TYPE {name} counter"]
        return head + [f'{name}{{outcome="{outcome}"}} {self.updates[outcome]}' for outcome in UpdateOutcome]

    def _duration_lines(self) -> list[str]:
        name = "tidegate_transaction_seconds"
        lines = [f"# HELP {name} Time from the first step to the last", f"# TYPE {name} histogram"]
        count = 0
        for bound, here in zip((*BUCKETS_S, "+Inf"), self._durations, strict=True):
            count += here
            lines.append(f'{name}_bucket{{le="{bound}"}} {count}')
        return [*lines, f"{name}_sum {self._duration_sum_s:.3f}", f"{name}_count {count}"]
