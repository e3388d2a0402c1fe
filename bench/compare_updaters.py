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


def updaters(agent: str = _AGENT) -> list[Updater]:
    """Both, with their images on the ground's engine. `GroundError` where Watchtower was not built."""
    built.program()
    registry = Registry(os.environ["GROUND_REGISTRY"])
    agent_image.build(agent)
    return [Updater(WATCHTOWER, watchtower.image(registry).reference), Updater(TIDEGATE, agent)]
