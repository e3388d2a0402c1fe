"""Tags that are lent to containers made anew from the image they have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.tags import LENT_REPOSITORY, give_back, lent
from tidegate.engine import parse
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Image

OLD, NEW, NEWEST = "sha256:1", "sha256:2", "sha256:3"
RIDER: Any = SimpleNamespace(id="tx.1", reference="app:live", new_image=OLD)


class Engine:
    """A store of tags."""

    def __init__(self, **tags: str) -> None:
        self.tags = {f"app:{tag}": image for tag, image in tags.items()}

    async def image(self, ref: str) -> Image:
        if ref not in self.tags:
            raise NotFoundError(ref)
        return parse.image({"Id": self.tags[ref]})

    async def tag(self, image: str, repository: str, tag: str) -> None:
        self.tags[f"{repository}:{tag}"] = image

    async def remove_image(self, ref: str) -> None:
        del self.tags[ref]


@pytest.mark.parametrize("named", [OLD, NEW])
async def test_a_tag_names_the_container_s_image_while_it_is_lent_and_then_what_it_named_before(named: str) -> None:
    engine: Any = Engine(live=named)
    async with lent(engine, RIDER):
        assert engine.tags["app:live"] == OLD
    assert engine.tags == {"app:live": named}


async def test_a_tag_that_is_gone_names_the_container_s_image() -> None:
    engine: Any = Engine()
    async with lent(engine, RIDER):
        assert engine.tags == {"app:live": OLD}


@pytest.mark.parametrize(("meanwhile", "then"), [(OLD, NEW), (NEWEST, NEWEST)])
async def test_after_a_kill_a_tag_is_given_back_unless_somebody_has_moved_it(meanwhile: str, then: str) -> None:
    engine: Any = Engine(live=meanwhile)
    engine.tags[f"{LENT_REPOSITORY}:tx.1"] = NEW
    await give_back(engine, RIDER)
    await give_back(engine, RIDER)
    assert engine.tags == {"app:live": then}
