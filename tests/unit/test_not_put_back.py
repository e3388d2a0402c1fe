"""Where nothing serves, and what ran before cannot run either, whoever assigned it hears of it at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.test_watchtower_found import replacement

from tidegate.agent.metrics import Metrics
from tidegate.agent.outcome import NotEndedError, NotPutBackError
from tidegate.agent.state import State, StateError
from tidegate.agent.unfinished import Unfinished
from tidegate.agent.updater import Updater
from tidegate.domain.policy import PolicyDefaults
from tidegate.engine.errors import EngineError

GONE = NotPutBackError("the folder is gone")


class Bench:
    """An updater whose Watchtower raises this; `told` is what the manager hears, unless that cannot be written."""

    def __init__(self, directory: Path, error: Exception = GONE, *, full: bool = False) -> None:
        self.error, self.full, self.told = error, full, list[tuple[list[str], str]]()
        state = State.at(directory)
        tools: Any = SimpleNamespace(engine=None, past_events=None, journal=state.journal)
        nothing: Any = None
        self.updater = Updater(tools, nothing, state, PolicyDefaults(), nothing, metrics=Metrics())
        self.updater.ends = self  # type: ignore[assignment]
        self.updater.delegates = lambda: self  # type: ignore[assignment]

    def not_put_back(self, assignments: Any, reason: str) -> None:
        if self.full:
            raise StateError("no space is left")
        self.told.append((list(assignments), reason))

    async def go_on(self, _: object) -> Any:
        raise self.error

    async def begun(self) -> None:
        transaction: Any = SimpleNamespace(assignments=["shop/web-1"], id="tx")
        await self.updater._run(transaction, [], None, self.go_on)  # type: ignore[arg-type]

    async def after_a_kill(self) -> None:
        it = replacement(id="20261123-120000-abcd.0")
        await self.updater.recover(Unfinished("tx", [it], delegated=True, assignments=("shop/web-1",)))


@pytest.mark.parametrize("act", [Bench.begun, Bench.after_a_kill])
async def test_it_is_told_at_once_and_its_journal_stays_open(act: Any, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(NotPutBackError):
        await act(bench)
    assert bench.told == [(["shop/web-1"], "the folder is gone")]


async def test_what_may_end_well_yet_is_not_told_as_failed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, EngineError("it may still be at work"))
    with pytest.raises(NotEndedError):
        await bench.begun()
    assert bench.told == []


async def test_a_full_disk_only_costs_the_telling(tmp_path: Path) -> None:
    with pytest.raises(NotPutBackError):
        await Bench(tmp_path, full=True).begun()
