"""What the figures are to be, and whether they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.detection import REFERENCES


@dataclass(frozen=True)
class Goal:
    """A figure, by its path in what is printed, and the most that it may be."""

    figure: str
    at_most: float


GOALS = (
    Goal("detect.first_look.heads", REFERENCES),
    Goal("detect.first_look.tokens", REFERENCES),  # one for each repository
    Goal("detect.later_look.heads", REFERENCES),
    Goal("detect.later_look.tokens", REFERENCES),
    *(Goal(f"idle.{which}.rss_mib", 48) for which in ("few", "many")),
    *(Goal(f"idle.{which}.cpu_percent_of_a_core", 0.5) for which in ("few", "many")),
    Goal("gap.at_once.ratio.stop-first", 0.5),
    *(Goal(f"gap.at_once.ratio.{arm}", 0.25) for arm in ("swap", "swap-fast")),
    *(Goal(f"gap.slow.ratio.{arm}", 0.05) for arm in ("swap", "swap-fast")),
)


def judged(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal whose part was measured, with what was found and whether that meets it."""
    measured = [(goal, _figure(found, goal.figure)) for goal in GOALS if goal.figure.partition(".")[0] in found]
    return [{"figure": g.figure, "at_most": g.at_most, "found": one, "met": one <= g.at_most} for g, one in measured]


def _figure(found: Mapping[str, Any], path: str) -> float:
    at: Any = found
    for name in path.split("."):
        at = at[name]
    return float(at)
