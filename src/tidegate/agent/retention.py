"""Which earlier images stay on the engine."""

from collections.abc import Iterable

import structlog

from tidegate.agent.hands import KEEP_REPOSITORY, image_tag
from tidegate.agent.replacement import Replacement
from tidegate.agent.state import State
from tidegate.engine.errors import ConflictError, EngineError, EngineUnavailableError, NotFoundError
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
        held = {it.new_image}.union(*(images[:keep] for images in self._earlier().values()))
        for image in self._earlier().get((it.cluster, it.service), []):
            if image not in held:
                await self._remove(image)

    async def forget(self, images: Iterable[str]) -> None:
        """Take the tags of images that no rollback can lead to any more; without cleanup the images stay."""
        for image in images:
            await self._untag(image)

    async def drop(self, it: Replacement, keep: int | None) -> None:
        """Remove a release that failed and is not tried again, where earlier images are removed at all."""
        if keep is not None and not any(it.new_image in images for images in self._earlier().values()):
            await self._remove(it.new_image)

    def _earlier(self) -> dict[tuple[str, str], list[str]]:
        """Image ids by target, the newest first."""
        found: dict[tuple[str, str], list[str]] = {}
        for one in reversed(self._state.previous.list()):
            images = found.setdefault((one.cluster, one.service), [])
            if one.image_id not in images:
                images.append(one.image_id)
        return found

    async def _remove(self, image: str) -> None:
        """Take the tag that kept it, then the image, unless a container uses it or somebody else has tagged it."""
        if any(row.image_id == image for row in await self._engine.containers()):
            return
        await self._untag(image)
        try:
            tags = (await self._engine.image(image)).tags
            if not tags:
                await self._engine.remove_image(image)
                _log.info("image removed", image=image[:19])
        except NotFoundError:
            return
        except ConflictError as error:
            _log.debug("an image stays", image=image, reason=str(error))
        except EngineUnavailableError:
            raise
        except EngineError as error:
            _log.warning("an image could not be removed", image=image, reason=str(error))

    async def _untag(self, image: str) -> None:
        try:
            await self._engine.remove_image(f"{KEEP_REPOSITORY}:{image_tag(image)}")
        except EngineUnavailableError:
            raise
        except EngineError as error:
            _log.debug("a tag stays", image=image, reason=str(error))
