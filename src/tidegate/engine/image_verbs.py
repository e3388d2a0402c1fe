"""The verbs about images."""
# ruff: noqa: D102 - the contracts of the verbs are the docstrings of the port

from collections.abc import Callable

from tidegate.engine import parse, pulls
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Image, PullProgress
from tidegate.engine.transport import WORK_S, Transport


class ImageVerbs:
    """The part of the port that is about images; see `Engine` for the contracts."""

    _transport: Transport

    async def image(self, ref: str) -> Image:
        return parse.image(await self._transport.call("GET", f"images/{ref}/json", action=f"inspect image {ref}"))

    async def images(self) -> list[Image]:
        rows = await self._transport.call("GET", "images/json", action="list the images")
        return [parse.image(row) for row in rows]

    async def pull(
        self, reference: str, *, auth: str | None, progress: Callable[[PullProgress], None] | None = None
    ) -> None:
        await pulls.pull(self._transport, reference, auth, progress)

    async def tag(self, image: str, repository: str, tag: str) -> None:
        await self._transport.call(
            "POST",
            f"images/{image}/tag",
            action=f"tag image {image} as {repository}:{tag}",
            params={"repo": repository, "tag": tag},
        )

    async def remove_image(self, ref: str) -> None:
        try:
            await self._transport.call("DELETE", f"images/{ref}", action=f"remove image {ref}", limit_s=WORK_S)
        except NotFoundError:
            return
