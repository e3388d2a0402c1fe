"""What one look came to, and who has to wait."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from tidegate.agent.decide import Decision
from tidegate.domain.windows import Gate

Closed = Callable[[Decision], Gate | None]
"""Why an update that was due may not begin any more, and when it may; None where it may."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Tally:
    """What one cycle came to, in containers; Watchtower's metrics count the same.

    `busy` ones are asked again; `held` are those whose window closed before their turn came, and when it opens.
    """

    scanned: int = 0
    updated: int = 0
    failed: int = 0
    busy: set[str] = field(default_factory=set)
    held: dict[str, datetime] = field(default_factory=dict)


def held(members: Sequence[Decision], tally: Tally, closed: Closed) -> bool:
    """Whether one of these may not begin any more, so that all of them wait."""
    for one in members:
        gate = closed(one)
        if gate is None:
            continue
        _log.info("its time was over before its turn came", container=one.place.name, reason=gate.reason)
        if gate.next_open is not None:
            tally.held |= dict.fromkeys((each.place.name for each in members), gate.next_open)
        return True
    return False
