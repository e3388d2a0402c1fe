"""The few numbers that a series is told by."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence


def longest_silence(answered: Sequence[float], begun: float, ended: float) -> float:
    """The longest time in which nothing was answered, of all that lies between `begun` and `ended`.

    `answered` are the times of the answers, in order. Raises ValueError unless there is one before `begun` and one
    after `ended`: without them nobody knows how long the silence at the edges was.
    """
    if not answered or answered[0] > begun or answered[-1] < ended:
        raise ValueError("the client has to have answers from before and from after what is measured")
    pairs = itertools.pairwise(answered)
    return max(later - earlier for earlier, later in pairs if later > begun and earlier < ended)


def summary(values: Sequence[float], digits: int = 3) -> dict[str, float | int]:
    """Median, least, greatest and number."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "n": len(values),
    }
