"""Who is told how a pull goes on."""

from collections.abc import Callable
from typing import Protocol

from tidegate.engine.model import PullProgress


class PullReporter(Protocol):
    """Told of every pull: `started` and `ended` once, `progressed` for each line of the engine's between them.

    `retried` comes between them too, each time that it broke off and is about to be tried again.
    """

    def started(self, reference: str) -> None:
        """A pull begins."""

    def progressed(self, reference: str, progress: PullProgress) -> None:
        """One line of the pull."""

    def retried(self, reference: str, why: str, delay_s: float) -> None:
        """It broke off and is tried again in so many seconds."""

    def ended(self, reference: str, error: str | None) -> None:
        """The pull is done, or failed with `error`."""


class LoggedPulls:
    """Says one line when a pull begins, one when it breaks off and is tried again, and one when it ends."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def started(self, reference: str) -> None:
        """Say that it begins."""
        self._say(f"pulling {reference}")

    def progressed(self, reference: str, progress: PullProgress) -> None:
        """Nothing: a log is no place for progress."""

    def retried(self, reference: str, why: str, delay_s: float) -> None:
        """Say why, and when."""
        self._say(retry_line(reference, why, delay_s))

    def ended(self, reference: str, error: str | None) -> None:
        """Say how it ended."""
        self._say(f"pulled {reference}" if error is None else f"pull of {reference} failed: {error}")


def retry_line(reference: str, why: str, delay_s: float) -> str:
    """What people are told of a pull that broke off and is tried again."""
    return f"pull of {reference} broke off and is tried again in {delay_s:.0f} s: {why}"
