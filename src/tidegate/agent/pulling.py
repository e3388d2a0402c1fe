"""Pulls by the engine: tried again where that may help, and not begun while a registry wants to be left alone."""

import asyncio
import random as chance
from collections.abc import Awaitable, Callable
from typing import Protocol

from tidegate.agent.patience import LeftAloneError, Patience, Question
from tidegate.agent.pull_reporter import PullReporter
from tidegate.domain.reference import Reference, parse_reference
from tidegate.engine.errors import EngineError, PullBrokenError, PullLimitedError
from tidegate.engine.model import PullProgress

RETRY_DELAYS_S = (2.0, 4.0, 8.0)
RETRY_WITHIN_S = 60.0
"""How long after a pull broke off for the first time it may begin again: everything else waits for it."""


class Pulling(Protocol):
    """The engine, as far as it pulls."""

    async def pull(
        self, reference: str, *, auth: str | None, progress: Callable[[PullProgress], None] | None = None
    ) -> None:
        """Pull to the end. Raises `PullError` and its kinds, `EngineUnavailableError`."""


class Puller:
    """Pulls one image after another. `sleep` and `random`, a number in [0, 1), are for the pause before a retry."""

    def __init__(
        self,
        engine: Pulling,
        patience: Patience,
        reporter: PullReporter,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._engine = engine
        self._patience = patience
        self._reporter = reporter
        self._sleep = sleep
        self._random = random

    async def pull(self, wanted: str, reference: str, auth: str | None) -> None:
        """Pull `wanted`, which people know as `reference`. `auth` is the X-Registry-Auth value.

        Raises `PullLimitedError` where the registry wants to be left alone, now or since earlier; `PullError` and its
        other kinds, `EngineUnavailableError`.
        """
        channel = self.check(reference)
        self._reporter.started(reference)
        asked_at = self._patience.now()
        try:
            await self._persist(wanted, reference, auth)
        except PullLimitedError as error:
            limited = self._limited(channel, error, asked_at)
            self._reporter.ended(reference, str(limited))
            raise limited from error
        except EngineError as error:
            self._reporter.ended(reference, str(error))
            raise
        self._patience.succeeded(Question.PULL, channel, asked_at)
        self._reporter.ended(reference, None)

    def check(self, reference: str) -> Reference:
        """The reference, taken apart. Raises `PullLimitedError` while its registry wants to be left alone."""
        channel = parse_reference(reference)
        try:
            self._patience.check(Question.PULL, channel)
        except LeftAloneError as error:
            raise PullLimitedError(f"{channel.familiar} was not pulled: {error.what}; {error.remedy}") from error
        return channel

    def _limited(self, channel: Reference, error: PullLimitedError, asked_at: float) -> PullLimitedError:
        wait_s = self._patience.limited(channel, asked_at)
        return PullLimitedError(f"{error}; {channel.registry} is left alone for {wait_s:.0f} s")

    async def _persist(self, wanted: str, reference: str, auth: str | None) -> None:
        """The engine has tried each layer for most of a minute before it says that a pull broke off.

        It lets go of the layers that had arrived, so each try costs as much as the first.
        """
        retries, first_s = 0, None
        while (broken := await self._try(wanted, reference, auth)) is not None:
            now_s = self._patience.now()
            first_s = now_s if first_s is None else first_s
            delay_s = retry_delay_s(retries, now_s - first_s, self._random())
            if delay_s is None:
                raise broken
            self._reporter.retried(reference, broken.why, delay_s)
            await self._sleep(delay_s)
            retries += 1

    async def _try(self, wanted: str, reference: str, auth: str | None) -> PullBrokenError | None:
        """Pull once; why it broke off, if it is worth another try."""
        try:
            await self._engine.pull(wanted, auth=auth, progress=lambda line: self._reporter.progressed(reference, line))
        except PullBrokenError as error:
            return error
        return None


def retry_delay_s(retries: int, since_first_s: float, jitter: float) -> float | None:
    """How long to wait before a pull that broke off is tried again, or None to give it up.

    It was tried again `retries` times before, and broke off for the first time `since_first_s` ago. Half of the wait
    is by chance, so that agents whose pulls broke off together do not come back together.
    """
    if retries >= len(RETRY_DELAYS_S):
        return None
    delay_s = RETRY_DELAYS_S[retries] * (0.5 + 0.5 * jitter)
    return delay_s if since_first_s + delay_s <= RETRY_WITHIN_S else None
