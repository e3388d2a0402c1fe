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
from tidegate.agent.guard import PROJECT, SERVICE, TRANSACTION
from tidegate.agent.outcome import Ending
from tidegate.agent.plan_row import Action
from tidegate.agent.store.journal import JournalFile
from tidegate.agent.survey import Place, Survey
from tidegate.agent.tally import Closed, Tally, held
from tidegate.agent.unended import Unended
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.domain.windows import Gate

NOW, TOMORROW = datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)
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
        self.asked: list[str] = []
        self.acted: list[str] = []
        self.whole: tuple[str, ...] = ()
        self.settings = SimpleNamespace(run_once=False, **settings)
        self.own: str | None = None
        self.link = None
        self.own_ending = Ending.COMMITTED
        self.closes = TOMORROW
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

    async def decide(self, survey: Survey, *_: Any, **__: Any) -> list[Decision]:
        self.asked = [place.name for place in survey.places]
        return [one for one in self.decisions if one.place in survey.places]

    async def forget_gone(self, *_: Any) -> None:
        """There is nothing to forget."""

    def closed(self, _: Decision, now: datetime) -> Gate | None:
        return None if now < self.closes else Gate(open=False, reason="it has closed", next_open=TOMORROW)

    async def carry_out(self, survey: Survey, decisions: list[Decision], closed: Closed) -> Tally:
        self.whole = tuple(place.name for place in survey.places)
        due = [one for one in decisions if one.action is Action.UPDATE]
        self.acted = [one.place.name for one in due if closed(one) is None]
        return Tally(updated=len(self.acted))

    async def hand_over(self, _: Decision) -> Ending:
        return self.own_ending


def due(name: str, image: str, **labels: str) -> Decision:
    """A container of a Compose service, `SERVICE-NUMBER`, that is to be updated."""
    all_ = {PROJECT: "shop", SERVICE: name.partition("-")[0], **{f"tidegate.{key}": it for key, it in labels.items()}}
    selection = select([Candidate(name, name, image, "running", all_)], Filters())[0]
    return Decision(Place(name, name, image, "sha256:1", "running", all_, selection), Action.UPDATE, "due")


STACK = [
    due("web-1", "app:live", group="stack"),
    due("web-2", "app:live", group="stack"),
    due("db-1", "db:live", group="stack"),
    due("worker-1", "library/app:live"),
    due("cron-1", "app:old"),
    due("mail-1", "mail"),
]


@pytest.mark.parametrize(
    ("narrow", "asked"),
    [
        ({}, ["web-1", "web-2", "db-1", "worker-1", "cron-1", "mail-1"]),
        ({"only": frozenset({"db-1"})}, ["web-1", "web-2", "db-1", "worker-1"]),
        ({"only": frozenset({"web-2"})}, ["web-1", "web-2", "db-1", "worker-1"]),
        ({"only": frozenset()}, []),
        ({"images": ("docker.io/library/db",)}, ["web-1", "web-2", "db-1", "worker-1"]),
        ({"images": ("mail", "Not An Image")}, ["mail-1"]),
        ({"images": ("elsewhere",)}, []),
    ],
)
async def test_a_narrow_look_takes_along_what_moves_together_and_knows_who_depends_on_it(
    narrow: dict[str, Any], asked: list[str]
) -> None:
    parts = Parts(*STACK)
    await Cycle(parts).run(**narrow)  # type: ignore[arg-type]
    assert (parts.asked, parts.acted) == (asked, asked)
    assert parts.whole == tuple(one.place.name for one in STACK)


NAMED = {"kind": "begin", "replacements": [{"name": "db-1"}, {"id": "without a name"}]}


@pytest.mark.parametrize(
    ("records", "acted"),
    [
        ((NAMED,), ["worker-1", "cron-1", "mail-1"]),
        (({"kind": "restart", "name": "mail-1"},), ["web-1", "web-2", "db-1", "worker-1", "cron-1"]),
        (({"kind": "begin", "replacements": 7},), ["web-1", "web-2", "db-1", "worker-1", "cron-1", "mail-1"]),
    ],
)
async def test_what_could_not_be_ended_is_left_alone_with_its_group_and_nobody_else_is(
    records: tuple[dict[str, Any], ...], acted: list[str]
) -> None:
    parts = Parts(*STACK, warn_on_head_failure="auto")
    looked = await Cycle(parts).run(unended=Unended([JournalFile("tx", records)]))  # type: ignore[arg-type]
    assert parts.acted == acted
    assert all("could not be ended" in one.reason for one in looked.decisions if one.place.name not in acted)


async def test_what_was_made_for_an_update_that_could_not_be_ended_is_left_alone() -> None:
    made = replace(WEB, id="next", name="web-tidegate-next", labels={TRANSACTION: "tx.0"})
    parts = Parts(Decision(made, Action.UPDATE, "due"), warn_on_head_failure="auto")
    await Cycle(parts).run(unended=Unended([JournalFile("tx", ({"kind": "begin"},))]))  # type: ignore[arg-type]
    assert parts.acted == []


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


async def test_the_agent_does_not_begin_its_own_update_once_its_window_has_closed() -> None:
    parts = Parts(Decision(WEB, Action.UPDATE, "a newer release is on its channel"))
    parts.own, parts.closes = WEB.id, NOW
    looked = await look(parts)
    assert (looked.tally.updated, looked.tally.failed) == (0, 0)
    assert looked.waiting(NOW) == {WEB.name: TOMORROW}


def test_what_is_one_transaction_waits_together_until_the_window_opens() -> None:
    opens = {"a": None, "b": Gate(open=False, reason="it has closed", next_open=TOMORROW)}
    members, tally = [due("a", "web"), due("b", "web")], Tally()
    assert held(members, tally, lambda one: opens[one.place.name])
    assert tally.held == {"a": TOMORROW, "b": TOMORROW}
    assert not held(members[:1], Tally(), lambda one: opens[one.place.name])
