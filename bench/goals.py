"""What the figures are to be, and whether they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.detection import REFERENCES


@dataclass(frozen=True)
class Goal:
    """A figure, by its path in what is printed, and the most or, with `at_least`, the least that it may be."""

    figure: str
    bound: float
    at_least: bool = False

    def judged(self, found: float) -> dict[str, Any]:
        """Whether what was found meets it."""
        met = found >= self.bound if self.at_least else found <= self.bound
        return {
            "figure": self.figure,
            "at_least" if self.at_least else "at_most": self.bound,
            "found": found,
            "met": met,
        }


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


def judged(found: Mapping[str, Any], goals: Sequence[Goal] = GOALS) -> list[dict[str, Any]]:
    """Each goal whose part was measured, with what was found and whether that meets it."""
    return [goal.judged(_figure(found, goal.figure)) for goal in goals if goal.figure.partition(".")[0] in found]


def missed(goal: Mapping[str, Any]) -> str:
    """That it is, in a sentence."""
    side = "at_least" if "at_least" in goal else "at_most"
    return f"missed: {goal['figure']} is {goal['found']:g}, not {side.replace('_', ' ')} {goal[side]:g}"


def _figure(found: Mapping[str, Any], path: str) -> float:
    at: Any = found
    for name in path.split("."):
        at = at[name]
    return float(at)
