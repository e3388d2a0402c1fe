"""Which registries are left alone for now: one patience per registry and question."""

import random
from collections.abc import Callable
from enum import Enum

from tidegate.domain.reference import Reference
from tidegate.registry.backoff import Backoffs
from tidegate.registry.errors import RegistryError, RegistryUnavailableError


class Question(Enum):
    """What is asked. Some registries limit the one and answer the other, so each has a patience of its own."""

    DIGEST = "which digest is behind a tag"
    RELEASE = "what a digest is"


class LeftAloneError(RegistryError):
    """The registry failed lately, or asked for patience, so it was not asked."""


class Patience:
    """Times are of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._backoffs = {question: Backoffs() for question in Question}

    def now(self) -> float:
        """The time, to be given back with the answer to what is asked now."""
        return self._clock()

    def check(self, question: Question, reference: Reference) -> None:
        """Raises `LeftAloneError` while its registry is left alone."""
        now = self._clock()
        wait_s = self._backoffs[question].next_allowed(reference.registry, now) - now
        if wait_s > 0:
            what = f"{reference.registry} is left alone for another {wait_s:.0f} s"
            raise LeftAloneError(reference, what, "it will be asked again after that")

    def succeeded(self, question: Question, reference: Reference, asked_at: float) -> None:
        """It answered."""
        self._backoffs[question] = self._backoffs[question].succeeded(reference.registry, asked_at)

    def failed(self, question: Question, error: RegistryError, asked_at: float) -> None:
        """It failed; only failures of the registry itself count, and those of one look count once."""
        if isinstance(error, RegistryUnavailableError):
            self._backoffs[question] = self._backoffs[question].failed(
                error.reference.registry,
                self._clock(),
                jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
                asked_at=asked_at,
                retry_after_s=error.retry_after_s,
            )
