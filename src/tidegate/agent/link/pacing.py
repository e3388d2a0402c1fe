"""How long to wait before the manager is asked again. Pure: the chance is an argument."""

from dataclasses import dataclass

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
