"""What a look does with what was decided: who acts, what is counted, what the log says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tidegate.agent.cycle import Cycle, Looked
from tidegate.agent.decide import Decision
from tidegate.agent.outcome import Ending
from tidegate.agent.plan_row import Action
from tidegate.agent.survey import Place, Survey
from tidegate.agent.updater import Tally
from tidegate.domain.selection import Candidate, Filters, select

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WEB = Place(
    "web",
    "web",
    "web",
    "sha256:1",
    "running",
    {},
    select([Candidate("web", "web", "web", "running", {})], Filters())[0],
)


class Parts:
    """An agent whose decisions are given."""

    def __init__(self, *decisions: Decision, **settings: Any) -> None:
        self.settings = SimpleNamespace(run_once=False, **settings)
        self.own: str | None = None
        self.own_ending = Ending.COMMITTED
        self.decisions = list(decisions)
        self.updater = self.successor = self

    def clock(self) -> datetime:
        return NOW

    def surveyor(self, **_: Any) -> Parts:
        return self

    def decider(self, **_: Any) -> Parts:
        return self

    async def survey(self) -> Survey:
        return Survey(tuple(one.place for one in self.decisions), {})

    async def decide(self, *_: Any, **__: Any) -> list[Decision]:
        return self.decisions

    async def forget_gone(self, *_: Any) -> None:
        """There is nothing to forget."""

    async def carry_out(self, _: Survey, decisions: list[Decision]) -> Tally:
        return Tally(updated=sum(one.action is Action.UPDATE for one in decisions))

    async def hand_over(self, _: Decision) -> Ending:
        return self.own_ending


async def look(parts: Parts) -> Looked:
    return await Cycle(parts).run()  # type: ignore[arg-type]


UNREACHED = Decision(WEB, Action.SKIP, "its registry does not answer", trouble=True, unreached=True)
UNUSABLE = replace(UNREACHED, reason="its platform is missing", unreached=False)


@pytest.mark.parametrize(
    ("asked", "decision", "level"),
    [
        ("auto", UNREACHED, "warning"),
        ("always", UNREACHED, "warning"),
        ("never", UNREACHED, "info"),
        ("never", UNUSABLE, "warning"),
    ],
)
async def test_a_registry_that_could_not_be_asked_is_a_warning_unless_none_is_wanted(
    asked: str, decision: Decision, level: str
) -> None:
    with capture_logs() as logs:
        await look(Parts(decision, warn_on_head_failure=asked))
    assert [(line["log_level"], line["reason"]) for line in logs] == [(level, decision.reason)]


async def test_what_came_back_after_it_was_gone_is_told_of_again() -> None:
    parts = Parts(UNUSABLE, warn_on_head_failure="auto")
    cycle = Cycle(parts)  # type: ignore[arg-type]
    told = []
    for decisions in ([UNUSABLE], [UNUSABLE], [], [UNUSABLE]):
        parts.decisions[:] = decisions
        with capture_logs() as logs:
            await cycle.run()
        told.append(len(logs))
    assert told == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("ending", "counted"),
    [
        (Ending.COMMITTED, (1, 0)),
        (Ending.GAVE_WAY, (0, 0)),
        (Ending.FAILED, (0, 1)),
        (Ending.ROLLED_BACK, (0, 1)),
        (Ending.INCONCLUSIVE, (0, 1)),
    ],
)
async def test_an_update_of_the_agent_itself_that_it_outlived_is_counted(
    ending: Ending, counted: tuple[int, int]
) -> None:
    parts = Parts(Decision(WEB, Action.UPDATE, "a newer release is on its channel"))
    parts.own, parts.own_ending = WEB.id, ending
    tally = (await look(parts)).tally
    assert (tally.updated, tally.failed) == counted
