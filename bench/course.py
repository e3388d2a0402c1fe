"""What became of requests, and the figures that they are told by."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.figures import longest_silence, summary

Window = tuple[float, float]
"""From when to when something was replaced, by the monotonic clock."""


class Kind(StrEnum):
    """How a request is made."""

    QUICK = "quick"
    """On a connection of its own."""
    KEPT = "kept"
    """On a connection that others were made on before, where there is one."""
    POST = "post"
    """On a connection of its own, and not to be sent twice."""
    SLOW = "slow"
    """On a connection of its own, and the answer takes `SLOW_S`."""


SLOW_S = 2.0


class Failure(StrEnum):
    """Why a request has no good answer."""

    REFUSED = "refused"
    """No connection: somebody said so."""
    UNREACHED = "unreached"
    """No connection: nobody said anything, or the way there is gone."""
    CLOSED = "closed"
    """A connection that was kept was closed when the request was sent on it, before a byte of the answer."""
    CUT = "cut"
    """The connection ended after the request was sent, before the answer was whole."""
    UNANSWERED = "unanswered"
    """The connection is there, and no answer within the time limit."""
    STATUS = "status"
    """An answer that says that it failed."""


BEGUN = frozenset({Failure.CUT, Failure.UNANSWERED})
"""What a request that somebody had begun to answer ends with, when it is cut."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when it was due and when it was over, by the monotonic clock; `failure` None: it was answered."""

    due: float
    over: float
    kind: Kind
    failure: Failure | None = None

    @property
    def latency_s(self) -> float:
        """Counted from when it was due: a client that could not send it in time waited as well."""
        return self.over - self.due - (SLOW_S if self.kind is Kind.SLOW else 0)

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps([round(self.due, 6), round(self.over, 6), self.kind, self.failure])


def read(line: str) -> Sent:
    """Read what `line()` made."""
    due, over, kind, failure = json.loads(line)
    return Sent(due, over, Kind(kind), Failure(failure) if failure else None)


@dataclass(frozen=True)
class Course:
    """All requests of a load, and the windows in which something was replaced meanwhile."""

    sent: Sequence[Sent]
    windows: Sequence[Window]

    def before(self) -> list[Sent]:
        """What was due before anything was replaced."""
        return [one for one in self.sent if one.due < self.windows[0][0]]

    def during(self) -> list[Sent]:
        """What was due in a window."""
        return [one for one in self.sent if any(begun <= one.due <= ended for begun, ended in self.windows)]

    def pauses(self) -> list[float]:
        """The longest time in each window in which nothing was answered that is answered at once."""
        answered = sorted(one.over for one in self.sent if one.failure is None and one.kind is not Kind.SLOW)
        return [longest_silence(answered, begun, ended) for begun, ended in self.windows]


def told(courses: Sequence[Course]) -> dict[str, Any]:
    """All figures: how many failed and how, the longest pause of each window, latencies before and during them."""
    sent = [one for course in courses for one in course.sent]
    return {
        "requests": len(sent),
        "failed": sum(one.failure is not None for one in sent),
        "begun_and_cut": sum(one.failure in BEGUN for one in sent),
        "failures": failures(sent),
        "pause_s": summary([pause for course in courses for pause in course.pauses()]),
        "before_ms": latencies(one for course in courses for one in course.before()),
        "during_ms": latencies(one for course in courses for one in course.during()),
    }


def failures(sent: Iterable[Sent]) -> dict[str, dict[str, int]]:
    """How many requests failed how, by their kind; only what there is."""
    counted = Counter((one.kind, one.failure) for one in sent if one.failure is not None)
    kinds = {kind for kind, _ in counted}
    return {kind: {how: counted[kind, how] for how in Failure if counted[kind, how]} for kind in Kind if kind in kinds}


def latencies(sent: Iterable[Sent]) -> dict[str, float]:
    """Percentiles of what was answered, in milliseconds; of a slow one, what it took beyond its own time."""
    values = sorted(one.latency_s * 1000 for one in sent if one.failure is None)
    return {name: round(percentile(values, part), 1) for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def percentile(values: Sequence[float], part: float) -> float:
    """The least of the sorted values that so many (0 to 1) are not above. Raises ValueError if there are none."""
    if not values:
        raise ValueError("no request was answered")
    return values[max(math.ceil(part * len(values)) - 1, 0)]
