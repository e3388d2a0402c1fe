"""Tags on the engine: pointed at another image, or lent for a moment.

A container is made by the tag that its user wrote. Where it is made anew from the image it has, its tag may name
another one by now, and is lent to it: what the tag names is kept meanwhile under one that outlives a kill.
"""

import contextlib
from collections.abc import AsyncIterator

from tidegate.agent.replacement import Replacement
from tidegate.domain.reference import is_image_id, parse_reference
from tidegate.engine.errors import NotFoundError
from tidegate.engine.port import Engine

LENT_REPOSITORY = "tidegate.local/lent"


@contextlib.asynccontextmanager
async def lent(engine: Engine, it: Replacement) -> AsyncIterator[None]:
    """While the block lasts, the reference of `it` names its image."""
    named = await _named(engine, it.reference)
    if named != it.new_image:
        if named is not None:
            await engine.tag(named, LENT_REPOSITORY, it.id)
        await point_tag(engine, it.reference, it.new_image)
    yield
    await give_back(engine, it)


async def give_back(engine: Engine, it: Replacement) -> None:
    """Let the reference of `it` name again what it named before, unless somebody has moved it since."""
    kept = f"{LENT_REPOSITORY}:{it.id}"
    named = await _named(engine, kept)
    if named is None:
        return
    if await _named(engine, it.reference) == it.new_image:
        await point_tag(engine, it.reference, named)
    await engine.remove_image(kept)


async def point_tag(engine: Engine, reference: str, image: str) -> None:
    """Let the mutable tag of `reference` name `image`; a digest or an image's id has nothing to move."""
    if is_image_id(reference):
        return
    parsed = parse_reference(reference)
    if parsed.digest is None:
        await engine.tag(image, parsed.familiar_name, parsed.tag or "latest")


async def _named(engine: Engine, reference: str) -> str | None:
    with contextlib.suppress(NotFoundError):
        return (await engine.image(reference)).id
    return None
