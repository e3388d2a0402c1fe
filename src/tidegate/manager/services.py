"""Everything that the manager does in the background."""

from collections.abc import Callable

from tidegate.manager.agents.link import AgentLink
from tidegate.manager.api.idempotency import Forgetting
from tidegate.manager.parts import Parts, Service
from tidegate.manager.people.known_tokens import KnownTokens
from tidegate.manager.people.uses import TokenUses
from tidegate.manager.releases.service import Releases
from tidegate.manager.rollouts.service import driver, planner
from tidegate.manager.telling.parts import alerter, deliverer, feed_pruner, hub

SERVICES: tuple[Callable[[Parts], Service], ...] = (
    KnownTokens,
    TokenUses,
    Forgetting,
    AgentLink,
    hub,
    feed_pruner,
    alerter,
    deliverer,
    Releases,
    driver,
    planner,
)
"""What makes each of them; a new one is added here. What routes share with one they get from `parts.one`, too."""


def services(parts: Parts) -> list[Service]:
    """The services of these parts."""
    return [parts.one(make) for make in SERVICES]
