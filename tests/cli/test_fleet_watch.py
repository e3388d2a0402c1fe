"""`tidegate rollout watch`: to the rollout's end, through what goes wrong on the way."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from aiohttp import web
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager, answers, on, times
from tests.support.fleet_world import WEB, World
from tests.support.waiting import wait_for

from tidegate.cli.fleet import watch
from tidegate.cli.fleet.ear import Pace
from tidegate.cli.fleet.model import read_rollout
from tidegate.cli.fleet.rollout import facts
from tidegate.cli.fleet.sse import FeedEvent
from tidegate.cli.fleet.watch import concerns
from tidegate.cli.fleet.watch_view import state_line, wave_state

NEVER = 3600.0


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`pace(look_s=..., ...)`: by default nothing but the stream makes it look."""

    def change(**seconds: float) -> None:
        usual = {"look_s": NEVER, "look_beside_stream_s": NEVER, "stream_again_s": NEVER, "patience_s": 60.0}
        monkeypatch.setattr(watch, "USUAL", Pace(**(usual | seconds)))

    change()
    return change


@contextmanager
def once(manager: FakeManager, asked: str, then: Callable[[], object]) -> Iterator[None]:
    """Do something when this was asked for the first time from now on."""
    before = len(manager.requests)

    def wait() -> None:
        wait_for(lambda: any(asked in str(one) for one in manager.requests[before:]), asked)
        then()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


@pytest.fixture
def number(run: Run, world: World) -> str:
    """A rollout in two waves whose agents are silent."""
    world.silence()
    return str(json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"])


def test_without_a_terminal_there_is_a_line_for_each_change(
    run: Run, world: World, manager: FakeManager, number: str, pace: object
) -> None:
    assert pace
    with once(manager, "GET /events", world.answer):
        ended = run("rollout", "watch", number)
    lines = ended.out.splitlines()
    assert ended.code == 0
    assert lines[0].startswith(f"rollout {number}: running; wave 1 of 2; 1 offered, 1 waiting")
    assert lines[-1] == f"rollout {number}: completed; wave 2 of 2; 2 healthy"
    assert len(lines) == len(set(lines))


def test_a_rollout_that_fails_is_exit_code_5_with_the_targets_reason(
    run: Run, world: World, manager: FakeManager, number: str, pace: object
) -> None:
    assert pace
    world.bad(world.digest(WEB, "2"), "never healthy")
    with once(manager, "GET /events", world.answer):
        ended = run("rollout", "watch", number)
    assert ended.code == 5
    assert "shop@berlin1/web: failed: never healthy" in ended.out


def test_a_rollout_that_was_aborted_is_exit_code_1(run: Run, number: str) -> None:
    run("rollout", "abort", number)
    assert run("rollout", "watch", number).code == 1


def test_a_rollout_that_has_ended_is_told_at_once(run: Run, world: World, number: str, manager: FakeManager) -> None:
    world.answer()
    assert run("rollout", "watch", number).code == 0
    assert not any("/events" in str(one) for one in manager.requests)


def test_without_a_stream_it_looks_from_time_to_time(
    run: Run, world: World, manager: FakeManager, number: str, pace: Callable[..., None]
) -> None:
    pace(look_s=0.05)
    manager.streams = False
    with once(manager, "GET /events", world.answer):
        assert run("rollout", "watch", number).code == 0


def test_a_stream_that_broke_off_is_taken_up_where_it_was(
    run: Run, world: World, manager: FakeManager, number: str, pace: Callable[..., None]
) -> None:
    pace(stream_again_s=0.05)
    manager.faults.append(on("GET", "/events", times(1, _short_stream)))
    with once(manager, "GET /events", world.answer):
        assert run("rollout", "watch", number).code == 0
    resumed = [one.headers.get("Last-Event-ID") for one in manager.requests if "/events" in one.path]
    assert resumed[:2] == [None, "0"]


async def _short_stream(_: web.Request, __: object) -> web.StreamResponse | None:
    return web.Response(text='id: 0\nevent: x\ndata: {"subject": "agent x"}\n\n', content_type="text/event-stream")


def test_a_manager_that_is_restarted_meanwhile_is_waited_for(
    run: Run, world: World, manager: FakeManager, number: str, pace: Callable[..., None]
) -> None:
    pace(look_s=0.05)
    watched = on("GET", f"/rollouts/{number}", times(4, answers(503)))

    def restart() -> None:
        manager.faults.append(watched)
        world.answer()

    with once(manager, "GET /events", restart):
        ended = run("rollout", "watch", number)
    assert ended.code == 0
    assert ended.err.count("Trying again.") == 1


def test_a_manager_that_does_not_come_back_is_given_up(
    run: Run, manager: FakeManager, number: str, pace: Callable[..., None]
) -> None:
    pace(look_s=0.05, patience_s=0.2)
    with once(manager, "GET /events", lambda: manager.faults.append(answers(503))):
        assert run("rollout", "watch", number).code == 3


def test_for_programs_each_change_is_a_line_of_json(
    run: Run, world: World, manager: FakeManager, number: str, pace: object
) -> None:
    assert pace
    with once(manager, "GET /events", world.answer):
        ended = run("rollout", "watch", number, "--json")
    states = [json.loads(line)["state"] for line in ended.out.splitlines()]
    assert (states[0], states[-1]) == ("running", "completed")


def test_a_rollout_is_begun_and_watched_in_one_command(run: Run) -> None:
    ended = run("rollout", "start", WEB, "2", "--yes", "--watch")
    assert ended.code == 0
    assert "completed; wave 2 of 2; 2 healthy" in ended.out


def test_a_rollout_that_is_not_there_is_exit_code_1(run: Run) -> None:
    assert run("rollout", "watch", "999").code == 1


def program(*arguments: str, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tidegate", *arguments], **more)  # type: ignore[call-overload,no-any-return]


@pytest.mark.usefixtures("as_user")
def test_ctrl_c_ends_the_watching_and_leaves_the_rollout_alone(world: World, manager: FakeManager, number: str) -> None:
    with program("rollout", "watch", number, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert b"running" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=20)
    assert watching.returncode == 130
    assert f"Rollout {number} goes on" in err.decode()
    assert "Traceback" not in err.decode()
    assert manager.state.rollouts[int(number)].state == "running"
    world.answer()
    assert manager.state.rollouts[int(number)].state == "completed"


@pytest.mark.usefixtures("as_user")
def test_on_a_terminal_there_is_a_bar_for_each_wave(
    world: World, manager: FakeManager, number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    main, terminal = pty.openpty()
    with program("rollout", "watch", number, stdout=terminal, stderr=terminal, stdin=terminal) as watching:
        os.close(terminal)
        with once(manager, "GET /events", world.answer):
            shown = _all(main)
    os.close(main)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert watching.returncode == 0
    assert re.search(r"wave 1 .+ 0/1 +open +1 offered", text)
    assert re.search(r"wave 2 .+ 1/1 +passed +1 healthy", text)
    assert "Ctrl-C ends the watching" in text


def _all(terminal: int) -> str:
    shown = bytearray()
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # EIO: nobody writes to it any more
            return shown.decode()


@pytest.mark.parametrize(
    ("data", "about"),
    [
        ('{"subject": "rollout 7"}', True),
        ('{"subject": "rollout 77"}', False),
        ('{"subject": "target autonomy@berlin1/web"}', True),
        ("not json", True),
    ],
)
def test_an_event_of_another_rollout_is_no_reason_to_look(data: str, about: bool) -> None:
    assert concerns(FeedEvent("1", "x", data), 7) is about


def test_what_a_rollout_waits_for_is_said_where_its_state_is() -> None:
    held = 'frozen until 2026-12-27 08:00 UTC by "year end": accounts are closed'
    one = read_rollout({"id": 7, "state": "scheduled", "reason": "approved by bob", "waits_for": held})
    assert state_line(one) == f"scheduled: {held}"
    assert ("waits", held) in facts(one)


def test_a_wave_that_soaks_says_until_when() -> None:
    counts = {"healthy": 1}
    one = read_rollout(
        {
            "id": 7,
            "state": "running",
            "wave": 1,
            "waves": 2,
            "passed_at": "2026-11-25T12:00:00Z",
            "wake_at": "2026-11-25T12:05:00Z",
            "counts": counts,
            "waves_detail": [{"wave": 1, "counts": counts}, {"wave": 2, "counts": {"waiting": 1}}],
        }
    )
    assert state_line(one) == "running, soaking until 2026-11-25 12:05:00 UTC"
    assert [wave_state(one, wave) for wave in one.detail] == ["soaking", "to come"]
