"""What the link keeps is on disk before it counts, survives a kill at any byte, and tells every event once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.support.assigned import NEW, NOW, PINNED, assignment

from tidegate.agent.link.entry import Entry, Stage
from tidegate.agent.link.log import Change, LinkLog
from tidegate.agent.store.files import StateError
from tidegate.domain.rollout_apply import Outcome
from tidegate.protocol.events import Health, Inventory, InventoryTarget, Running, Sighting


def sighting(tag: str) -> Sighting:
    return Sighting(NOW, "docker.io/library/web", tag, NEW)


def inventory(image: str) -> Inventory:
    target = InventoryTarget("shop/web", image, "docker.io/library/web", "1", NEW, Running.RUNNING, Health.NONE)
    return Inventory(NOW, (target,))


@pytest.fixture
def log(tmp_path: Path) -> LinkLog:
    made = LinkLog(tmp_path)
    made.begin(PINNED)
    return made


def tell(log: LinkLog, *tags: str) -> None:
    for tag in tags:
        log.commit(Change(events=(sighting(tag),)))


def tags(log: LinkLog, **how: Any) -> list[str]:
    batch = log.batch(**how)
    return [str(event.get("tag")) for event in batch.events] if batch else []


def again(log: LinkLog, **how: Any) -> LinkLog:
    """The same file, as the next process reads it."""
    return LinkLog(log._path.parent, **how)


def test_what_was_written_is_there_after_a_restart(log: LinkLog) -> None:
    entry = Entry(assignment(forced=True, health_timeout_s=9.5), Stage.BEGUN, Outcome.BEGUN, "why", begun_at=NOW)
    log.commit(Change(cursor=4, entries=(entry,), events=(sighting("1"),)))
    log.commit(Change(manager_key="another"))
    found = again(log)
    assert (found.cursor, found.manager_key, dict(found.entries)) == (4, "another", {entry.it.id: entry})
    assert (tags(found), found.queued, found.oldest) == (["1"], 1, "2026-11-25T12:00:00Z")


def test_an_assignment_as_an_earlier_version_wrote_it_can_be_read(log: LinkLog) -> None:
    entry = Entry(assignment(), Stage.BEGUN, Outcome.BEGUN, begun_at=NOW)
    record = {key: value for key, value in entry.record().items() if key != "withdrawn"}
    with log._path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"entries": [record]}) + "\n")
    assert dict(again(log).entries) == {entry.it.id: entry}


def test_a_kill_amid_a_write_leaves_the_change_before_it_and_nothing_of_the_one_that_was_cut_off(log: LinkLog) -> None:
    tell(log, "1")
    whole = log._path.read_bytes()
    log.commit(Change(cursor=9, entries=(Entry(assignment()),), events=(sighting("2"),)))
    line = log._path.read_bytes()[len(whole) :]
    for cut in range(len(line) - 1):
        log._path.write_bytes(whole + line[:cut])
        found = again(log)
        assert (found.cursor, dict(found.entries), tags(found)) == (0, {}, ["1"]), cut
    log._path.write_bytes(whole + line)
    assert (again(log).cursor, len(again(log).entries), tags(again(log))) == (9, 1, ["1", "2"])


def test_events_are_numbered_for_ever_and_told_until_the_manager_has_them(log: LinkLog) -> None:
    tell(log, "1", "2", "3")
    batch = log.batch(most=2)
    assert batch is not None
    assert (batch.first, batch.last, batch.skipped, tags(log, most=2)) == (1, 2, False, ["1", "2"])
    log.acknowledged(batch.stream, 2)
    tell(log, "4")
    found = again(log)
    second = found.batch()
    assert second is not None
    assert (second.stream, second.first, tags(found)) == (batch.stream, 3, ["3", "4"])


def test_an_answer_for_another_log_or_from_before_changes_nothing(log: LinkLog) -> None:
    tell(log, "1", "2")
    stream = log.batch().stream  # type: ignore[union-attr]
    log.acknowledged("another", 2)
    assert tags(log) == ["1", "2"]
    log.acknowledged(stream, 1)
    log.acknowledged(stream, 0)
    assert tags(log) == ["2"]


def test_a_manager_that_has_more_than_was_ever_sent_is_told_what_is_left_by_another_name(log: LinkLog) -> None:
    tell(log, "1", "2")
    before = log.batch()
    assert before is not None
    log.acknowledged(before.stream, 40)
    after = again(log).batch()
    assert after is not None
    assert (after.stream != before.stream, after.first, tags(log)) == (True, 1, ["1", "2"])


def test_before_any_is_sent_a_manager_that_knows_more_than_was_found_is_told_what_is_new_by_another_name(
    log: LinkLog,
) -> None:
    tell(log, "1", "2", "3")
    found = again(log)
    before = found.batch()
    assert before is not None
    tell(found, "new")  # and the manager has had 3 others since the backup was made
    found.known_before(before.stream, 6)
    after = again(found).batch()
    assert after is not None
    assert (after.stream != before.stream, after.first, tags(found)) == (True, 1, ["new"])


@pytest.mark.parametrize("applied", [0, 2, 3])
def test_before_any_is_sent_a_manager_that_knows_no_more_than_was_found_is_told_the_rest(
    log: LinkLog, applied: int
) -> None:
    tell(log, "1", "2", "3")
    found = again(log)
    before = found.batch()
    assert before is not None
    tell(found, "4")
    found.known_before(before.stream, applied)
    after = found.batch()
    assert after is not None
    assert (after.stream, after.first, tags(found)) == (before.stream, applied + 1, ["1", "2", "3", "4"][applied:])


def test_what_another_process_has_written_meanwhile_may_have_been_sent_by_it(log: LinkLog) -> None:
    tell(log, "1")
    found = again(log)
    assert tags(found) == ["1"]
    tell(log, "2", "3")
    stream = log.batch().stream  # type: ignore[union-attr]
    tell(found, "4")
    found.known_before(stream, 3)
    assert (found.batch().stream, tags(found)) == (stream, ["4"])  # type: ignore[union-attr]


def test_events_that_are_too_many_are_lost_from_their_beginning_and_said_to_be(tmp_path: Path) -> None:
    log = LinkLog(tmp_path, most=3)
    log.begin(PINNED)
    tell(log, "1", "2", "3", "4", "5")
    batch = again(log, most=3).batch()
    assert batch is not None
    assert (batch.first, batch.skipped, tags(log)) == (3, True, ["3", "4", "5"])


def test_a_batch_is_no_larger_than_a_request_may_be(log: LinkLog) -> None:
    large = Inventory(NOW, tuple(inventory("x" * 4000).targets) * 150)
    for number in range(4):
        log.commit(Change(events=(large, sighting(str(number)))))
        for _, event in log._held.queue:
            event["kind"] = "kept"  # or only the last would be
    batch = log.batch()
    assert batch is not None
    assert len(json.dumps(batch.events)) <= 1024 * 1024
    assert len(batch.events) == 2


def test_only_the_last_inventory_is_told_and_no_number_is_missing(log: LinkLog) -> None:
    log.commit(Change(events=(inventory("a"),)))
    tell(log, "1")
    log.commit(Change(events=(inventory("b"),)))
    batch = log.batch()
    assert batch is not None
    assert [event["kind"] for event in batch.events] == ["superseded", "sighting", "inventory"]
    assert "targets" not in batch.events[0]


def test_where_there_are_too_many_inventories_of_no_use_go_first_and_what_they_stood_between_is_told(
    tmp_path: Path,
) -> None:
    log = LinkLog(tmp_path, most=6)
    log.begin(PINNED)
    tell(log, "1", "2")
    for image in "abc":
        log.commit(Change(events=(inventory(image),)))
    tell(log, "3")
    log.commit(Change(events=(inventory("d"),)))
    told = []
    for _ in range(3):
        batch = again(log, most=6).batch()
        assert batch is not None
        told.append((batch.first, batch.skipped, [event.get("tag", event["kind"]) for event in batch.events]))
        log.acknowledged(batch.stream, batch.last)
        if log.batch() is None:
            break
    assert told == [(1, False, ["1", "2"]), (6, True, ["3", "inventory"])]


def test_where_there_are_too_many_that_are_of_use_the_oldest_go(tmp_path: Path) -> None:
    log = LinkLog(tmp_path, most=3)
    log.begin(PINNED)
    log.commit(Change(events=(inventory("a"), inventory("b"))))
    tell(log, "1", "2", "3")
    batch = again(log, most=3).batch()
    assert batch is not None
    assert (batch.first, batch.skipped, tags(log)) == (3, True, ["1", "2", "3"])


def test_what_the_manager_does_not_take_is_given_up_and_the_rest_goes_on(log: LinkLog) -> None:
    tell(log, "1", "2")
    log.drop(1)
    batch = again(log).batch()
    assert batch is not None
    assert (batch.first, batch.skipped, tags(log)) == (2, True, ["2"])


def test_the_file_does_not_grow_for_ever_and_forgets_no_targets_last_assignment(log: LinkLog) -> None:
    first = Entry(assignment(1, target="shop/db"), Stage.ENDED, Outcome.HEALTHY)
    log.commit(Change(entries=(first,)))
    for generation in range(1, 700):
        entry = Entry(assignment(generation), Stage.ENDED, Outcome.HEALTHY)
        log.commit(Change(entries=(entry,), events=(sighting(str(generation)),)))
        log.acknowledged(log.batch().stream, generation)  # type: ignore[union-attr]
    assert log._path.stat().st_size < 600_000
    found = again(log)
    assert "shop/db-1" in found.entries
    assert "shop/web-699" in found.entries
    assert len(found.entries) < 650


def test_a_damaged_log_keeps_what_can_be_read_and_goes_on_by_another_name(log: LinkLog) -> None:
    log.commit(Change(cursor=3, entries=(Entry(assignment()),), events=(sighting("1"),)))
    before = log.batch()
    data = log._path.read_bytes() + b"\x00garbage\n"
    log._path.write_bytes(data)
    tail = again(log)
    assert (tail.cursor, len(tail.entries), tags(tail)) == (3, 1, ["1"])
    assert before is not None
    assert tail.batch().stream != before.stream  # type: ignore[union-attr]
    assert [path.read_bytes() for path in log._path.parent.glob("*.broken-*")] == [data]


def test_who_does_not_hold_the_state_writes_nothing_and_who_does_again_reads_what_was_written_meanwhile(
    tmp_path: Path,
) -> None:
    mine = [True]
    log = LinkLog(tmp_path, may_write=lambda: mine[0])
    log.begin(PINNED)
    tell(log, "1")
    mine[0] = False
    with pytest.raises(StateError, match="another agent"):
        tell(log, "2")
    tell(again(log), "3")
    mine[0] = True
    tell(log, "4")
    batch = again(log).batch()
    assert batch is not None
    assert ([event["tag"] for event in batch.events], batch.last) == (["1", "3", "4"], 3)
    assert tags(log) == ["1", "3", "4"]


def test_an_agent_that_has_not_enrolled_has_nothing_to_tell(tmp_path: Path) -> None:
    log = LinkLog(tmp_path)
    assert (log.exists, log.batch(), log.cursor, dict(log.entries)) == (False, None, 0, {})
    with pytest.raises(StateError, match="has not enrolled"):
        tell(log, "1")


def test_a_disk_that_is_full_changes_nothing(log: LinkLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise StateError("its disk is full")

    monkeypatch.setattr("tidegate.agent.link.log.append", full)
    with pytest.raises(StateError):
        tell(log, "1")
    monkeypatch.undo()
    tell(log, "2")
    assert tags(log) == ["2"]


def test_what_is_on_disk_counts_and_is_sent_though_there_is_no_room_to_shorten_the_file(
    log: LinkLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[object] = []
    attempts: list[object] = []
    log.on_event = lambda: woken.append(1)
    log._compact_at = 1
    monkeypatch.setattr("tidegate.agent.link.log.write", _full(attempts))
    with capture_logs() as logs:
        tell(log, "1", "2", "3")
    assert (tags(log), tags(again(log)), len(woken)) == (["1", "2", "3"], ["1", "2", "3"], 3)
    assert (len(attempts), [entry["log_level"] for entry in logs]) == (1, ["warning"])
    log.acknowledged(log.batch().stream, 2)  # type: ignore[union-attr]
    assert tags(again(log)) == ["3"]


def test_too_many_events_on_a_disk_without_room_are_numbered_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LinkLog(tmp_path, most=2)
    log.begin(PINNED)
    with monkeypatch.context() as patched:
        patched.setattr("tidegate.agent.link.log.write", _full([]))
        tell(log, "1", "2", "3")
    assert tags(log) == ["2", "3"]
    tell(log, "4")
    for one in (log, again(log)):
        batch = one.batch()
        assert batch is not None
        assert (batch.first, batch.skipped, tags(one)) == (3, True, ["3", "4"])


def test_a_log_that_could_not_be_renewed_goes_on_as_it_is_on_disk(
    log: LinkLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(log, "1", "2")
    before = log.batch()
    with monkeypatch.context() as patched:
        patched.setattr("tidegate.agent.link.log.write", _full([]))
        with pytest.raises(StateError):
            log.renew()
    tell(log, "3")
    after = log.batch()
    assert before is not None
    assert after is not None
    assert (after.stream, tags(log)) == (before.stream, ["1", "2", "3"])
    assert again(log).batch() == after


def _full(attempts: list[object]) -> Callable[..., None]:
    def write(*_: object) -> None:
        attempts.append(1)
        raise StateError("its disk is full")

    return write
