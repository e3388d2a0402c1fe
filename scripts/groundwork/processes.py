"""Children that notice their parent's end, and signals that are passed on to them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork.paths import GroundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

SCRIPTS = Path(__file__).resolve().parents[1]


def spawn(module: str, arguments: list[str], *, own_session: bool = False) -> tuple[subprocess.Popen[bytes], int]:
    """Start one of our modules; its first argument is the read end of a pipe, whose other end is returned.

    That other end closes when this process ends, for whatever reason: so the child can tell.
    """
    theirs, ours = os.pipe()
    # Not by PYTHONPATH, which a command run by the child would inherit.
    start = f"import sys, runpy; sys.path[0] = {str(SCRIPTS)!r}; runpy.run_module({module!r}, run_name='__main__')"
    child = subprocess.Popen(
        [sys.executable, "-c", start, str(theirs), *arguments], pass_fds=[theirs], start_new_session=own_session
    )
    os.close(theirs)
    return child, ours


def start(command: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a person's command. GroundError if there is no such program."""
    try:
        return subprocess.Popen(command, env=env)
    except OSError as error:
        raise GroundError(f"{command[0]}: {error.strerror}") from error


def exit_status(status: int) -> int:
    """Say how a child ended, as a shell does: 128 + N when signal N ended it."""
    return status if status >= 0 else 128 - status


def forward_to(pid: int) -> None:
    """From now on pass SIGINT, SIGTERM and SIGHUP on to `pid`, but a terminal's Ctrl-C, which it gets anyway."""

    def forward(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and _in_terminals_foreground():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)


def _in_terminals_foreground() -> bool:
    with contextlib.suppress(OSError), Path("/dev/tty").open("rb") as terminal:
        return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False
