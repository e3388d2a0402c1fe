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
    later rollout of the whole channel that has begun: targets are that one's from then on. `overtaken` are targets that
    a later one of some targets brings a newer release, with that rollout; `moved_on` those that a later rollout has
    moved, so that they do not run this one's release any more. `elsewhere` are targets that do not follow the rollout's
    channel any more, with what they follow; `monitored` those that their hosts let nobody update; `cut_off` those with
    an assignment of this rollout whose agent was revoked since, with its generation. `earlier` is what a target goes
    back to where what ran before is not to run there any more: it is in quarantine, or its own rollout was turned back.
    `heard_from`: since when agents can tell how it goes, if not for ever. `at_work`: until when a target's agent is
    known to have carried out another's assignment; it does one after another. `asks` and `forbids` are what the
    channel's policy of now says of who has not begun: how many people have to agree, and why a rollout that it has
    asked for itself does not begin; empty: it may.
    """

    now: datetime
    online: frozenset[str] = frozenset()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    generations: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, str] = field(default_factory=dict)
    quarantine: frozenset[str] = frozenset()
    superseded_by: str = ""
    overtaken: Mapping[str, str] = field(default_factory=dict)
    moved_on: frozenset[str] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    monitored: frozenset[str] = frozenset()
    cut_off: Mapping[str, int] = field(default_factory=dict)
    earlier: Mapping[str, str] = field(default_factory=dict)
    heard_from: datetime | None = None
    at_work: Mapping[str, datetime] = field(default_factory=dict)
    asks: int = 0
    forbids: str = ""

    def due(self, at: datetime, since: datetime | None) -> datetime:
        """From when on it counts that since a moment nothing was heard by `at`: who could not tell has time to."""
        if self.heard_from is None or (since is not None and since >= self.heard_from):
            return at
        return max(at, self.heard_from + TO_BE_HEARD)
