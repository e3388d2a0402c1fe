"""The manager's metrics.

What is in the database is the same whichever replica is asked: take `max`. What a process has counted is its own: take
`sum`.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from time import monotonic
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from tidegate import __version__
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.telling.delivery import Deliverer
from tidegate.manager.telling.metric_facts import Standing, standing
from tidegate.manager.telling.metric_outcomes import BUCKETS_S, Counted, Durations, outcomes
from tidegate.manager.telling.streams import Hub

_FRESH_S = 10.0
_OUTCOMES_FRESH_S = 60.0
"""They are counted over all assignments that there ever were."""
_API_BUCKETS_S = (0.01, 0.025, 0.1, 0.25, 1.0, 5.0)
_log = structlog.get_logger(__name__)


class Metrics:
    """One of a process. `exposition` is what Prometheus reads."""

    def __init__(self, db: Database, clock: Callable[[], datetime], hub: Hub, deliverer: Deliverer) -> None:
        self._db, self._clock, self._hub, self._deliverer = db, clock, hub, deliverer
        self._standing: Standing | None = None
        self._outcomes: tuple[Counted, Durations] | None = None
        self._standing_at = self._outcomes_at = float("-inf")
        self._turn = asyncio.Lock()
        self.registry = CollectorRegistry()
        Info("tidegate_manager", "The manager's version.", registry=self.registry).info({"version": __version__})
        self._requests = Counter(
            "tidegate_api_requests",
            "Requests that were answered, by the route's template.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tidegate_api_seconds",
            "Time to answer a request, but for those that are held: long polls and event streams.",
            ("route",),
            buckets=_API_BUCKETS_S,
            registry=self.registry,
        )
        self._database_errors = Counter(
            "tidegate_database_errors", "Times that the database could not do what was asked.", registry=self.registry
        )
        self.registry.register(self)
        db.fault_listeners.append(self._database_errors.inc)

    def answered(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """A request was answered; `seconds` None: it was held."""
        self._requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    async def exposition(self) -> bytes:
        """The text format, with what is in the database as it was a few seconds ago at most."""
        async with self._turn:
            await self._look()
            return generate_latest(self.registry)

    async def _look(self) -> None:
        try:
            if monotonic() - self._standing_at >= _FRESH_S:
                async with self._db.read() as conn:
                    self._standing = await standing(conn, self._clock())
                self._standing_at = monotonic()
            if monotonic() - self._outcomes_at >= _OUTCOMES_FRESH_S:
                async with self._db.read() as conn:
                    self._outcomes = await outcomes(conn)
                self._outcomes_at = monotonic()
        except StoreUnavailableError as error:  # what is old must not look as if it were so now
            self._standing = self._outcomes = None
            self._standing_at = self._outcomes_at = float("-inf")
            _log.warning("metrics of what is in the database cannot be had", reason=str(error))

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for."""
        yield _gauge(
            "tidegate_database_up", "Whether the database answers.", (), {(): float(self._standing is not None)}
        )
        if self._standing is not None:
            yield from _now(self._standing)
        if self._outcomes is not None:
            yield from _ended(*self._outcomes)
        yield _counter(
            "tidegate_deliveries",
            "Alerts sent, failed to be sent, and given up, by kind of receiver.",
            ("sink", "result"),
            self._deliverer.results,
        )
        yield _gauge("tidegate_event_streams", "Streams of events that are open.", (), {(): self._hub.count})
        ended = {(reason,): count for reason, count in self._hub.dropped.items()}
        yield _counter(
            "tidegate_event_streams_ended", "Streams that the manager has ended, and why.", ("reason",), ended
        )


def _now(it: Standing) -> Iterator[Metric]:
    yield _gauge("tidegate_rollouts", "Rollouts by state.", ("state",), it.rollouts)
    yield _gauge(
        "tidegate_targets",
        "Targets by channel and version; the smaller ones together as `other`.",
        ("channel", "version"),
        it.targets,
    )
    yield _gauge(
        "tidegate_targets_unwell", "Targets that have drifted, are unhealthy, or are held back.", ("how",), it.unwell
    )
    yield _gauge("tidegate_agents", "Agents by whether they are there.", ("state",), it.agents)
    yield _gauge("tidegate_alerts_open", "Open alerts.", ("rule", "severity"), it.alerts)
    yield _gauge("tidegate_queue_length", "How many wait in a queue.", ("queue",), it.queue_length)
    yield _gauge(
        "tidegate_queue_oldest_seconds", "How long the first in a queue has waited.", ("queue",), it.queue_oldest_s
    )


def _ended(counts: Counted, took: Durations) -> Iterator[Metric]:
    yield _counter("tidegate_assignments", "Assignments that have ended, by their outcome.", ("outcome",), counts)
    family = HistogramMetricFamily(
        "tidegate_assignment_seconds", "Time that assignments took, from the agent's first step to its last."
    )
    reached, buckets = 0, []
    for bound, count in zip((*map(float, BUCKETS_S), "+Inf"), took.buckets, strict=True):
        reached += count
        buckets.append((str(bound), float(reached)))
    family.add_metric((), buckets, took.sum_s)
    yield family


def _gauge(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    return _filled(GaugeMetricFamily(name, meaning, labels=labels), values)


def _counter(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    return _filled(CounterMetricFamily(name, meaning, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[Any, float]) -> Metric:
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family
