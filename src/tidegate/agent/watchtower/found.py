"""What is there when Watchtower is done, or has gone: its work, or what people have done meanwhile.

Watchtower ends a container by a signal and removes it. It never asks the engine to stop one, as `docker stop` and
Compose do, and keeps the labels that Compose gave it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.agent.guard import NUMBER, PROJECT, SERVICE
from tidegate.agent.meanwhile import find
from tidegate.agent.replacement import Replacement
from tidegate.domain.selection import ONE_OFF
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container, Event
from tidegate.engine.port import Engine

_CONFIG_HASH = "com.docker.compose.config-hash"
_GOING = {"removing", "dead"}
_GONE_WITHIN_LOOKS = 60
_LOOK_EVERY_S = 0.5
_CANNOT_RUN = {126, 127}
"""Of a container whose command is not in its image, or is no program: it never was more than created."""


@dataclass(slots=True)
class Found:
    """What has become of each container. `placed` is what is in its place, by the replacement's id."""

    moved: list[Replacement] = field(default_factory=list)
    left: list[Replacement] = field(default_factory=list)
    """As they were, but perhaps not running."""
    lost: list[Replacement] = field(default_factory=list)
    elsewhere: list[Replacement] = field(default_factory=list)
    """On another release than was assigned."""
    idle: list[Replacement] = field(default_factory=list)
    """Made anew, and never started, though they are to run."""
    theirs: dict[str, str] = field(default_factory=dict)
    """What somebody else did, by the replacement's id."""
    placed: dict[str, Container | None] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """Ids of containers whose end was seen."""

    @property
    def made(self) -> list[Replacement]:
        """Those with a new container."""
        return [*self.moved, *self.elsewhere, *self.idle]

    @property
    def short(self) -> bool:
        """Whether one has not come to what was asked for."""
        return bool(self.left or self.lost or self.elsewhere or self.idle)

    def is_down(self, it: Replacement) -> bool:
        """Whether it ran before, and what is in its place does not."""
        container = self.placed[it.id]
        return it.was_running and container is not None and not container.running

    def went_down_with_the_engine(self, it: Replacement) -> bool:
        """Whether it has run, and nobody saw it end: that is no verdict."""
        container = self.placed[it.id]
        started = container is not None and container.status != "created" and container.id not in self.ended
        return self.is_down(it) and started

    def end_of(self, it: Replacement) -> Settlement:
        """What is in the place of one that somebody acted on."""
        container = self.placed[it.id]
        if container is None:
            return Settlement.NOTHING
        if container.id != it.incumbent:
            return Settlement.STRANGER
        return Settlement.INCUMBENT_STOPPED if self.is_down(it) else Settlement.INCUMBENT


async def look(replacements: Sequence[Replacement], engine: Engine, events: Sequence[Event]) -> Found:
    """Look at every place. `events` are what has happened since the update began."""
    found = Found(ended=_ids(events, "die"))
    stopped = _ids(events, "stop")
    for it in replacements:
        container = await _in_place(it, engine)
        found.placed[it.id] = container
        theirs = await _somebodys_act(it, container, engine, stopped)
        if theirs:
            found.theirs[it.id] = theirs
        else:
            _list_for(it, container, found).append(it)
    return found


def _ids(events: Sequence[Event], action: str) -> set[str]:
    return {event.id for event in events if event.kind == "container" and event.action == action}


def _list_for(it: Replacement, container: Container | None, found: Found) -> list[Replacement]:
    if container is None:
        return found.lost
    if container.id == it.incumbent:
        return found.left
    if it.was_running and container.status == "created" and container.exit_code not in _CANNOT_RUN:
        return found.idle
    return found.moved if container.image_id == it.new_image else found.elsewhere


async def _in_place(it: Replacement, engine: Engine) -> Container | None:
    """What is in its place. What is on its way out is waited for, and helped in the end."""
    for _ in range(_GONE_WITHIN_LOOKS):
        container = await _now(it, engine)
        if container is None or container.status not in _GOING:
            return container
        await asyncio.sleep(_LOOK_EVERY_S)
    if container is not None:
        await engine.remove(container.id, force=True)
    return await _now(it, engine)


async def _now(it: Replacement, engine: Engine) -> Container | None:
    """By its name, or else its labels: Watchtower keeps both."""
    named = await find(engine, it.name)
    if named is not None or not it.cluster:
        return named
    rows = await engine.containers(labels={PROJECT: it.cluster, SERVICE: it.service, NUMBER: it.number})
    own = [row.id for row in rows if row.labels.get(ONE_OFF, "").lower() != "true"]
    return await find(engine, own[0]) if own else None


async def _somebodys_act(it: Replacement, container: Container | None, engine: Engine, stopped: set[str]) -> str:
    """What a person or Compose has done to it, in words; empty where nobody has."""
    if it.incumbent in stopped or (container is not None and container.id in stopped):
        return f"{it.name} was stopped by somebody else"
    if container is None:
        gone = [network for network in it.saved_endpoints if not await _exists(network, engine)]
        return f"{it.name} was taken down by somebody else, and its network {gone[0]} with it" if gone else ""
    before = (it.saved.get("Labels") or {}).get(_CONFIG_HASH)
    if container.id != it.incumbent and container.labels.get(_CONFIG_HASH) != before:
        return f"{it.name} was made anew by Compose, from other settings"
    return ""


async def _exists(network: str, engine: Engine) -> bool:
    try:
        await engine.network(network)
    except NotFoundError:
        return False
    return True
