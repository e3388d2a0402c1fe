"""What happened on the engine while no agent watched, as far as the engine remembers it."""

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from tidegate.agent.guard import Guard
from tidegate.engine.errors import EngineUnavailableError, NotFoundError
from tidegate.engine.model import Event
from tidegate.engine.port import Engine

_MADE_AT_START = "bridge"
"""The network that an engine makes anew each time it starts, and by whose age it tells how long it has run."""
_ENDS = {"kill", "stop", "die"}


class PastEvents(Protocol):
    """The engine's memory of what happened."""

    async def __call__(self, since_ns: int) -> list[Event]:
        """Events from then until now."""


async def past_events(engine: Engine, since_ns: int, heard: Callable[[int], list[Event]]) -> list[Event]:
    """What people and the engine did from then until now. `heard` are events that the agent itself remembers.

    An engine that starts forgets what was before, ends the containers that outlived its predecessor and starts those
    whose restart policy says so. That is nobody's doing, and is left out.
    """
    started_ns = await _engine_started_ns(engine)
    from_ns = max(since_ns, started_ns)
    told = [event async for event in engine.events(since_ns=from_ns, until_ns=time.time_ns())]
    # an engine that has forgotten nothing tells all of it; what else was heard is of the one before
    known = heard(from_ns) if await engine.forgot_before_ns() else []
    events = sorted({_key(event): event for event in [*known, *told]}.values(), key=lambda one: one.time_ns)
    return without_starts_at_boot(events) if started_ns > since_ns else events


def _key(event: Event) -> tuple[int, str, str, str]:
    return (event.time_ns, event.kind, event.id, event.action)


class Memory(StrEnum):
    """How much the engine remembers of a time."""

    WHOLE = "whole"
    DROPPED = "dropped"
    """More has happened than it keeps."""
    RESTARTED = "restarted"
    """It has been started since, and knows only what came after that."""


async def memory(engine: Engine, since_ns: int) -> Memory:
    """What the engine remembers of the time from then until now."""
    if await _engine_started_ns(engine) > since_ns:
        return Memory.RESTARTED
    return Memory.DROPPED if await engine.forgot_before_ns() > since_ns else Memory.WHOLE


async def ensure_same_engine(engine: Engine, guard: Guard) -> None:
    """Raise `EngineUnavailableError` where it is the engine's own end, or start, that looked like somebody's act.

    An engine on its way down sends its containers the same signals as `docker stop` does. It takes no new calls by
    then: who asks is answered by the engine that comes after it, or by nobody. And what outlived a killed engine is
    ended by the next one before it makes its bridge.
    """
    act_ns = guard.first_act_ns
    if act_ns is None:  # no event told of an act
        return
    started_ns = await _engine_started_ns(engine)
    if started_ns > min(guard.watched_from_ns, act_ns) or (not started_ns and await _never_knew(engine, act_ns)):
        raise EngineUnavailableError("The engine was started again meanwhile: what it ended is taken up anew")


async def _never_knew(engine: Engine, act_ns: int) -> bool:
    """Whether an engine without a bridge to tell it by has come after the one that told of an act.

    It has forgotten nothing yet, and does not remember it.
    """
    told = [one async for one in engine.events(since_ns=act_ns, until_ns=act_ns + 1)]
    return not told and await engine.forgot_before_ns() == 0


async def _engine_started_ns(engine: Engine) -> int:
    """When the engine started; 0 where it makes no bridge of its own and cannot be asked."""
    try:
        created = (await engine.network(_MADE_AT_START)).created
    except NotFoundError:
        return 0
    return int(created.timestamp() * 1e9) if created is not None else 0


def without_starts_at_boot(events: Sequence[Event]) -> list[Event]:
    """All but the starts of containers that nothing has ended since."""
    ended: set[str] = set()
    kept = []
    for event in events:
        if event.action in _ENDS:
            ended.add(event.id)
        if event.action != "start" or event.id in ended:
            kept.append(event)
    return kept
