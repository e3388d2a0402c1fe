"""Which registries are left alone for now, and why: one patience per registry."""

import random as chance
from collections.abc import Callable
from datetime import datetime, timedelta

from tidegate.domain.reference import Reference
from tidegate.registry.backoff import Backoffs
from tidegate.registry.errors import RegistryError, RegistryUnavailableError


class Patience:
    """What a registry failed with lately is told of all its repositories, without asking for each."""

    def __init__(self, clock: Callable[[], datetime], random: Callable[[], float] = chance.random) -> None:
        self._clock = clock
        self._random = random
        self._backoffs = Backoffs()
        self._errors: dict[str, RegistryUnavailableError] = {}

    def left_alone(self, reference: Reference) -> RegistryError | None:
        """What its registry failed with, told of `reference`, while it is left alone."""
        if reference.registry in self._errors and self.until(reference) > self._clock():
            return self._errors[reference.registry].about(reference)
        return None

    def until(self, reference: Reference) -> datetime:
        """When its registry may be asked; now, or later."""
        now = self._clock()
        wait_s = self._backoffs.next_allowed(reference.registry, now.timestamp()) - now.timestamp()
        return now + timedelta(seconds=wait_s)

    def failed(self, error: RegistryError, asked_at: datetime) -> bool:
        """Note a failure; whether it is the registry's own, so that all of it is left alone."""
        if not isinstance(error, RegistryUnavailableError):
            self.answered(error.reference, asked_at)
            return False
        registry, now = error.reference.registry, self._clock()
        self._backoffs = self._backoffs.failed(
            registry,
            now.timestamp(),
            jitter=self._random(),
            asked_at=asked_at.timestamp(),
            retry_after_s=error.retry_after_s,
        )
        self._errors[registry] = error
        return True

    def answered(self, reference: Reference, asked_at: datetime) -> None:
        """It answered; and if only that it has no such thing."""
        self._backoffs = self._backoffs.succeeded(reference.registry, asked_at.timestamp())
