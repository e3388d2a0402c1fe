"""The state directory when the process is killed, the disk fills up or nothing may be written."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.agent.state import History, Journal, Quarantine, QuarantineEntry, State, StateError
from tidegate.agent.store import files

WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from tidegate.agent.state import State
state = State.at(Path(sys.argv[1]))
assert state.lock.try_acquire()
state.journal.begin("t1", {"n": 0})
for number in range(1, 1_000_000):
    state.journal.append("t1", {"n": number, "filler": "x" * 500})
    print(number, flush=True)
"""

FILL_UP = """
import resource, signal, sys
from pathlib import Path
from tidegate.agent.state import History, StateError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
history = History(Path(sys.argv[1]))
try:
    for number in range(1000):
        history.append({"n": number})
        print(number, flush=True)
except StateError as error:
    print(error, file=sys.stderr)
"""


def test_a_killed_agent_loses_no_step_it_had_written_and_gives_up_its_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITE_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdout is not None
        written = [int(agent.stdout.readline()) for _ in range(30)]
        assert not State.at(tmp_path).lock.try_acquire()
        agent.send_signal(signal.SIGKILL)
        written += [int(line) for line in agent.stdout if line.endswith("\n")]
    state = State.at(tmp_path)
    assert state.lock.try_acquire()
    (found,) = state.journal.open_transactions()
    numbers = [record["n"] for record in found.records]
    assert numbers == list(range(len(numbers)))
    assert numbers[-1] >= written[-1]
    state.lock.release()


def test_a_write_cut_short_by_a_limit_leaves_every_whole_line_and_no_torn_one(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILL_UP, str(tmp_path)], capture_output=True, text=True, check=True)
    acknowledged = [int(line) for line in done.stdout.split()]
    assert str(tmp_path / "history.jsonl") in done.stderr
    assert (tmp_path / "history.jsonl").read_bytes().endswith(b"}\n")
    assert [record["n"] for record in History(tmp_path).tail(10_000)] == acknowledged


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)


def entry(digest: str) -> QuarantineEntry:
    return QuarantineEntry("acme/web", digest, "shop", "web", "sick", "2026-05-01T00:00:00+00:00")


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"journal/reserve.*disk is full\. Free some space"):
        Journal(tmp_path / "journal").begin("t1", {})


def test_what_is_begun_on_a_disk_that_fills_up_is_written_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, fsync = Journal(tmp_path), os.fsync
    journal.begin("t1", {})

    def refuse_while_room_is_put_by(descriptor: int) -> None:
        if (tmp_path / "reserve").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_while_room_is_put_by)
    journal.append("t1", {"n": 1})
    assert [record.get("n") for record in journal.peek()[0].records] == [None, 1]


@pytest.mark.usefixtures("full_disk")
def test_a_torn_line_on_a_full_disk_does_not_keep_a_transaction_from_being_ended(tmp_path: Path) -> None:
    (tmp_path / "t1.jsonl").write_bytes(b'{"kind": "begin"}\n{"kind": "st')
    (found,) = Journal(tmp_path).open_transactions()
    assert found.records == ({"kind": "begin"},)


def test_a_full_disk_leaves_a_table_as_it_was(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add(entry("sha256:1"))
    request.getfixturevalue("full_disk")
    with pytest.raises(StateError, match="disk is full"):
        quarantine.add(entry("sha256:2"))
    assert [one.digest for one in quarantine.list()] == ["sha256:1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edit.lock", "quarantine.json"]


def test_a_damaged_table_on_a_full_disk_is_read_as_far_as_it_goes_and_not_lost(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add(entry("sha256:1"))
    path = tmp_path / "quarantine.json"
    damaged = path.read_bytes()[:-2]
    path.write_bytes(damaged)
    request.getfixturevalue("full_disk")
    assert [one.digest for one in quarantine.list()] == ["sha256:1"]
    assert path.read_bytes() == damaged


def test_a_directory_that_may_not_be_written_is_told_before_anything_is_done() -> None:
    # even root may not create anything in this file system
    with pytest.raises(StateError, match="Let TIDEGATE_STATE name a directory that the agent may"):
        State.at(Path("/sys/tidegate")).check_writable()


def test_a_state_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="Check the directory that TIDEGATE_STATE names"):
        State.at(tmp_path / "state").check_writable()


def test_an_edit_waits_for_another_process_that_edits(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tidegate.agent.state import Quarantine, named;"
        "print('ready', flush=True); Quarantine(Path(sys.argv[1])).release(named('all'))"
    )
    Quarantine(tmp_path).add(entry("sha256:1"))
    with (tmp_path / "edit.lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as person:
            assert person.stdout is not None
            person.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                person.wait(0.3)
            fcntl.flock(held, fcntl.LOCK_UN)
            assert person.wait(30) == 0
    assert Quarantine(tmp_path).list() == []


def test_a_crash_between_writing_and_renaming_leaves_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    files.write(path, b"newer")
    assert path.read_bytes() == b"newer"
