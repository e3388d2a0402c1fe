"""Assignments are carried out one transaction after another, and whatever becomes of one is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.assigned import AGENT, NEW, NOW, OLD, PINNED, assignment, item

from tidegate.agent.decide import Decision
from tidegate.agent.hooks import HookOutcome
from tidegate.agent.link.carrying import Carrying
from tidegate.agent.link.desk import Desk
from tidegate.agent.link.entry import Stage
from tidegate.agent.link.log import LinkLog
from tidegate.agent.outcome import Ending, NotEndedError, Result
from tidegate.agent.signatures import UnverifiedError
from tidegate.agent.store.journal import JournalFile
from tidegate.agent.survey import Place, Survey
from tidegate.agent.unended import Unended
from tidegate.domain.assignment import NO_TARGET
from tidegate.domain.policy import PolicyDefaults
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.domain.windows import Gate
from tidegate.engine.errors import EngineUnavailableError, PullError, PullLimitedError
from tidegate.engine.model import Image
from tidegate.protocol.events import Inventory

RETRY = timedelta(minutes=1)
COMMITTED = Result(Ending.COMMITTED, "healthy")
RUNS = Image("image-old", (), (f"web@{OLD}",), "linux", "amd64", "", 1, {})


def place(service: str, *, image: str = "web", **labels: str) -> Place:
    given = {"com.docker.compose.project": "shop", "com.docker.compose.service": service}
    given |= {f"tidegate.{key}": value for key, value in labels.items()}
    name = f"shop-{service}-1"
    (chosen,) = select([Candidate(name, name, image, "running", given)], Filters(), PolicyDefaults())
    return Place(name, name, image, RUNS.id, "running", given, chosen)


class Bench:
    """An agent whose transactions end as `results` say, and a manager that assigns."""

    def __init__(self, directory: Path, *places: Place) -> None:
        self.now = NOW
        self.places: Sequence[Place] = places or (place("web"),)
        self.moved: list[Sequence[Decision]] = []
        self.handed: list[tuple[str, list[str]]] = []
        self.results: list[Result | Exception] = []
        self.admits: list[Exception] = []
        self.pulls: list[str | Exception] = []
        self.hooks: list[HookOutcome] = []
        self.gate: Gate | None = None
        self.can_look = True
        self.open: list[JournalFile] = []
        self.log = LinkLog(directory)
        if not self.log.exists:
            self.log.begin(PINNED)
        self.desk = Desk(self.log, lambda: self.now)
        self.desk.agent = AGENT
        parts: Any = SimpleNamespace(
            watchtower=None,
            clock=lambda: self.now,
            own="shop-agent-1",
            successor=SimpleNamespace(hand_over=self._hand_over),
            surveyor=lambda: SimpleNamespace(survey=self._survey),
            decider=lambda **_: SimpleNamespace(closed=lambda *_: self.gate),
            preparer=SimpleNamespace(admit=self._admit, pull=self._pull),
            updater=SimpleNamespace(
                update=self._update,
                ask_hooks=self._ask,
                tell_failure=lambda *_: None,
                tell_unverified=lambda *_: None,
            ),
            state=SimpleNamespace(
                journal=SimpleNamespace(peek=lambda: self.open),
                previous=SimpleNamespace(of=lambda *_: []),
                quarantine=SimpleNamespace(list=list),
            ),
        )
        self.carrying = Carrying(parts, self.desk, RETRY, self._tell_inventory)

    def assign(self, *targets: str, **more: Any) -> None:
        seq = self.log.cursor
        for number, target in enumerate(targets, 1):
            it = assignment(**{**more, "target": f"shop/{target}"})
            self.desk.take([item(seq + number, it)])

    async def go(self, unended: Unended | None = None) -> None:
        await self.carrying.carry_out(unended or Unended())

    async def _tell_inventory(self) -> bool:
        if self.can_look:
            self.desk.tell(Inventory(self.now, ()))
        return self.can_look

    def kinds(self) -> list[str]:
        return [event["kind"] for _, event in self.log._held.queue]

    def said(self, service: str = "web") -> list[str]:
        return [
            str(event.get("outcome", event["kind"]))
            for _, event in self.log._held.queue
            if event.get("target") == f"shop/{service}"
        ]

    def reason(self) -> str:
        return str(self.log._held.queue[-1][1]["reason"])

    async def _hand_over(self, decision: Decision, assignments: Sequence[str]) -> Ending:
        """It could not be prepared, where no result is given; else its transaction tells of it."""
        self.handed.append((decision.place.service, list(assignments)))
        if not self.results:
            return Ending.FAILED
        result = self.results.pop(0)
        assert isinstance(result, Result)
        self.desk.ended(assignments, result, [])
        return result.ending

    async def _survey(self) -> Survey:
        return Survey(tuple(self.places), {RUNS.id: RUNS})

    async def _admit(self, _: Any) -> None:
        if self.admits:
            raise self.admits.pop(0)

    async def _pull(self, *_: Any) -> str:
        answer = self.pulls.pop(0) if self.pulls else "image-new"
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _ask(self, _: Any) -> HookOutcome:
        return self.hooks.pop(0) if self.hooks else HookOutcome.DONE

    async def _update(self, moving: Sequence[Decision], _: Any, *, assignments: Sequence[str]) -> None:
        self.moved.append(moving)
        result = self.results.pop(0) if self.results else COMMITTED
        if isinstance(result, Exception):
            raise result
        self.desk.ended(assignments, result, [])


def names(moved: Sequence[Sequence[Decision]]) -> list[list[str]]:
    return [[one.place.service for one in each] for each in moved]


async def test_it_moves_to_the_digest_with_the_managers_patience_and_tells_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.assign("web", health_timeout_s=7.5)
    await bench.go()
    ((decision,),) = bench.moved
    assert (decision.latest_digest, decision.running_digest) == (NEW, OLD)
    assert decision.place.policy is not None
    assert decision.place.policy.health_timeout_s == 7.5
    assert (bench.said(), bench.carrying.next_due()) == (["begun", "healthy"], None)


async def test_a_group_moves_in_one_transaction_and_others_in_theirs_what_is_depended_on_first(tmp_path: Path) -> None:
    group = {"group": "both"}
    bench = Bench(tmp_path, place("a", **{"depends-on": "z"}), place("b", **group), place("c", **group), place("z"))
    # what shares a tag moves together too, so each follows its own
    bench.places = [_following(one, f"web:{one.service}") for one in bench.places]
    bench.assign("a", "b", "c", "z")
    await bench.go()
    moved = names(bench.moved)
    assert sorted(map(sorted, moved)) == [["a"], ["b", "c"], ["z"]]
    assert moved.index(["z"]) < moved.index(["a"])


async def test_what_shares_a_tag_and_waits_at_the_same_moment_moves_together(tmp_path: Path) -> None:
    bench = Bench(tmp_path, place("a"), place("b"), place("c"))
    bench.assign("a", "b")
    await bench.go()
    assert names(bench.moved) == [["a", "b"]]


async def test_what_runs_already_is_healthy_without_a_transaction(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.assign("web", digest=OLD)
    await bench.go()
    assert (bench.moved, bench.said()) == ([], ["healthy"])


async def test_another_name_for_what_runs_replaces_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.pulls = [RUNS.id]
    bench.assign("web")
    await bench.go()
    assert (bench.moved, bench.said()) == ([], ["begun", "healthy"])


@pytest.mark.parametrize(
    ("trouble", "said", "later"),
    [
        ({"admits": [PullLimitedError("it wants to be left alone")]}, ["busy"], ["busy", "begun", "healthy"]),
        ({"admits": [UnverifiedError("it is not signed")]}, ["refusal"], ["refusal"]),
        ({"pulls": [PullError("it is not there")]}, ["begun", "failed"], ["begun", "failed"]),
        ({"pulls": [PullLimitedError("left alone")]}, ["begun", "failed"], ["begun", "failed"]),
        ({"hooks": [HookOutcome.BUSY]}, ["busy"], ["busy", "begun", "healthy"]),
        ({"hooks": [HookOutcome.FAILED]}, ["failed"], ["failed"]),
        ({"results": [Result(Ending.INCONCLUSIVE, "no probe")]}, ["begun", "inconclusive"], ["begun", "inconclusive"]),
    ],
)
async def test_what_becomes_of_it_is_told_and_what_may_work_later_is_tried_again(
    tmp_path: Path, trouble: dict[str, Any], said: list[str], later: list[str]
) -> None:
    bench = Bench(tmp_path)
    for name, value in trouble.items():
        setattr(bench, name, list(value))
    bench.assign("web")
    await bench.go()
    assert bench.said() == said
    await bench.go()
    assert bench.said() == said  # not before its time
    bench.now += RETRY
    await bench.go()
    assert bench.said() == later


async def test_a_group_that_is_interrupted_is_carried_out_again_and_only_its_end_is_told(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, place("b", group="both"), place("c", group="both"))
    bench.results = [Result(Ending.INTERRUPTED, "the engine was stopped")]
    bench.assign("b", "c")
    await bench.go()
    assert (len(bench.moved), bench.carrying.next_due()) == (1, NOW + RETRY)
    bench.now += RETRY
    await bench.go()
    assert names(bench.moved) == [["b", "c"], ["b", "c"]]
    assert bench.said("b") == bench.said("c") == ["begun", "healthy"]


async def test_what_was_interrupted_is_not_begun_again_once_it_has_expired(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.results = [Result(Ending.INTERRUPTED, "the host was stopped")]
    bench.assign("web")
    await bench.go()
    bench.now += timedelta(minutes=20)
    await bench.go()
    assert (bench.said(), len(bench.moved)) == (["begun", "refused"], 1)


async def test_a_closed_window_is_asked_but_on_the_way_back_and_by_force(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.gate = Gate(open=False, reason="the window is closed")
    bench.assign("web")
    await bench.go()
    assert (bench.said(), bench.reason()) == (["busy"], "the window is closed")
    bench.hooks = [HookOutcome.BUSY, HookOutcome.BUSY]
    bench.assign("web", generation=2, forced=True)
    await bench.go()
    bench.assign("web", generation=3, back=True)
    await bench.go()
    assert bench.said() == ["busy", "withdrawn", "begun", "healthy", "begun", "healthy"]
    assert bench.hooks == [HookOutcome.BUSY]  # the way back asked none


async def test_a_hook_that_fails_stops_also_what_is_forced(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.hooks = [HookOutcome.FAILED]
    bench.assign("web", forced=True)
    await bench.go()
    assert (bench.moved, bench.said()) == ([], ["failed"])


async def test_what_waited_until_it_expired_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.hooks = [HookOutcome.BUSY]
    bench.assign("web")
    await bench.go()
    bench.now += timedelta(minutes=20)
    await bench.go()
    assert (bench.said(), bench.moved) == (["busy", "refused"], [])


async def test_what_has_expired_is_not_begun_though_it_is_given_up_only_once_clocks_cannot_be_why(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.hooks = [HookOutcome.BUSY]
    bench.assign("web")
    await bench.go()
    bench.now += timedelta(minutes=10)
    await bench.go()
    assert (bench.said(), bench.moved, bench.carrying.next_due()) == (["busy"], [], bench.now + RETRY)
    bench.now += timedelta(minutes=5)
    await bench.go()
    assert bench.said() == ["busy", "refused"]


async def test_what_is_monitored_only_or_not_there_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, place("web", **{"monitor-only": "true"}))
    bench.assign("web", "gone")
    await bench.go()
    assert (bench.said(), bench.said("gone"), bench.moved) == (["refused"], ["refusal"], [])


async def test_the_manager_hears_what_a_target_follows_before_it_hears_that_this_is_why_it_was_refused(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, place("web", image="other"))
    bench.assign("web")
    await bench.go()
    assert (bench.kinds(), bench.moved) == (["inventory", "refusal"], [])


@pytest.mark.parametrize("tag", ["", "latest"])
async def test_the_manager_hears_that_a_target_is_gone_before_it_hears_that_this_is_why_it_was_refused(
    tmp_path: Path, tag: str
) -> None:
    bench = Bench(tmp_path, place("db"))
    bench.assign("web", tag=tag)
    await bench.go()
    assert (bench.kinds(), bench.moved) == (["inventory", "refusal"], [])
    assert bench.reason().endswith(NO_TARGET)


@pytest.mark.parametrize("image", ["web:2-hotfix", f"web@{OLD}"])
async def test_what_waits_while_its_target_comes_to_follow_another_tag_is_refused(tmp_path: Path, image: str) -> None:
    bench = Bench(tmp_path)
    bench.assign("web")
    bench.hooks = [HookOutcome.BUSY]
    await bench.go()
    bench.places = [place("web", image=image)]
    bench.now += RETRY
    await bench.go()
    assert (bench.kinds(), bench.said(), bench.moved) == (["report", "inventory", "report"], ["busy", "refused"], [])
    assert bench.reason().startswith("shop/web follows ")


async def test_a_target_that_is_made_anew_meanwhile_from_the_same_tag_gets_what_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.assign("web")
    bench.hooks = [HookOutcome.BUSY]
    await bench.go()
    bench.places = [place("web", image="web:latest")]
    bench.now += RETRY
    await bench.go()
    assert bench.said() == ["busy", "begun", "healthy"]


def labelled(image: str, **labels: str) -> Place:
    """A container with these labels of our own, or, by `original`, the one that names what it is from."""
    names = {"original": "com.centurylinklabs.zodiac.original-image"}
    one = place("web", image=image)
    given = {**one.labels, **{names.get(key, f"tidegate.{key}"): value for key, value in labels.items()}}
    (chosen,) = select([Candidate(one.id, one.name, image, "running", given)], Filters(), PolicyDefaults())
    return replace(one, labels=given, selection=chosen)


ANOTHER = {
    "another tag": place("web", image="web:2-hotfix"),
    "no tag": place("web", image="web"),
    "a digest": place("web", image=f"web@{OLD}"),
    "a tag and a digest": place("web", image=f"web:stable@{OLD}"),
    "another tag, pinned": labelled(f"web@{OLD}", follows="web:2-hotfix"),
    "another tag, by its label": labelled("web:stable", original="web:2-hotfix"),
}


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("now", ANOTHER.values(), ids=ANOTHER)
async def test_what_is_of_another_tag_than_its_target_follows_is_not_begun_and_the_manager_hears_first_what_that_is(
    tmp_path: Path, now: Place, *, back: bool
) -> None:
    bench = Bench(tmp_path, now)
    bench.assign("web", tag="stable", back=back)
    await bench.go()
    assert (bench.kinds(), bench.said(), bench.moved) == (["inventory", "report"], ["refused"], [])
    assert bench.reason().endswith("and followed docker.io/library/web:stable as the manager knew it")


THE_SAME = {
    "its image": (place("web", image="docker.io/library/web:stable"), "stable"),
    "its image without a tag": (place("web", image="web"), "latest"),
    "pinned by the agent": (labelled(f"web@{OLD}", follows="web:stable"), "stable"),
    "pinned by the agent, with a label from before": (
        labelled(f"web@{OLD}", follows="web:stable", original="web:1"),
        "stable",
    ),
    "by its label": (labelled(f"web@{OLD}", original="web:stable"), "stable"),
    "a manager that does not say": (place("web", image="web:2-hotfix"), ""),
    "a manager that does not say, of a digest": (place("web", image=f"web@{OLD}"), ""),
}


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize(("now", "tag"), THE_SAME.values(), ids=THE_SAME)
async def test_what_is_of_the_tag_that_its_target_follows_is_carried_out(
    tmp_path: Path, now: Place, tag: str, *, back: bool
) -> None:
    bench = Bench(tmp_path, now)
    bench.assign("web", tag=tag, back=back)
    await bench.go()
    assert bench.said() == ["begun", "healthy"]


async def test_what_is_of_another_repository_is_refused_as_before_whatever_its_tag(tmp_path: Path) -> None:
    bench = Bench(tmp_path, place("web", image="other:stable"))
    bench.assign("web", tag="stable")
    await bench.go()
    assert (bench.kinds(), bench.moved) == (["inventory", "refusal"], [])


async def test_what_waits_is_held_to_its_tag_after_a_restart_too(tmp_path: Path) -> None:
    before = Bench(tmp_path)
    before.assign("web", tag="latest")
    before.hooks = [HookOutcome.BUSY]
    await before.go()
    after = Bench(tmp_path, place("web", image="web:2-hotfix"))
    await after.go()
    assert (after.kinds()[1:], after.said(), after.moved) == (["inventory", "report"], ["busy", "refused"], [])


async def test_nothing_is_refused_before_the_manager_could_be_told_what_is_followed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, place("web", image="web:2-hotfix"))
    bench.assign("web", tag="stable")
    bench.can_look = False
    await bench.go()
    assert (bench.kinds(), bench.moved, bench.carrying.next_due()) == ([], [], bench.now + RETRY)
    bench.can_look = True
    bench.now += RETRY
    await bench.go()
    assert bench.kinds() == ["inventory", "report"]


async def test_a_target_whose_update_could_not_be_ended_has_to_wait(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.assign("web")
    record = {"kind": "begin", "replacements": [{"name": "shop-web-1"}]}
    await bench.go(Unended([JournalFile("tx", (record,))]))
    assert (bench.said(), bench.moved) == (["busy"], [])


@pytest.mark.parametrize("results", [[], [Result(Ending.ROLLED_BACK, "it fell", blame=True)]])
async def test_a_release_of_the_agent_itself_is_handed_over_and_told_once_where_that_came_to_nothing(
    tmp_path: Path, results: list[Result | Exception]
) -> None:
    bench = Bench(tmp_path, place("agent"))
    bench.results = results
    bench.assign("agent")
    await bench.go()
    assert (bench.handed, bench.moved) == ([("agent", ["shop/agent-1"])], [])
    assert bench.said("agent") == ["begun", "failed"]


async def test_what_could_not_be_ended_is_left_to_its_journal_and_not_begun_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.results = [NotEndedError("the engine refused")]
    bench.assign("web")
    await bench.go()
    bench.open = [JournalFile("tx", ({"kind": "begin", "assignments": ["shop/web-1"]},))]
    bench.now += RETRY
    await bench.go()
    assert (len(bench.moved), bench.said()) == (1, ["begun"])


async def test_what_could_not_be_ended_has_its_next_turn_later_and_not_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.results = [NotEndedError("the engine refused")]
    bench.assign("web")
    await bench.go()
    assert bench.carrying.next_due() == NOW + RETRY
    bench.open = [JournalFile("tx", ({"kind": "begin", "assignments": ["shop/web-1"]},))]
    bench.now += RETRY
    await bench.go()
    assert bench.carrying.next_due() == NOW + 2 * RETRY


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.BEGUN])
async def test_what_could_not_be_noted_is_put_off_however_far_it_was(tmp_path: Path, stage: Stage) -> None:
    bench = Bench(tmp_path)
    bench.assign("web")
    if stage is Stage.BEGUN:
        bench.desk.begin(bench.desk.entries(Stage.WAITING))
    assert bench.carrying.next_due() == NOW
    bench.carrying.put_off()
    assert bench.carrying.next_due() == NOW + RETRY
    await bench.go()
    bench.now += RETRY
    await bench.go()
    assert bench.said()[-1] == "healthy"


async def test_what_the_engine_could_not_be_asked_for_is_begun_again_when_it_is_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.results = [EngineUnavailableError("it does not answer")]
    bench.assign("web")
    with pytest.raises(EngineUnavailableError):
        await bench.go()
    assert bench.carrying.next_due() == NOW + RETRY
    bench.now += RETRY
    await bench.go()
    assert (len(bench.moved), bench.said()) == (2, ["begun", "healthy"])


def _following(one: Place, image: str) -> Place:
    (chosen,) = select([Candidate(one.id, one.name, image, "running", one.labels)], Filters(), PolicyDefaults())
    return Place(one.id, one.name, image, one.image_id, one.state, one.labels, chosen)
