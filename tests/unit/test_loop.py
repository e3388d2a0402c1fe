"""When the agent looks again: what could not be done is tried again soon, and not at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.agent.loop import Agent
from tidegate.agent.metrics import Metrics
from tidegate.agent.store.files import StateError
from tidegate.agent.store.journal import JournalFile
from tidegate.engine.errors import ConflictError, EngineUnavailableError
from tidegate.engine.model import Event

START = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
POLL = timedelta(hours=24)
DAY_S = POLL.total_seconds()
RETRY_S = 60.0
BUSY = ConflictError("removal is in progress")
AWAY = EngineUnavailableError("it does not answer")
OPEN = JournalFile("tx", ({"kind": "begin", "replacements": []},))
STARTED = Event("container", "start", "c", {"name": "other"}, 0)


class Clock:
    """A clock that a wait moves on, so that a day takes no time."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    async def within(self, _: asyncio.Event, limit_s: float) -> bool:
        self.now += timedelta(seconds=limit_s)
        return False

    async def sleep(self, delay_s: float) -> None:
        self.now += timedelta(seconds=delay_s)


class Bench:
    """An agent whose updates end as they are told to.

    `open` are the journals that were not ended, and `left` those that a look leaves open. `answers` tell what becomes
    of each attempt to end one, `failures` of each look: an error, or None where all went well.
    """

    def __init__(self, clock: Clock, *, polls: bool = True) -> None:
        self.open: list[JournalFile] = []
        self.left: list[JournalFile] = []
        self.answers: list[Exception | None] = []
        self.attempts: list[float] = []
        self.looks: list[tuple[float, Any]] = []
        self.failures: list[Exception | None] = []
        self.clock = clock
        self.metrics = Metrics()
        journal = SimpleNamespace(
            open_transactions=lambda: list(self.open),
            peek=lambda: list(self.open),
            knows=lambda _: True,
            ended=lambda _: True,
        )
        parts: Any = SimpleNamespace(
            settings=SimpleNamespace(schedule=SimpleNamespace(next_after=lambda now: now + POLL), polls=polls),
            clock=clock,
            metrics=self.metrics,
            state=SimpleNamespace(directory=Path(), journal=journal),
            successor=SimpleNamespace(serve=None),
            private=SimpleNamespace(collect=_nothing),
            engine=SimpleNamespace(containers=_none),
            updater=SimpleNamespace(recover=self._end),
            own=None,
            link=None,
            surveyor=lambda: None,
            decider=lambda **_: None,
        )
        self.agent = Agent(parts, busy_retry_s=RETRY_S)
        self.agent.cycle.run = self._cycle  # type: ignore[method-assign, assignment]

    @property
    def now_s(self) -> float:
        """Seconds since the start."""
        return (self.clock.now - START).total_seconds()

    async def _end(self, *_: Any) -> None:
        self.attempts.append(self.now_s)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.open.clear()

    async def _cycle(self, *, images: Any, only: frozenset[str] | None, **_: Any) -> Any:
        failure = self.failures.pop(0) if self.failures else None
        self.open += self.left
        self.looks.append((self.now_s, "all" if only is None and not images else (*images, *sorted(only or ()))))
        if failure is not None:
            raise failure
        tally = SimpleNamespace(scanned=7 if only is None else len(only), updated=0, failed=0)
        return SimpleNamespace(tally=tally, names=frozenset(), waiting=lambda _: {})

    async def run(self, until_s: float) -> None:
        """Let the agent do what it does, up to a time."""
        while self.now_s < until_s:
            await self.agent._patiently(self.agent._look)
            await self.agent._wait()


async def _nothing(*_: Any) -> None:
    return


async def _none(**_: Any) -> list[Any]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tidegate.agent.loop.within", clock.within)
    monkeypatch.setattr("tidegate.agent.loop.asyncio.sleep", clock.sleep)
    return clock


async def test_a_look_that_was_cut_short_is_made_again_after_a_minute_and_not_after_a_day(clock: Clock) -> None:
    bench = Bench(clock)
    bench.failures = [BUSY, BUSY]
    await bench.run(DAY_S)
    assert bench.looks == [(0, "all"), (60, "all"), (120, "all")]


async def test_what_starts_again_and_again_has_nothing_tried_again_before_its_time(clock: Clock) -> None:
    bench = Bench(clock)
    bench.failures = [BUSY]
    await bench.agent._patiently(bench.agent._look)
    for _ in range(5):
        bench.agent._on_event(STARTED)
        await bench.agent._patiently(bench.agent._look)
    assert bench.looks == [(0, "all")]
    await bench.run(60)
    await bench.agent._patiently(bench.agent._look)
    assert bench.looks == [(0, "all"), (60, "all")]


async def test_what_may_be_ready_does_not_keep_a_failing_look_going_without_a_pause(clock: Clock) -> None:
    bench = Bench(clock)
    bench.failures = [BUSY, BUSY]
    bench.agent._due = False
    bench.agent._waiting = {"web": START + timedelta(seconds=5)}
    await bench.run(DAY_S)
    assert bench.looks == [(5, ("web",)), (65, ("web",)), (125, ("web",))]


async def test_a_look_at_single_containers_is_counted_as_no_check_of_them_all(clock: Clock) -> None:
    bench = Bench(clock)
    await bench.agent._look()
    bench.agent._on_event(STARTED)
    await bench.agent._look()
    assert bench.looks == [(0, "all"), (0, ("other",))]
    assert (bench.metrics.containers_scanned, bench.metrics.scans_total) == (7, 1)


@pytest.mark.parametrize("polls", [True, False])
async def test_an_update_that_cannot_be_ended_is_tried_each_minute_and_keeps_nobody_waiting(
    clock: Clock, *, polls: bool
) -> None:
    bench = Bench(clock, polls=polls)
    bench.open, bench.answers = [OPEN], [BUSY, BUSY, BUSY]
    await bench.agent.recover()
    assert bench.metrics.unended == 1
    bench.agent._due = polls
    await bench.run(180)
    assert bench.attempts == [0, 0, 60, 120]
    assert bench.looks[0] == (0, "all" if polls else ())
    assert bench.metrics.unended == 0


@pytest.mark.parametrize("damage", [KeyError("id"), TypeError("unexpected keyword"), AttributeError("no such")])
async def test_a_journal_that_cannot_be_used_is_told_of_and_stops_nothing(clock: Clock, damage: Exception) -> None:
    bench = Bench(clock)
    bench.open, bench.answers = [OPEN], [damage]
    with capture_logs() as logs:
        await bench.agent._look()
    assert [line["event"] for line in logs] == ["the journal of an update cannot be used"]
    assert bench.looks == [(0, "all")]


async def test_a_journal_without_its_lines_is_told_of_and_stops_nothing(clock: Clock) -> None:
    bench = Bench(clock)
    bench.open = [JournalFile("tx", ({"kind": "begin"},)), OPEN]
    await bench.agent._look()
    assert (bench.attempts, bench.metrics.unended, bench.looks) == ([0], 1, [(0, "all")])


async def test_what_an_update_asked_for_over_http_leaves_open_is_ended_when_the_engine_is_back(clock: Clock) -> None:
    bench = Bench(clock, polls=False)
    bench.left, bench.failures = [OPEN], [AWAY]
    with pytest.raises(EngineUnavailableError):
        await bench.agent._update_images(("web",))
    assert bench.agent._stir.is_set()
    bench.left, bench.answers = [], [AWAY, AWAY, None]
    await bench.run(60)
    assert (bench.open, bench.attempts) == ([], [0, 0.5, 1.5])


async def test_what_a_look_leaves_open_is_ended_after_a_minute_and_not_after_a_day(clock: Clock) -> None:
    bench = Bench(clock)
    bench.left = [OPEN]
    await bench.agent._look()
    bench.left = []
    await bench.run(DAY_S)
    assert (bench.open, bench.attempts) == ([], [60])


async def test_the_caller_over_http_learns_that_nothing_could_be_looked_at(clock: Clock) -> None:
    bench = Bench(clock)
    bench.failures = [BUSY]
    with pytest.raises(ConflictError):
        await bench.agent._update_images(("web",))


class Assigned:
    """A link with one assignment that is due at `due_s`, and how each attempt at it ends."""

    def __init__(self, bench: Bench, due_s: float, *answers: Exception | None) -> None:
        self.bench = bench
        self.due: datetime | None = START + timedelta(seconds=due_s)
        self.answers = list(answers)
        self.attempts: list[float] = []
        bench.agent._link = self  # type: ignore[assignment]

    def next_due(self) -> datetime | None:
        return self.due

    async def carry_out(self, unended: Any) -> None:
        assert self.bench.agent._busy.locked()
        assert not unended
        self.attempts.append(self.bench.now_s)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.due = None

    def put_off(self) -> None:
        self.due = self.bench.clock() + timedelta(seconds=RETRY_S)


async def test_what_a_manager_assigned_has_its_turn_when_it_is_due_and_is_no_look(clock: Clock) -> None:
    bench = Bench(clock)
    link = Assigned(bench, 100)
    await bench.run(DAY_S)
    assert (link.attempts, bench.looks) == ([100], [(0, "all")])


@pytest.mark.parametrize("failure", [BUSY, StateError("the disk is full")])
async def test_what_a_manager_assigned_is_tried_again_after_a_minute_where_it_could_not_be_noted_or_begun(
    clock: Clock, failure: Exception
) -> None:
    bench = Bench(clock)
    bench.agent._due = False
    bench.agent._parts.state.lock = SimpleNamespace(held=True)  # type: ignore[misc, assignment]
    link = Assigned(bench, 0, failure, failure)
    await bench.run(DAY_S / 2)
    assert link.attempts == [0, 60, 120]


async def test_what_a_manager_assigned_waits_a_minute_where_nothing_could_be_ended_first(clock: Clock) -> None:
    bench = Bench(clock)
    bench.agent._due = False
    bench.agent._parts.state.lock = SimpleNamespace(held=True)  # type: ignore[misc, assignment]
    full = StateError("the disk is full")
    bench.open, bench.answers = [OPEN], [full, full]
    link = Assigned(bench, 0)
    await bench.run(180)
    assert (link.attempts, bench.attempts) == ([120], [0, 60, 120])


async def test_what_a_manager_assigned_goes_on_as_soon_as_the_engine_is_back(clock: Clock) -> None:
    bench = Bench(clock)
    bench.agent._due = False
    link = Assigned(bench, 0, AWAY, AWAY)
    await bench.run(60)
    assert link.attempts == [0, 0.5, 1.5]


async def test_what_was_cut_off_is_ended_before_anything_that_a_manager_assigned(clock: Clock) -> None:
    bench = Bench(clock)
    bench.agent._due = False
    bench.open = [OPEN]
    link = Assigned(bench, 5)
    await bench.agent._wait()
    await bench.agent._look()
    assert (bench.attempts[:1], link.attempts) == ([5], [5])
