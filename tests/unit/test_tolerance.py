"""What cannot be cleared up keeps nobody from an update."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.agent.announce import HELPER, remove_unstarted_helpers
from tidegate.agent.beside import remove_left_over
from tidegate.agent.guard import TRANSACTION
from tidegate.agent.private import PRIVATE_FOR, PrivateNetworks
from tidegate.agent.replacement import NEXT
from tidegate.engine import parse
from tidegate.engine.errors import ConflictError, EngineError, EngineUnavailableError
from tidegate.engine.model import ContainerSummary, Network


class Engine:
    """Has two private networks, helpers and candidates, and lets go of the second of each only."""

    def __init__(self, refusal: EngineError) -> None:
        self._refusal = refusal
        self.removed: list[str] = []

    async def networks(self, labels: dict[str, str] | None = None) -> list[Network]:
        owner = (labels or {}).get(PRIVATE_FOR)
        return [await self.network(name) for name in ("one", "two") if owner in {"", name}]

    async def network(self, ref: str) -> Network:
        return parse.network({"Id": ref, "Name": ref, "Labels": {PRIVATE_FOR: ref}})

    async def containers(self, labels: dict[str, str] | None = None) -> list[ContainerSummary]:
        suffix = {HELPER: "", TRANSACTION: NEXT}
        (label, owner), *_ = (labels or {"": ""}).items()
        if label not in suffix or (label == TRANSACTION and owner):
            return []
        row = {"State": "created", "Labels": {TRANSACTION: "tx.0"}}
        return [parse.summary({**row, "Id": name, "Names": [f"/{name}{suffix[label]}"]}) for name in ("one", "two")]

    async def remove(self, ref: str, **_: Any) -> None:
        if ref == "one":
            raise self._refusal
        self.removed.append(ref)

    remove_network = remove


async def cleared(refusal: EngineError, work: str) -> list[str]:
    engine: Any = Engine(refusal)
    if work == "networks":
        await PrivateNetworks(engine, ()).collect(lambda _: True, datetime.now(UTC))
    elif work == "left over":
        await remove_left_over(engine, lambda _: True)
    else:
        await remove_unstarted_helpers(engine)
    return list(engine.removed)


@pytest.mark.parametrize("work", ["networks", "helpers", "left over"])
async def test_one_that_the_engine_does_not_let_go_of_is_told_of_and_the_next_one_goes(work: str) -> None:
    with capture_logs() as logs:
        assert await cleared(EngineError("it is in use"), work) == ["two"]
    warned = [line["what"] for line in logs if line["log_level"] == "warning"]
    assert warned == [f"one{NEXT}" if work == "left over" else "one"]


@pytest.mark.parametrize("work", ["networks", "helpers", "left over"])
async def test_an_engine_that_is_away_is_waited_for(work: str) -> None:
    with pytest.raises(EngineUnavailableError):
        await cleared(EngineUnavailableError("gone"), work)


async def test_a_network_that_somebody_is_on_again_is_left_for_the_next_look() -> None:
    assert await cleared(ConflictError("has active endpoints"), "networks") == ["two"]
