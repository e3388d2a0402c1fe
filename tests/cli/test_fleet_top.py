"""`tidegate top`: live on a terminal of its own, through what goes wrong, and once without one."""

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager, answers, on
from tests.support.fleet_world import WEB, World
from tests.support.waiting import wait_for

SOON_S = 60.0
"""It looks again ten times as long after a look as that took, so a loaded machine takes its time."""
_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Screen:
    """A terminal in which `tidegate top` runs."""

    def __init__(self, width: int, height: int, **environ: str) -> None:
        self._main, self._terminal = pty.openpty()
        self.resize(width, height)
        self._before = termios.tcgetattr(self._terminal)
        self._written = bytearray()
        inherited = {name: value for name, value in os.environ.items() if name not in {"LINES", "COLUMNS"}}
        environ = inherited | {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | environ
        self.program = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "top"],
            env=environ,
            start_new_session=True,
            stdin=self._terminal,
            stdout=self._terminal,
            stderr=self._terminal,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def resize(self, width: int, height: int) -> None:
        """Have it another size."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, keys: str) -> None:
        """Write these."""
        os.write(self._main, keys.encode())

    @property
    def written(self) -> str:
        """Everything that the program has written, as it did."""
        return self._written.decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """What is to be seen now."""
        frame = self.written.rpartition("\x1b[H")[2]
        return [_CODES.sub("", line).rstrip() for line in frame.split("\n")]

    def shows(self, text: str, *, limit_s: float = 60) -> None:
        """Wait until this is to be seen."""
        try:
            wait_for(lambda: any(text in line for line in self.lines), text, limit_s=limit_s)
        except AssertionError as error:
            raise AssertionError(f"{text!r} is not in:\n" + "\n".join(self.lines)) from error

    def ends(self, code: int) -> None:
        """AssertionError where it does not end so, and leave the terminal as it was."""
        assert self.program.wait(20) == code, self.written[-2000:]
        wait_for(lambda: self.written.count("\x1b[?1049h") == self.written.count("\x1b[?1049l"), "the first screen")
        assert termios.tcgetattr(self._terminal) == self._before
        assert self.written.rindex("\x1b[?25h") > self.written.rindex("\x1b[?25l"), "the cursor is hidden"
        assert "Traceback" not in self.written

    def close(self) -> None:
        """Take it away."""
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self._terminal)
        self._reading.join(10)
        os.close(self._main)

    def _read(self) -> None:
        while True:
            try:
                self._written += os.read(self._main, 65536)
            except OSError:  # EIO: nobody writes to it any more
                return


@contextmanager
def on_a_screen(width: int = 100, height: int = 30, **environ: str) -> Iterator[Screen]:
    """`tidegate top` until it ends, or the test does."""
    one = Screen(width, height, **environ)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def many(world: World) -> World:
    """With forty hosts more."""
    for at in range(40):
        world.host(f"host{at:02}", {"farm/web": (WEB, "2")})
    return world


@pytest.mark.usefixtures("as_user")
def test_on_a_terminal_the_fleet_is_shown_live_until_q(world: World, run: Run) -> None:
    world.silence()
    with on_a_screen() as screen:
        screen.shows("2 agents online")
        screen.shows("behind    shop@berlin1")
        number = json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"]
        screen.shows(f"  {number}  {WEB} to 2", limit_s=SOON_S)
        screen.shows("0/1  open")
        world.answer()
        screen.shows("0 rollouts under way", limit_s=SOON_S)
        screen.shows("current   shop@berlin1")
        screen.press("q")
        screen.ends(0)


@pytest.mark.usefixtures("as_user", "many")
def test_keys_scroll_and_narrow_it_down() -> None:
    with on_a_screen(80, 20) as screen:
        screen.shows("1 to ")
        screen.press("\x1b[F")
        screen.shows("farm@host39")
        screen.press("\x1b[H")
        screen.shows("behind    autonomy@berlin1")
        screen.press("\x1b[B")
        screen.shows("2 to ")
        screen.press("/host1")
        screen.shows("Clusters with 'host1' (10 of 43)")
        screen.press("q")
        screen.shows("No cluster matches.")
        screen.press("\x7f\r")
        screen.shows("q quit")
        screen.shows("1 to 10 of 10")
        screen.press("\x1b")
        screen.shows("Clusters (43)")
        screen.press("q")
        screen.ends(0)


@pytest.mark.usefixtures("many", "as_user")
def test_no_more_is_asked_of_the_manager_than_fits_and_a_little(manager: FakeManager) -> None:
    with on_a_screen(80, 20) as screen:
        screen.shows("Clusters (43)")
        screen.press("r")
        wait_for(lambda: sum("/overview" in one.path for one in manager.requests) > 1, "it looks again")
        screen.press("q")
        screen.ends(0)
    asked = [int(found[1]) for one in manager.requests if (found := re.search(r"/overview.*limit=(\d+)", one.path))]
    assert max(asked) <= 3 * 20
    assert not any("/targets" in one.path or "/clusters" in one.path for one in manager.requests)


@pytest.mark.usefixtures("as_user", "world")
def test_a_manager_that_is_away_is_shown_and_come_back_to(manager: FakeManager) -> None:
    with on_a_screen() as screen:
        screen.shows("connected")
        manager.faults.append(answers(503))
        screen.press("r")
        screen.shows("reconnecting since ")
        screen.shows("shop@berlin1")
        manager.faults.clear()
        screen.shows("  connected")
        screen.press("q")
        screen.ends(0)


@pytest.mark.usefixtures("as_user", "world")
def test_a_manager_that_is_silent_is_shown_as_one_that_is_away(manager: FakeManager) -> None:
    asked = threading.Event()

    async def silent(*_: Any) -> None:
        asked.set()
        await never.wait()

    never = manager.run(_event())
    with on_a_screen() as screen:
        screen.shows("connected")
        manager.faults.append(on("GET", "/overview", silent))
        screen.press("r")
        screen.shows("reconnecting since ")
        assert asked.is_set()
        manager.faults.clear()
        manager.tell(never.set)
        screen.shows("  connected")
        screen.press("q")
        screen.ends(0)


async def _event() -> asyncio.Event:
    return asyncio.Event()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.usefixtures("as_user", "world", "manager")
def test_however_it_is_ended_the_terminal_is_as_it_was(number: signal.Signals, code: int) -> None:
    with on_a_screen() as screen:
        screen.shows("connected")
        screen.program.send_signal(number)
        screen.ends(code)


@pytest.mark.usefixtures("as_user", "world")
def test_a_token_that_is_revoked_ends_it_and_is_told_below(manager: FakeManager) -> None:
    with on_a_screen() as screen:
        screen.shows("connected")
        manager.tokens.clear()
        screen.press("r")
        screen.ends(4)
        assert "tidegate: The token is not known." in screen.written.rpartition("\x1b[?1049l")[2]


@pytest.mark.usefixtures("as_user", "world", "manager")
def test_a_shell_that_it_is_sent_away_from_has_its_terminal_back_meanwhile() -> None:
    with on_a_screen() as screen:
        screen.shows("connected")
        screen.program.send_signal(signal.SIGTSTP)
        wait_for(lambda: screen.written.count("\x1b[?1049l") == 1, "the first screen")
        wait_for(lambda: termios.tcgetattr(screen._terminal) == screen._before, "the terminal as it was")
        screen.program.send_signal(signal.SIGCONT)
        wait_for(lambda: screen.written.count("\x1b[?1049h") == 2, "the other screen")
        screen.shows("connected")
        screen.press("q")
        screen.ends(0)


@pytest.mark.usefixtures("as_user", "world", "manager")
def test_it_is_drawn_anew_for_another_size() -> None:
    with on_a_screen(100, 30) as screen:
        screen.shows("connected")
        screen.resize(40, 8)
        screen.program.send_signal(signal.SIGWINCH)
        wait_for(lambda: len(screen.lines) == 8 and len(screen.lines[0]) == 40, "a small screen")
        screen.press("q")
        screen.ends(0)


@pytest.mark.usefixtures("as_user", "world", "manager")
def test_without_colours_none_is_written() -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7][;m]")
    with on_a_screen() as screen:
        screen.shows("connected")
        assert coloured.search(screen.written)
    with on_a_screen(NO_COLOR="1") as screen:
        screen.shows("connected")
        assert not coloured.search(screen.written)


def test_without_a_terminal_it_is_printed_once(run: Run) -> None:
    wait_for(lambda: json.loads(run("status", "--json").out)["agents"]["online"] == 2, "both agents are there")
    ended = run("top")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert re.match(r"Tidegate  http://\S+ +connected$", lines[0])
    assert lines[1].startswith("2 agents online  0 offline  4 targets")
    assert any(re.match(r"  behind    autonomy@berlin1  1  orchestrator: 2 is out$", line) for line in lines)
    assert "\x1b" not in ended.out


def test_for_programs_it_is_the_managers_documents(run: Run) -> None:
    found = json.loads(run("top", "--json").out)
    assert (found["overview"]["total"], found["status"]["targets"], found["rollouts"]) == (3, 4, [])


def test_a_manager_that_is_away_at_first_is_exit_code_3(run: Run, manager: FakeManager) -> None:
    manager.faults.append(answers(503))
    assert run("top").code == 3


def test_who_may_look_may_watch(run: Run, as_user: Callable[[str], None]) -> None:
    as_user("viewer")
    assert run("top").code == 0
