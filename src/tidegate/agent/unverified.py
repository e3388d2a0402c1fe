"""Releases that are not signed as the policy asks: told once, and asked for again soon while they are new."""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.decide import Decision
from tidegate.agent.prepare import Prepared
from tidegate.agent.state import StateError

_NEW_S = 600.0
"""A signature comes moments after the push; one that has not come by then is waited for at the ordinary looks."""
_VARIES = re.compile(r"[0-9a-f]*[0-9][0-9a-f]*")
"""Ports, times and ids in what cosign says, which differ from one try to the next."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    digest: str | None
    reason: str
    since: float


class Unverified:
    """Remembers what it has told of each container."""

    def __init__(self, books: Bookkeeping, clock: Callable[[], float] = time.monotonic) -> None:
        self._books = books
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def tell(self, members: Iterable[Decision], reason: str) -> bool:
        """Log and note what is not known yet; whether to ask again soon."""
        soon = [self._tell(one, reason) for one in members]
        return any(soon)

    def forget(self, prepared: Sequence[Prepared]) -> None:
        """These were let in."""
        for one in prepared:
            self._told.pop(one.replacement.name, None)

    def _tell(self, one: Decision, reason: str) -> bool:
        name, now = one.place.name, self._clock()
        before = self._told.get(name)
        same = before if before is not None and before.digest == one.latest_digest else None
        if same is None or _gist(same.reason) != _gist(reason):
            _log.warning("a release is not verified; what runs stays", container=name, reason=reason)
            self._note(one, reason)
        since = same.since if same else now
        self._told[name] = _Told(one.latest_digest, reason, since)
        return now - since < _NEW_S

    def _note(self, one: Decision, reason: str) -> None:
        try:
            self._books.note(one.place, "unverified", reason, one)
        except StateError as error:
            _log.error("that could not be noted in the history", reason=str(error))


def _gist(reason: str) -> str:
    return _VARIES.sub("", reason)
