"""The course of an update: what was done one after another, and how long each took."""

from dataclasses import dataclass

MOST_STEPS = 60
"""Of an update, so many steps are told of a target: the last ones."""


@dataclass(frozen=True, slots=True)
class StepTook:
    """One of them, of a container by its name; empty: of all. `back`: on the way back to what ran before."""

    step: str
    took_s: float
    container: str = ""
    back: bool = False
