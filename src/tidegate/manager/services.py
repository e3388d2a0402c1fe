"""Everything that the manager does in the background."""

from collections.abc import Callable

from tidegate.manager.agents.link import AgentLink
from tidegate.manager.api.idempotency import Forgetting
from tidegate.manager.parts import Parts, Service
from tidegate.manager.people.known_tokens import KnownTokens
from tidegate.manager.people.uses import TokenUses
from tidegate.manager.releases.service import Releases
from tidegate.manager.rollouts.service import deciding
from tidegate.manager.telling.parts import alerter, deliverer, feed_pruner, hub

IN_SERVER: tuple[Callable[[Parts], Service], ...] = (
    KnownTokens,
    TokenUses,
    Forgetting,
    AgentLink,
    hub,
    feed_pruner,
    alerter,
    deliverer,
    Releases,
)
"""What makes those that belong beside the routes; what the two share they get from `parts.one`, too."""


def in_server(parts: Parts) -> list[Service]:
    """What is done in the process that answers."""
    return [parts.one(make) for make in IN_SERVER]


def services(parts: Parts) -> list[Service]:
    """All of it, and what a worker does where there is one."""
    return [*in_server(parts), *deciding(parts.db, parts.one(AgentLink).keys, parts.clock)]
