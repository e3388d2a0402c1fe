"""How long to wait before the manager is asked again, or for its answer. Pure: the chance is an argument."""

from dataclasses import dataclass

from tidegate.protocol.messages import LONGEST_WAIT_S

SHORTEST_WAIT_S = 35
FIRST_S = 1.0
LONGEST_S = 60.0
RARELY_S = 900.0
"""Between two questions of an agent that the manager will not have."""

_LONGEST_ASKED_S = 3600.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Failures in a row."""

    failures: int = 0

    def failed(self) -> "Pace":
        """One more."""
        return Pace(min(self.failures + 1, 30))

    def wait_s(self, chance: float, *, retry_after_s: float | None = None, rarely: bool = False) -> float:
        """After a failure; `chance` is from [0, 1). All of the wait is by chance but its half, so that agents spread.

        What the manager asks for is a floor to it.
        """
        full_s = RARELY_S if rarely else min(LONGEST_S, FIRST_S * 2.0 ** max(0, self.failures - 1))
        floor_s = min(retry_after_s or 0.0, _LONGEST_ASKED_S) * (1 + 0.2 * chance)
        return max(full_s * (0.5 + 0.5 * chance), floor_s)


def held_s(chance: float) -> int:
    """For how many seconds a poll asks to be held; `chance` is from [0, 1).

    Each of them is as likely as the others, so that agents that came together, as after a restart of the manager,
    do not stay together.
    """
    return SHORTEST_WAIT_S + int((LONGEST_WAIT_S - SHORTEST_WAIT_S + 1) * chance)
