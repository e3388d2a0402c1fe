"""What the manager says is judged before it counts, nothing is taken twice, and every end is told once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.assigned import AGENT, MANAGER, NEW, NOW, OTHER, PINNED, assignment, item, withdraw

from tidegate.agent.link.desk import Desk
from tidegate.agent.link.entry import Entry, Stage
from tidegate.agent.link.log import LinkLog
from tidegate.agent.outcome import Ending, Result
from tidegate.domain.assignment import Assignment
from tidegate.domain.course import MOST_STEPS, StepTook
from tidegate.protocol import keys
from tidegate.protocol.messages import Item
from tidegate.protocol.signed import Pin, seal, write_document

ALLOWED = ("web", "docker.io/library/db")


class Office:
    """A desk with its log, and what has been said to the manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now: datetime = NOW
        self.log = LinkLog(directory)
        if not self.log.exists:
            self.log.begin(PINNED)
        self.desk = Desk(self.log, lambda: self.now, allowed=ALLOWED)
        self.desk.agent = AGENT
        self._seq = self.log.cursor

    def told(self, *documents: Any, key: keys.Key = MANAGER) -> bool:
        items = []
        for document in documents:
            self._seq += 1
            items.append(document if isinstance(document, Item) else item(self._seq, document, key))
        return self.desk.take(items)

    def said(self) -> list[tuple[Any, ...]]:
        """Outcomes, or refusals, with their generation; the manager has them then."""
        batch = self.log.batch()
        if batch is None:
            return []
        self.log.acknowledged(batch.stream, batch.last)
        return [(one.get("outcome", one["kind"]), one["generation"]) for one in batch.events]

    def last(self) -> dict[str, Any]:
        return dict(self.log._held.queue[-1][1])

    def stages(self) -> dict[int, str]:
        return {one.it.generation: str(one.stage) for one in self.log.entries.values()}

    def waiting(self) -> list[Entry]:
        return self.desk.entries(Stage.WAITING)

    def again(self) -> Office:
        """After a kill."""
        return Office(self.directory)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def moved(*names: str) -> Any:
    """Prepared replacements of the containers `shop-NAME-1`."""
    return [
        SimpleNamespace(
            replacement=SimpleNamespace(name=f"shop-{name}-1", cluster="shop", service=name, follows=False, parent="")
        )
        for name in names
    ]


def test_an_assignment_waits_until_its_turn_and_is_on_disk_with_its_number(office: Office) -> None:
    assert office.told(assignment())
    found = office.again()
    assert ([one.it for one in found.waiting()], found.log.cursor) == ([assignment()], 1)
    assert not found.told(item(1, assignment(2)))  # that number was told already
    assert found.stages() == {1: "waiting"}


@pytest.mark.parametrize(
    ("it", "why"),
    [
        (assignment(repository="ghcr.io/evil/x"), "not among the repositories"),
        (assignment(expires_at=NOW - timedelta(minutes=6)), "it expired"),
        (assignment(issued_at=NOW + timedelta(minutes=6)), "still to come"),
    ],
)
def test_what_is_stale_or_not_let_in_is_refused_and_that_is_told(office: Office, it: Assignment, why: str) -> None:
    office.told(it)
    assert office.stages() == {}
    assert why in office.last()["reason"]
    assert (office.said(), office.again().log.cursor) == ([("refusal", 1)], 1)


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (item(2**40, assignment(), keys.load_key(keys.make_key())), "signature"),
        (Item(2**40, item(3, withdraw()).document, item(3, withdraw()).signature), "sent as number 1099511627776"),
        (item(2**40, assignment(agent="agent-2")), "it is for agent agent-2"),
    ],
)
def test_only_the_managers_own_word_moves_on_what_the_manager_is_asked_for(
    office: Office, forged: Item, why: str
) -> None:
    assert not office.told(forged)
    assert not office.told(forged)
    assert why in office.last()["reason"]
    assert [kind for kind, _ in office.said()] == ["refusal"]  # once, however often it comes
    assert office.again().log.cursor == 0
    assert office.desk.take([item(1, assignment())])


def test_what_has_no_number_is_taken_until_the_manager_has_signed_numbers(office: Office) -> None:
    earlier = Item(1, write_document(assignment()), seal(MANAGER, write_document(assignment())))
    assert office.desk.take([earlier])
    assert office.desk.take([item(2, withdraw())])
    found = office.again()
    assert not found.desk.take([Item(3, earlier.document, earlier.signature)])
    assert "no number" in found.last()["reason"]


def test_what_another_key_has_signed_is_refused_and_told_with_what_it_says(office: Office) -> None:
    office.told(assignment(7), key=keys.load_key(keys.make_key()))
    assert (office.last()["target"], office.last()["generation"]) == ("shop/web", 7)
    assert "signature" in office.last()["reason"]
    office.told(Item(2, "no document at all", "c2lnbmF0dXJl"))
    assert (office.last()["target"], office.last()["generation"]) == ("", 0)
    assert office.stages() == {}


def test_an_older_assignment_is_not_taken_again_nor_another_by_the_same_number(office: Office) -> None:
    office.told(assignment(5))
    office.said()
    office.told(assignment(4), assignment(5, id="x", digest=OTHER))
    assert office.said() == [("refusal", 4), ("refusal", 5)]
    assert office.stages() == {5: "waiting"}


def test_the_same_assignment_told_again_is_answered_with_what_is_known(office: Office) -> None:
    office.told(assignment())
    office.told(assignment())
    assert office.said() == []  # nothing is known yet
    office.desk.begin(office.waiting())
    office.desk.ended([assignment().id], Result(Ending.COMMITTED, "healthy"), moved("web"))
    assert office.said() == [("begun", 1), ("healthy", 1)]
    found = office.again()
    found.told(assignment())
    assert (found.said(), found.stages()) == ([("healthy", 1)], {1: "ended"})


def test_a_later_assignment_takes_the_place_of_one_that_waits(office: Office) -> None:
    office.told(assignment(1), assignment(2, digest=OTHER))
    assert office.stages() == {1: "ended", 2: "waiting"}
    assert office.said() == [("withdrawn", 1)]


def test_what_is_withdrawn_before_it_began_is_not_begun(office: Office) -> None:
    office.told(assignment(1), withdraw(1))
    assert (office.stages(), office.said()) == ({1: "ended"}, [("withdrawn", 1)])


def test_what_has_begun_is_not_cut_off_by_a_withdrawal(office: Office) -> None:
    office.told(assignment(1))
    office.desk.begin(office.waiting())
    office.told(withdraw(1), withdraw(9), withdraw(1, target="shop/db"))
    assert (office.stages(), office.said()) == ({1: "begun"}, [("begun", 1)])


def test_a_new_key_counts_at_once_and_after_a_restart_and_the_old_one_does_not_any_more(office: Office) -> None:
    new = keys.load_key(keys.make_key())
    office.told(Pin(AGENT, keys.public_text(new), NOW))
    found = office.again()
    found.told(assignment(1))
    assert found.said() == [("refusal", 1)]
    found.told(assignment(1), key=new)
    assert found.stages() == {1: "waiting"}


def test_a_key_or_a_withdrawal_for_another_agent_is_refused(office: Office) -> None:
    office.told(assignment(1))
    office.told(Pin("agent-2", keys.public_text(keys.load_key(keys.make_key())), NOW))
    office.told(item(3, withdraw(1).__class__("agent-2", "shop/web", 1, NOW)))
    assert (office.log.manager_key, office.stages()) == (PINNED, {1: "waiting"})
    assert office.said() == [("refusal", 0), ("refusal", 1)]


def test_a_document_of_a_later_version_is_passed_over(office: Office) -> None:
    office.told('{"kind":"novelty"}')
    assert (office.log.cursor, office.said()) == (1, [])


def test_busy_is_told_once_for_each_reason(office: Office) -> None:
    office.told(assignment())
    for reason in ("its hook", "its hook", "its window"):
        office.desk.busy(office.waiting(), reason)
    assert office.said() == [("busy", 1), ("busy", 1)]
    assert office.again().stages() == {1: "waiting"}


def test_what_was_begun_and_has_touched_nothing_waits_again_and_is_not_told_again(office: Office) -> None:
    office.told(assignment(1), assignment(1, target="shop/db", repository="docker.io/library/db"))
    office.desk.begin(office.waiting())
    assert office.said() == [("begun", 1), ("begun", 1)]
    found = office.again()
    found.desk.reopen({"shop/web-1"})
    assert [one.it.target for one in found.waiting()] == ["shop/db"]
    found.desk.begin(found.waiting())
    assert found.said() == []


CUT_OFF = Result(Ending.INTERRUPTED, "the host was stopped")


@pytest.mark.parametrize("back", [False, True])
def test_what_was_interrupted_waits_again_without_a_word_and_only_its_end_is_told(office: Office, back: bool) -> None:
    office.told(assignment(back=back))
    for _ in range(2):
        office.desk.begin(office.waiting())
        found = office.again()
        for _ in range(2):  # and so it is where the journal could not be closed
            found.desk.ended([assignment().id], CUT_OFF, moved("web"))
        assert found.stages() == {1: "waiting"}
        office = found.again()
    office.desk.begin(office.waiting())
    office.desk.ended([assignment().id], Result(Ending.COMMITTED, "healthy"), moved("web"))
    assert office.said() == [("begun", 1), ("healthy", 1)]


def test_what_was_withdrawn_meanwhile_is_not_begun_again_once_it_was_interrupted(office: Office) -> None:
    office.told(assignment(1))
    office.desk.begin(office.waiting())
    office.told(withdraw(1))
    found = office.again()
    found.desk.ended([assignment().id], CUT_OFF, moved("web"))
    assert (found.stages(), found.said()) == ({1: "ended"}, [("begun", 1), ("withdrawn", 1)])


def test_what_was_withdrawn_before_it_touched_anything_is_not_begun_again_after_a_kill(office: Office) -> None:
    office.told(assignment(1))
    office.desk.begin(office.waiting())
    office.told(withdraw(1))
    found = office.again()
    found.desk.reopen(())
    assert (found.stages(), found.said()) == ({1: "ended"}, [("begun", 1), ("withdrawn", 1)])


def test_what_was_interrupted_leaves_its_place_to_what_came_later(office: Office) -> None:
    office.told(assignment(1))
    office.desk.begin(office.waiting())
    office.told(assignment(2, digest=OTHER))
    office.desk.ended([assignment().id], CUT_OFF, moved("web"))
    assert (office.stages(), office.said()) == ({1: "ended", 2: "waiting"}, [("begun", 1), ("withdrawn", 1)])


@pytest.mark.parametrize(
    ("ending", "blame", "outcome"),
    [
        (Ending.COMMITTED, False, "healthy"),
        (Ending.ROLLED_BACK, True, "failed"),
        (Ending.FAILED, False, "failed"),
        (Ending.INCONCLUSIVE, False, "inconclusive"),
        (Ending.GAVE_WAY, False, "inconclusive"),
    ],
)
def test_how_a_transaction_ended_is_told_once_with_its_time(
    office: Office, ending: Ending, blame: bool, outcome: str
) -> None:
    office.told(assignment())
    office.desk.begin(office.waiting())
    office.now += timedelta(seconds=12.5)
    for _ in range(2):
        office.desk.ended([assignment().id, "of another agent"], Result(ending, "so it is", blame), moved("web"))
    said = office.last()
    assert (said["reason"], said["blame"], said["duration_s"], said["rollout"]) == ("so it is", blame, 12.5, "17")
    assert office.said() == [("begun", 1), (outcome, 1)]
    assert office.again().stages() == {1: "ended"}


def test_of_very_many_steps_the_last_are_told(office: Office) -> None:
    office.told(assignment())
    office.desk.begin(office.waiting())
    took = [StepTook("prove", 6.0, "shop-web-1"), StepTook("prove", 2.0, "shop-db-1"), StepTook("bake", 30.0)]
    ended = Result(Ending.COMMITTED, "healthy", course=(*took, *[StepTook("drain", 1.0, "shop-web-1")] * MOST_STEPS))
    office.desk.ended([assignment().id], ended, moved("web", "db"))
    told = office.last()["steps"]
    assert (len(told), {one["container"] for one in told}) == (MOST_STEPS, {"shop-web-1"})


def test_of_a_target_only_its_own_steps_are_told(office: Office) -> None:
    office.told(assignment())
    office.desk.begin(office.waiting())
    took = StepTook("prove", 6.0, "shop-web-1"), StepTook("prove", 2.0, "shop-db-1", back=True), StepTook("bake", 30.0)
    office.desk.ended([assignment().id], Result(Ending.COMMITTED, "healthy", course=took), moved("web", "db"))
    assert office.last()["steps"] == [
        {"step": "prove", "took_s": 6.0, "container": "shop-web-1", "back": False},
        {"step": "bake", "took_s": 30.0, "container": "", "back": False},
    ]


def test_what_leaves_nothing_serving_is_told_at_once_and_its_end_is_not_told_again(office: Office) -> None:
    office.told(assignment())
    office.desk.begin(office.waiting())
    for _ in range(2):
        office.desk.not_put_back([assignment().id, "of another agent"], "the folder is gone")
    assert (office.last()["reason"], office.last()["blame"]) == ("the folder is gone", False)
    office.again().desk.ended([assignment().id], Result(Ending.FAILED, "it was made anew"), moved("web"))
    assert office.said() == [("begun", 1), ("failed", 1)]


def test_of_what_moved_together_only_the_culprit_is_blamed(office: Office) -> None:
    office.told(assignment(1), assignment(1, target="shop/db", repository="docker.io/library/db"))
    office.desk.begin(office.waiting())
    result = Result(Ending.ROLLED_BACK, "db fell", blame=True, culprit="shop-db-1")
    office.desk.ended(["shop/web-1", "shop/db-1"], result, moved("web", "db"))
    batch = office.log.batch()
    assert batch is not None
    ends = {one["target"]: (one["outcome"], one["blame"]) for one in batch.events}
    assert ends == {"shop/web": ("failed", False), "shop/db": ("failed", True)}


def test_its_turn_has_come_too_late_or_for_another_repository(office: Office) -> None:
    office.told(assignment(1))
    (entry,) = office.waiting()
    assert office.desk.objection(entry.it, {"shop/web": "docker.io/library/web"}) is None
    assert "follows" in (office.desk.objection(entry.it, {"shop/web": "docker.io/library/other"}) or "")
    assert "no target" in (office.desk.objection(entry.it, {}) or "")
    office.now += timedelta(minutes=16)
    assert "expired" in (office.desk.objection(entry.it, {"shop/web": "docker.io/library/web"}) or "")
    office.desk.refuse(entry, "too late")
    assert (office.said(), office.stages()) == ([("refusal", 1)], {1: "ended"})


def test_the_digest_a_target_was_last_moved_to_is_known(office: Office) -> None:
    office.told(assignment(1))
    office.desk.begin(office.waiting())
    assert office.desk.assigned() == {}
    office.desk.ended(["shop/web-1"], Result(Ending.COMMITTED, "healthy"), moved("web"))
    assert office.desk.assigned() == {"shop/web": NEW}
