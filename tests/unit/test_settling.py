"""How a replacement that was cut short is brought to rest."""

from typing import Any

import pytest

from tidegate.agent.guard import Guard
from tidegate.agent.replacement import Replacement
from tidegate.agent.settling import Settler
from tidegate.domain.transaction import Settlement, Step, Strategy, steps_of
from tidegate.engine import parse
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container


class Engine:
    """Has the candidate alone, created and not started; writes down what it is told to do."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def container(self, ref: str) -> Container:
        if ref != "new":
            raise NotFoundError(ref)
        state = {"Status": "created", "Running": False}
        return parse.container({"Id": "new", "Name": "/web", "Config": {}, "State": state})

    async def containers(self, **_: Any) -> list[Any]:
        return []

    def __getattr__(self, verb: str) -> Any:
        async def told(*_: Any, **__: Any) -> None:
            self.told.append(verb)

        return told


async def nothing(*_: Any) -> None:
    return None


def replacement(*, was_running: bool) -> Replacement:
    steps = steps_of(Strategy.STOP_FIRST)
    return Replacement(
        id="tx.0", cluster="shop", service="web", number="1", name="web", incumbent="old", reference="web:live",
        old_image="sha256:1", new_image="sha256:2", old_digest="", new_digest="", strategy=Strategy.STOP_FIRST, late=(),
        early=(), request={}, endpoints={}, saved={}, saved_endpoints={},
        was_running=was_running, candidate="new", done=set(steps[: steps.index(Step.REMOVE) + 1]),
    )  # fmt: skip


@pytest.mark.parametrize("was_running", [True, False])
async def test_what_was_stopped_before_its_update_is_stopped_after_it(*, was_running: bool) -> None:
    engine, it = Engine(), replacement(was_running=was_running)
    settler = Settler(engine, engine, nothing)  # type: ignore[arg-type]
    end = await settler.settle(it, Guard(("shop", "web", "1"), "old", "tx.0"), decided=lambda _: None)
    assert (end, "start" in engine.told) == (Settlement.CANDIDATE, was_running)
