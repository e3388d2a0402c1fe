"""Which earlier images stay on the engine."""

import structlog

from tidegate.agent.hands import KEEP_REPOSITORY, image_tag
from tidegate.agent.replacement import Replacement
from tidegate.agent.state import State
from tidegate.engine.errors import ConflictError, EngineError
from tidegate.engine.port import Engine

_log = structlog.get_logger(__name__)


class Retention:
    """Removes images that an update has put out of use, and only those."""

    def __init__(self, engine: Engine, state: State) -> None:
        self._engine = engine
        self._state = state

    async def apply(self, it: Replacement, keep: int | None) -> None:
        """Keep the last `keep` earlier images of a target (None: all); an image in use always stays."""
        if keep is None:
            return
        earlier = self._state.previous.of(it.cluster, it.service)
        known = list(dict.fromkeys(one.image_id for one in earlier if one.image_id != it.new_image))
        for image in known[keep:]:
            await self._remove(image)

    async def _remove(self, image: str) -> None:
        """Take the tag that kept it, then the image; the engine refuses where a container still uses it."""
        if await self._in_use(image):
            return
        try:
            await self._engine.remove_image(f"{KEEP_REPOSITORY}:{image_tag(image)}")
            await self._engine.remove_image(image)
        except ConflictError as error:
            _log.debug("an image stays", image=image, reason=str(error))
        except EngineError as error:
            _log.warning("an image could not be removed", image=image, reason=str(error))

    async def _in_use(self, image: str) -> bool:
        return any(row.image_id == image for row in await self._engine.containers())
