"""Which registries are left alone for now: one patience per registry and question."""

import random
from collections.abc import Callable
from enum import Enum

from tidegate.domain.reference import Reference
from tidegate.registry.backoff import Backoffs
from tidegate.registry.errors import RateLimitedError, RegistryError, RegistryUnavailableError


class Question(Enum):
    """What is asked. Some registries limit the one and answer the other, so each has a patience of its own."""

    DIGEST = "which digest is behind a tag"
    RELEASE = "what a digest is"
    PULL = "all that a digest holds"


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
        """It failed; only failures of the registry itself count, and those of one look count once.

        One that asked for patience is not pulled from meanwhile either.
        """
        if isinstance(error, RegistryUnavailableError):
            wait_s = self._fail(question, error.reference, asked_at, retry_after_s=error.retry_after_s)
            if isinstance(error, RateLimitedError) or error.retry_after_s is not None:
                self._keep_waiting(Question.PULL, error.reference, wait_s)

    def limited(self, reference: Reference, asked_at: float) -> float:
        """A pull by the engine was limited: for how many seconds its registry is asked nothing at all."""
        wait_s = self._fail(Question.PULL, reference, asked_at)
        for question in (Question.DIGEST, Question.RELEASE):
            self._keep_waiting(question, reference, wait_s)
        return wait_s

    def _fail(
        self, question: Question, reference: Reference, asked_at: float, *, retry_after_s: float | None = None
    ) -> float:
        """Note one failure; for how many seconds it is left alone now."""
        now = self._clock()
        self._backoffs[question] = self._backoffs[question].failed(
            reference.registry,
            now,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            asked_at=asked_at,
            retry_after_s=retry_after_s,
        )
        return self._backoffs[question].next_allowed(reference.registry, now) - now

    def _keep_waiting(self, question: Question, reference: Reference, wait_s: float) -> None:
        """What another question was answered with holds for this one too; it is no failure of its own."""
        now = self._clock()
        self._backoffs[question] = self._backoffs[question].held(reference.registry, now + wait_s, now)
