"""The two that are compared: the real Watchtower, and the agent's image in its place."""

from __future__ import annotations

import os

from bench.compare_world import Updater
from tests.support import watchtower
from tests.support.registry import Registry

from groundwork import agent_image
from groundwork import watchtower as built

WATCHTOWER = f"Watchtower {built.version().removeprefix('v')}"
TIDEGATE = "Tidegate"
_AGENT = "tidegate/agent:compare"


def updaters() -> list[Updater]:
    """Both, with their images on the ground. `GroundError` where Watchtower was not built."""
    built.program()
    return [image_of_watchtower(Registry(os.environ["GROUND_REGISTRY"])), image_of_agent(_AGENT)]


def image_of_watchtower(registry: Registry) -> Updater:
    """Push it."""
    return Updater(WATCHTOWER, watchtower.image(registry).reference)


def image_of_agent(tag: str) -> Updater:
    """Build it on the engine, as the project's Dockerfile has it."""
    agent_image.build(tag)
    return Updater(TIDEGATE, tag)
