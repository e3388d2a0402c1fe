"""Tells a broken release from a private network that was not enough."""

import structlog

from tidegate.agent.replacement import Replacement
from tidegate.domain.transaction import Step, Strategy

_PRIVATE = {Step.START, Step.PROVE}
_log = structlog.get_logger(__name__)


def worth_a_second_opinion(it: Replacement, step: Step) -> bool:
    """Whether a step failed on a private network, so that the network may be at fault."""
    return step in _PRIVATE and it.strategy is not Strategy.STOP_FIRST and not it.reverse


def go_on_with_stop_first(it: Replacement, reason: str) -> None:
    """The release is sound: it is proved again where it will serve, once the incumbent has made room."""
    _log.warning("not provable on a private network; stop-first instead", container=it.name, reason=reason)
    it.strategy, it.early, it.late = Strategy.STOP_FIRST, tuple(it.endpoints), ()
    it.done = {Step.MOVE_TAG}
