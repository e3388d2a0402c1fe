"""What is so outside of a rollout when it is decided what it does next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tidegate.domain.windows import Gate

TO_BE_HEARD = timedelta(minutes=3)
"""Agents that had nobody to tell try again each minute; what all of them tell has to be taken in, too."""


@dataclass(frozen=True, slots=True)
class World:
    """Mappings and sets go by targets' ids, but for `quarantine`, which has digests.

    `gates` are windows and freezes, open where none is named. `taken` are targets with an assignment of another
    rollout, `generations` the latest of each target, `running` the digest that is known to run. `superseded_by` is a
    later rollout of the channel that has begun: targets are that one's from then on. `heard_from`: since when agents
    can tell how it goes, if not for ever.
    """

    now: datetime
    online: frozenset[str] = frozenset()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    generations: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    quarantine: frozenset[str] = frozenset()
    superseded_by: str = ""
    heard_from: datetime | None = None

    def due(self, at: datetime, since: datetime | None) -> datetime:
        """From when on it counts that since a moment nothing was heard by `at`: who could not tell has time to."""
        if self.heard_from is None or (since is not None and since >= self.heard_from):
            return at
        return max(at, self.heard_from + TO_BE_HEARD)
