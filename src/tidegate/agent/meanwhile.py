"""What people did to a container while nobody watched it, read from the engine's events."""

import contextlib
import time
from collections.abc import Sequence

from tidegate.agent.guard import Guard
from tidegate.agent.hands import STOPPING
from tidegate.agent.missed import PastEvents
from tidegate.agent.replacement import Replacement
from tidegate.domain.transaction import Settlement, Touch
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container, Event
from tidegate.engine.port import Engine


class Watch:
    """A guard that is shown what was missed, at the times at which it happened."""

    def __init__(self, it: Replacement) -> None:
        self._at: float | None = None
        self.guard = Guard((it.cluster, it.service, it.number), it.incumbent, it.id, clock=self._clock)
        if it.engine_may_start_it:
            self.guard.may_come_back(it.incumbent)

    def _clock(self) -> float:
        return time.time() if self._at is None else self._at

    def candidate(self, container: Container) -> None:
        """Tell of the candidate, as old as it is."""
        self._at = container.created.timestamp()
        self.guard.candidate_is(container.id)
        self._at = None

    def replay(self, events: Sequence[Event]) -> None:
        """Show what was missed."""
        for event in events:
            self._at = event.time_ns / 1e9
            self.guard.feed(event)
        self._at = None


async def find(engine: Engine, container: str | None) -> Container | None:
    """The container, if it exists."""
    if container is not None:
        with contextlib.suppress(NotFoundError):
            return await engine.container(container)
    return None


async def meanwhile(it: Replacement, engine: Engine, events: Sequence[Event]) -> tuple[Touch, Container | None]:
    """What people did to a container that had been replaced, and what is left of it."""
    watch = Watch(it)
    container = await find(engine, it.candidate)
    if container is not None:
        watch.candidate(container)
        watch.guard.ours(container.id, "start")
    watch.guard.ours(it.incumbent, *STOPPING, "destroy")
    watch.replay(events)
    if watch.guard.strangers:
        return Touch.REMOVED, None
    return watch.guard.party(it.candidate, present=container is not None).touch, container


async def missed(
    replaced: Sequence[tuple[Replacement, int]], past_events: PastEvents
) -> list[tuple[Replacement, list[Event]]]:
    """What happened after each of them was replaced; they come with that time, in nanoseconds."""
    if not replaced:
        return []
    events = await past_events(min(since_ns for _, since_ns in replaced))
    return [(it, [one for one in events if one.time_ns >= since_ns]) for it, since_ns in replaced]


async def acted_on(replaced: Sequence[tuple[Replacement, Sequence[Event]]], engine: Engine) -> str:
    """Which of them somebody has acted on since, in words; empty where nobody has."""
    names = []
    for it, events in replaced:
        touch, container = await meanwhile(it, engine, events)
        if container is None or touch is not Touch.NONE:
            names.append(it.name)
    return f"somebody else acted on {', '.join(names)} meanwhile" if names else ""


async def runs_newer(it: Replacement, end: Settlement, guard: Guard, engine: Engine) -> bool:
    """Whether what somebody's act left in its place is the newer release, so that its group can follow."""
    if end is Settlement.STRANGER:
        made = [await find(engine, container) for container in guard.strangers]
        return any(one is not None and one.image_id == it.new_image for one in made)
    return end in {Settlement.CANDIDATE, Settlement.CANDIDATE_STOPPED}


async def is_to_go_back(it: Replacement, engine: Engine, events: Sequence[Event]) -> bool:
    """Whether the newer release is still there; it goes back stopped where a person has stopped it."""
    touch, container = await meanwhile(it, engine, events)
    it.was_running = it.was_running and touch is not Touch.STOPPED
    return container is not None
