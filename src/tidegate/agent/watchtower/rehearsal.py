"""Before Watchtower is told: whether the engine would create what it is to create.

Watchtower removes the old container first. Where the new one is refused then, as for a folder that is not there any
more, what ran before is mostly refused too, for the same reason. So one is created under another name, and removed
again. It is never started, and its labels keep Compose and Watchtower from it.
"""

import contextlib
from collections.abc import Sequence

from tidegate.agent.beside import Ended, create_beside
from tidegate.agent.guard import TRANSACTION
from tidegate.agent.notes import Notes
from tidegate.agent.replacement import Replacement
from tidegate.domain.recreate_candidate import for_rehearsal
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.port import Engine


async def rehearse(replacements: Sequence[Replacement], engine: Engine, notes: Notes, ended: Ended) -> str:
    """Why a container would be refused, in the engine's words; empty where none would. Raises `EngineError`."""
    for it in replacements:
        network, settings = next(iter(it.endpoints.items()), (None, {}))
        body = for_rehearsal(it.request, {TRANSACTION: it.id}, it.new_image, network, settings)
        try:
            container = await create_beside(engine, it, body, ended)
        except EngineUnavailableError:
            raise
        except EngineError as error:
            return f"{it.name} was not touched: the engine refuses to create its new container: {error}"
        notes.note("rehearsed", id=it.id)
        await engine.remove(container, force=True, volumes=True)
    return ""


async def clear_away(replacements: Sequence[Replacement], engine: Engine) -> None:
    """Remove what a kill has left of a rehearsal. Raises `EngineError`."""
    for it in replacements:
        with contextlib.suppress(NotFoundError):
            found = await engine.container(it.next_name)
            if found.labels.get(TRANSACTION) == it.id:
                await engine.remove(found.id, force=True, volumes=True)
