"""What an update needs before it can begin."""

from typing import Any

from tidegate.agent.decide import Decision
from tidegate.agent.plan_row import Action
from tidegate.agent.prepare import Preparer
from tidegate.agent.survey import Place
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.engine import parse
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Image

BUILT = "sha256:" + "b" * 64


class Engine:
    """Has one image, which was built on it."""

    async def image(self, ref: str) -> Image:
        if ref != BUILT:
            raise NotFoundError(ref)
        return parse.image({"Id": BUILT})

    def __getattr__(self, verb: str) -> Any:
        raise AssertionError(f"{verb} was asked for")


async def test_a_release_that_was_built_here_is_taken_from_the_engine() -> None:
    chosen = select([Candidate("c", "web", "web:live", "running", {})], Filters())[0]
    place = Place("c", "web", "web:live", "sha256:1", "running", {}, chosen)
    decision = Decision(place, Action.UPDATE, "asked for by hand", latest_digest=BUILT, new_image=BUILT)
    preparer = Preparer(Engine(), Engine(), {}, Engine())
    assert await preparer.pull(decision, "web:live") == BUILT
