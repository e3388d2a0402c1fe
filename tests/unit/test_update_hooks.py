"""A service that says it is busy: for how long it is waited for without a manager, and what becomes of it then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.decide import Decision
from tidegate.agent.hooks import BUSY_EXIT, HookOutcome
from tidegate.agent.metrics import Metrics
from tidegate.agent.plan_row import Action
from tidegate.agent.state import State
from tidegate.agent.update_hooks import UpdateHooks
from tidegate.domain.policy import PolicyDefaults, resolve_policy
from tidegate.engine.model import ExecResult

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FOUR = {"tidegate.busy-wait": "4h"}
FORCE = {**FOUR, "tidegate.busy-then": "force"}


class Bench:
    """An agent's hooks, in containers that are busy; `ask` goes on asking for so long, and gives the last answer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now, self.exit, self.asked = NOON, BUSY_EXIT, 0
        self.again()

    def again(self) -> None:
        """The agent is started again."""
        self.state = State.at(self.directory)
        books = Bookkeeping(self.state, None, Metrics())  # type: ignore[arg-type]
        engine: Any = self
        self.hooks = UpdateHooks(engine, books, self.state.busy, clock=lambda: self.now)

    async def container(self, _: str) -> Any:
        return SimpleNamespace(id="c", name="shop-web-1", running=True, status="running", document={})

    async def execute(self, *_: Any, **__: Any) -> ExecResult:
        self.asked += 1
        return ExecResult(self.exit, "")

    async def ask(
        self, labels: dict[str, str], for_: timedelta = timedelta(0), *, digest: str = "b", alone: bool = True
    ) -> HookOutcome:
        policy = resolve_policy({"tidegate.hook.pre-update": "true", **labels}, PolicyDefaults())
        place: Any = SimpleNamespace(
            id="c", name="shop-web-1", cluster="shop", service="web", followed="acme/web:1", policy=policy
        )
        decision, until = Decision(place, Action.UPDATE, "", "sha256:a", f"sha256:{digest}"), self.now + for_
        outcome = await self.hooks.before([decision], alone=alone)
        while outcome is HookOutcome.BUSY and self.now < until:
            self.now += MINUTE
            outcome = await self.hooks.before([decision], alone=alone)
        return outcome

    def told(self) -> list[str]:
        return [row["outcome"] for row in self.state.history.tail(100)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_without_a_limit_it_is_waited_for_for_ever(bench: Bench) -> None:
    assert await bench.ask({}, 100 * HOUR) is HookOutcome.BUSY
    assert bench.told() == ["deferred"]


@pytest.mark.parametrize(
    ("labels", "outcome", "told", "held"),
    [
        (FOUR, HookOutcome.GIVEN_UP, ["deferred", "skipped"], ["sha256:b"]),
        (FORCE, HookOutcome.DONE, ["deferred", "forced"], []),
    ],
)
async def test_what_is_busy_for_too_long_is_skipped_or_forced(
    bench: Bench, labels: dict[str, str], outcome: HookOutcome, told: list[str], held: list[str]
) -> None:
    assert await bench.ask(labels, 100 * HOUR) is outcome
    assert (bench.now - NOON, bench.told()) == (4 * HOUR, told)
    assert [one.digest for one in bench.state.quarantine.list()] == held


async def test_a_hook_that_is_done_in_time_lets_the_update_go_on(bench: Bench) -> None:
    await bench.ask(FOUR, 3 * HOUR)
    bench.exit = 0
    assert await bench.ask(FOUR) is HookOutcome.DONE


async def test_the_wait_goes_on_where_it_was_when_the_agent_was_started_again(bench: Bench) -> None:
    await bench.ask(FORCE, 3 * HOUR)
    bench.again()
    assert await bench.ask(FORCE, 59 * MINUTE) is HookOutcome.BUSY
    assert await bench.ask(FORCE, MINUTE) is HookOutcome.DONE


async def test_the_time_in_which_nobody_asks_does_not_count(bench: Bench) -> None:
    """As between two windows."""
    await bench.ask(FORCE, 3 * HOUR)
    bench.now += 22 * HOUR
    assert await bench.ask(FORCE, 59 * MINUTE) is HookOutcome.BUSY
    assert await bench.ask(FORCE, MINUTE) is HookOutcome.DONE


async def test_each_release_is_waited_for_anew_and_so_is_what_was_let_out_of_quarantine(bench: Bench) -> None:
    await bench.ask(FOUR, 3 * HOUR)
    assert await bench.ask(FOUR, 3 * HOUR, digest="c") is HookOutcome.BUSY
    assert await bench.ask(FOUR, HOUR, digest="c") is HookOutcome.GIVEN_UP
    assert await bench.ask(FOUR, 3 * HOUR, digest="c") is HookOutcome.BUSY


async def test_a_release_that_was_tried_is_waited_for_anew(bench: Bench) -> None:
    await bench.ask(FORCE, 4 * HOUR)
    bench.hooks.forget([SimpleNamespace(replacement=SimpleNamespace(name="shop-web-1"))])  # type: ignore[list-item]
    assert await bench.ask(FORCE, 3 * HOUR) is HookOutcome.BUSY


async def test_of_an_assignment_the_manager_says_for_how_long(bench: Bench) -> None:
    assert await bench.ask(FORCE, 100 * HOUR, alone=False) is HookOutcome.BUSY


@pytest.mark.parametrize("waited", ["soon", None, {"s": 1}])
async def test_what_somebody_has_spoilt_by_hand_is_waited_for_anew(bench: Bench, waited: Any) -> None:
    await bench.ask(FORCE, 3 * HOUR)
    file = bench.directory / "busy.json"
    file.write_text(f'[{{"container": "shop-web-1", "digest": "sha256:b", "asked_at": "{waited}", "waited_s": 1}}]')
    assert await bench.ask(FORCE, 3 * HOUR) is HookOutcome.BUSY
    assert await bench.ask(FORCE, HOUR) is HookOutcome.DONE
