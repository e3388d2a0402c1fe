"""Tells a broken release from a private network that was not enough."""

import structlog

from tidegate.agent.replacement import Replacement
from tidegate.domain.transaction import Step, Strategy

_PRIVATE = {Step.START, Step.PROVE, Step.CUT}
"""Until the cut a swap's candidate is nowhere else."""
_log = structlog.get_logger(__name__)


def worth_a_second_opinion(it: Replacement, step: Step) -> bool:
    """Whether a step failed on a private network, so that the network may be at fault."""
    return step in _PRIVATE and it.strategy is not Strategy.STOP_FIRST and not it.reverse


def too_late_for_one(it: Replacement, step: Step) -> bool:
    """Whether it failed there, and the incumbent has made room already: that has to come back first."""
    return step is Step.JOIN and it.strategy is Strategy.SWAP and not it.reverse


def go_on_with_stop_first(it: Replacement, reason: str) -> None:
    """The release is sound: it is proved again where it will serve, once the incumbent has made room."""
    _log.warning("not provable on a private network; stop-first instead", container=it.name, reason=reason)
    it.strategy, it.early, it.late = Strategy.STOP_FIRST, tuple(it.endpoints), ()
    it.done = {Step.MOVE_TAG}
