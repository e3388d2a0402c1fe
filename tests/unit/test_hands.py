"""What the steps of a replacement ask of an engine."""

from typing import Any

import pytest

from tidegate.agent.hands import point_tag

IMAGE = "sha256:" + "0" * 64


class Engine:
    """Writes down which tags it was told to move."""

    def __init__(self) -> None:
        self.tags: list[tuple[str, str, str]] = []

    async def tag(self, image: str, repository: str, tag: str) -> None:
        self.tags.append((image, repository, tag))


async def tags_of(reference: str) -> list[Any]:
    engine = Engine()
    await point_tag(engine, reference, IMAGE)  # type: ignore[arg-type]
    return engine.tags


async def test_a_tag_that_is_not_written_is_latest() -> None:
    assert await tags_of("registry.test:5000/web") == [(IMAGE, "registry.test:5000/web", "latest")]


@pytest.mark.parametrize("reference", ["sha256:" + "a" * 64, "a" * 64, "web@sha256:" + "a" * 64])
async def test_a_container_made_from_an_id_or_a_digest_has_no_tag_to_move(reference: str) -> None:
    assert await tags_of(reference) == []
