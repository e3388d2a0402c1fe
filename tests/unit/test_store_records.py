"""Journal, history and lock: what is on disk, and what a crash does to it."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tidegate.agent.state import History, Journal, State, StateError, StateLock

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal", clock=lambda: NOW)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# journal


def test_a_transaction_is_open_until_it_is_closed(journal: Journal) -> None:
    journal.begin("t1", {"kind": "begin"})
    journal.append("t1", {"kind": "step", "doing": "start"})
    (found,) = journal.open_transactions()
    assert found.txid == "t1"
    assert found.records == ({"kind": "begin"}, {"kind": "step", "doing": "start"})
    journal.close("t1")
    assert journal.open_transactions() == []


def test_a_record_and_its_file_are_on_disk_before_the_step_is_taken(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    journal.begin("t0", {})  # puts room by for all that follow
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink()))
    journal.begin("t1", {})
    assert synced == [tmp_path / "journal" / "t1.jsonl", tmp_path / "journal"]
    synced.clear()
    journal.append("t1", {})
    assert synced == [tmp_path / "journal" / "t1.jsonl"]


def test_a_transaction_is_known_as_long_as_its_journal_is_kept(journal: Journal) -> None:
    journal.begin("t1", {})
    assert (journal.knows("t1"), journal.knows("t2")) == (True, False)
    journal.close("t1")
    assert journal.knows("t1")


def test_open_transactions_come_in_the_order_they_were_last_written_to(journal: Journal, tmp_path: Path) -> None:
    for number, txid in enumerate(("b", "a", "c")):
        journal.begin(txid, {"kind": "begin"})
        os.utime(tmp_path / "journal" / f"{txid}.jsonl", ns=(number, number))
    assert [found.txid for found in journal.open_transactions()] == ["b", "a", "c"]


def test_a_journal_that_goes_away_as_another_process_looks_is_left_out(journal: Journal, tmp_path: Path) -> None:
    journal.begin("t1", {"kind": "begin"})
    (tmp_path / "journal" / "t2.jsonl").symlink_to("nowhere")  # listed, and gone when it is asked for
    assert [one.txid for one in journal.peek()] == ["t1"]


def test_a_journal_nobody_wrote_has_no_transactions(journal: Journal) -> None:
    assert journal.open_transactions() == []


def test_closed_journals_are_kept_for_people_up_to_a_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path, keep=2)
    for txid in ("t1", "t2", "t3"):
        journal.begin(txid, {})
        os.utime(tmp_path / f"{txid}.jsonl", ns=(int(txid[1]), int(txid[1])))
        journal.close(txid)
    assert sorted(path.name for path in (tmp_path / "done").iterdir()) == ["t2.jsonl", "t3.jsonl"]


def test_closing_twice_is_no_error(journal: Journal) -> None:
    journal.begin("t1", {})
    journal.close("t1")
    journal.close("t1")


def test_an_id_is_not_used_for_two_transactions(journal: Journal) -> None:
    journal.begin("t1", {})
    with pytest.raises(StateError, match="t1 was begun before"):
        journal.begin("t1", {})


def test_a_step_of_a_transaction_whose_journal_was_removed_is_refused(journal: Journal) -> None:
    with pytest.raises(StateError, match="somebody removed the journal of transaction t1"):
        journal.append("t1", {})


@pytest.mark.parametrize("txid", ["../t1", "", ".t1", "a/b", "t1\n"])
def test_an_id_that_would_leave_the_directory_is_refused(journal: Journal, txid: str) -> None:
    with pytest.raises(ValueError, match="is not a transaction's id"):
        journal.begin(txid, {})


def test_what_is_kept_beside_a_transaction_is_there_until_it_is_closed(journal: Journal, tmp_path: Path) -> None:
    for txid in ("t1", "t2"):
        journal.begin(txid, {})
        journal.attach(txid, "0", txid.encode())
    journal.close("t1")
    assert (journal.attached("t1", "0"), journal.attached("t2", "0")) == (None, b"t2")
    assert [path.name for path in tmp_path.glob("**/*.tar*")] == ["t2.0.tar"]


def test_what_is_kept_beside_a_journal_that_was_removed_by_hand_goes_too(journal: Journal, tmp_path: Path) -> None:
    for txid in ("t1", "t2"):
        journal.begin(txid, {})
        journal.attach(txid, "0", b"hush")
    (tmp_path / "journal" / "t1.jsonl").unlink()
    journal.open_transactions()
    assert (journal.attached("t1", "0"), journal.attached("t2", "0")) == (None, b"hush")


def test_what_is_kept_beside_a_transaction_is_readable_by_nobody_else(journal: Journal, tmp_path: Path) -> None:
    journal.begin("t1", {})
    journal.attach("t1", "0", b"hush")
    assert mode(tmp_path / "journal" / "t1.0.tar") == 0o600
    assert [found.txid for found in journal.open_transactions()] == ["t1"]


def test_journals_are_readable_by_nobody_else(journal: Journal, tmp_path: Path) -> None:
    journal.begin("t1", {"request": {"Env": ["TOKEN=x"]}})
    assert mode(tmp_path / "journal") == 0o700
    assert mode(tmp_path / "journal" / "t1.jsonl") == 0o600
    journal.close("t1")
    assert mode(tmp_path / "journal" / "done") == 0o700


@pytest.mark.parametrize("torn", [b'{"kind": "st', b"\x00\x00\x00", b'{"kind": "step"'])
def test_a_line_that_a_crash_left_unfinished_is_dropped_and_told(journal: Journal, tmp_path: Path, torn: bytes) -> None:
    journal.begin("t1", {"kind": "begin"})
    path = tmp_path / "journal" / "t1.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    with capture_logs() as logs:
        (found,) = journal.open_transactions()
    assert found.records == ({"kind": "begin"},)
    assert [log["event"] for log in logs] == ["a crash left the last line unfinished; it was dropped, the rest is kept"]
    journal.append("t1", {"kind": "step"})
    assert journal.open_transactions()[0].records == ({"kind": "begin"}, {"kind": "step"})


def test_a_journal_damaged_in_its_midst_is_set_aside_and_the_rest_kept(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "journal" / "t1.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"n": 1}\nrubbish\n{"n": 3}\n')
    with capture_logs() as logs:
        assert journal.open_transactions()[0].records == ({"n": 1}, {"n": 3})
    assert [log["set_aside"] for log in logs] == [f"{path}.broken-20260501T120000.000000"]
    assert Path(f"{path}.broken-20260501T120000.000000").read_bytes() == b'{"n": 1}\nrubbish\n{"n": 3}\n'


def test_a_journal_without_its_beginning_is_set_aside_and_the_others_go_on(journal: Journal, tmp_path: Path) -> None:
    journal.begin("t2", {"n": 1})
    (tmp_path / "journal" / "t1.jsonl").write_bytes(b'rubbish\n{"n": 2}\n')
    with capture_logs() as logs:
        assert [found.txid for found in journal.open_transactions()] == ["t2"]
    assert "cannot be recovered" in logs[-1]["event"]
    assert not (tmp_path / "journal" / "t1.jsonl").exists()


@pytest.mark.parametrize("content", [b"", b'{"kind": "beg'])
def test_a_transaction_cut_off_before_it_began_is_over(journal: Journal, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "t1.jsonl").write_bytes(content)
    assert journal.open_transactions() == []
    assert journal.open_transactions() == []
    assert not (tmp_path / "journal" / "t1.jsonl").exists()


# history


def test_the_history_gives_its_last_records_newest_last(tmp_path: Path) -> None:
    history = History(tmp_path)
    for number in range(5):
        history.append({"n": number})
    assert [record["n"] for record in History(tmp_path).tail(2)] == [3, 4]


def test_the_history_of_one_service_is_selected_by_cluster_and_service(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.append({"cluster": "shop", "service": "web"})
    history.append({"cluster": "shop", "service": "db"})
    history.append({"cluster": "blog", "service": "web"})
    history.append({"kind": "started"})
    assert history.tail(9, cluster="shop", service="web") == [{"cluster": "shop", "service": "web"}]
    assert len(history.tail(9, cluster="shop")) == 2
    assert len(history.tail(9)) == 4


def test_the_history_stays_within_its_size_and_keeps_one_older_file(tmp_path: Path) -> None:
    history = History(tmp_path, max_bytes=100)
    for number in range(100):
        history.append({"n": number})
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 250
    assert [record["n"] for record in history.tail(9)] == list(range(91, 100))


def test_the_history_is_readable_by_nobody_else(tmp_path: Path) -> None:
    History(tmp_path / "state").append({"n": 1})
    assert mode(tmp_path / "state" / "history.jsonl") == 0o600
    assert mode(tmp_path / "state") == 0o700


def test_a_torn_line_of_the_history_is_dropped_by_its_writer_and_passed_over_by_readers(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2')
    assert History(tmp_path).tail(9) == [{"n": 1}]
    assert path.read_bytes() == b'{"n": 1}\n{"n": 2'
    History(tmp_path).append({"n": 3})
    assert path.read_bytes() == b'{"n": 1}\n{"n": 3}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_history_is_set_aside_and_its_whole_lines_kept(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(b'{"n": 1}\n\xff\xfe\n{"n": 2}\n')
    history = History(tmp_path)
    history.append({"n": 3})
    assert history.tail(9) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert len(list(tmp_path.glob("history.jsonl.broken-*"))) == 1


def test_a_last_line_that_an_editor_left_without_its_end_is_kept(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(b'{"n": 1}')
    history = History(tmp_path)
    history.append({"n": 2})
    assert history.tail(9) == [{"n": 1}, {"n": 2}]


# lock and directory


def test_a_state_directory_has_one_writer(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


async def test_a_successor_waits_until_the_lock_is_let_go(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.try_acquire()
    with pytest.raises(StateError, match=f"process {os.getpid()}.*Stop it"):
        await second.acquire(timeout_s=0.1)
    first.release()
    await second.acquire(timeout_s=5)
    assert second.held
    second.release()


def test_a_state_that_was_never_written_reads_as_empty_and_creates_nothing(tmp_path: Path) -> None:
    state = State.at(tmp_path / "none")
    assert state.history.tail(5) == []
    assert state.quarantine.list() == []
    assert state.previous.list() == []
    assert state.journal.open_transactions() == []
    assert not state.directory.exists()


def test_a_writable_directory_is_checked_without_leaving_anything(tmp_path: Path) -> None:
    State.at(tmp_path / "state").check_writable()
    assert list((tmp_path / "state").iterdir()) == []
