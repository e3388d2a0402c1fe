"""Whether what a container shares with others is still there."""

import contextlib

from tidegate.domain.namespaces import homes_of
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine


async def has_homes(engine: Engine, container: Container) -> bool:
    """Whether every container in whose namespaces it lives still exists: it cannot start without them."""
    return all([await found(engine, home) is not None for home in homes_of(container.document)])


async def found(engine: Engine, container: str) -> Container | None:
    """A container by its id or name; None where there is none."""
    with contextlib.suppress(NotFoundError):
        return await engine.container(container)
    return None
