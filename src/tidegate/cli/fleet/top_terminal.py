"""The terminal of `tidegate top`: its other screen and its keys, and as it was before in every case."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tidegate.cli.fleet.top_keys import Keys

_ESCAPE_S: Final = 0.05
"""After an Escape that begins a sequence the rest of it comes at once."""
_AT_ONCE: Final = 1024
_ENDS: Final = (signal.SIGTERM, signal.SIGHUP)
_CLOSED: Final = (OSError, termios.error)
"""What is raised where the terminal itself has gone."""


class Terminal:
    """A context manager that owns the terminal. `press` is told of keys, `resized` of another size.

    `end` is told with which exit code to end: a signal came, or the terminal has gone.
    """

    def __init__(
        self, console: Console, press: Callable[[str], None], resized: Callable[[], None], end: Callable[[int], None]
    ) -> None:
        self._console, self._press, self._resized, self._end = console, press, resized, end
        self._keys = Keys()
        self._loop = asyncio.get_running_loop()
        self._fd = sys.stdin.fileno()
        self._before: list[Any] = []
        self._live: Live

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._fd)
        for number in _ENDS:
            self._loop.add_signal_handler(number, self._end, 128 + number)
        self._loop.add_signal_handler(signal.SIGWINCH, self._resized)
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        for number in (*_ENDS, signal.SIGWINCH, signal.SIGTSTP):
            self._loop.remove_signal_handler(number)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        return self._console.size

    @property
    def plain(self) -> bool:
        """Whether it has few letters."""
        return self._console.options.ascii_only

    def show(self, lines: Sequence[Text]) -> None:
        """Draw these in place of what is there."""
        try:
            self._live.update(Group(*lines), refresh=True)
        except OSError:
            self._end(128 + signal.SIGHUP)

    def _take(self) -> None:
        tty.setcbreak(self._fd, termios.TCSANOW)
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self._loop.add_reader(self._fd, self._read)

    def _leave(self) -> None:
        self._loop.remove_reader(self._fd)
        with suppress(*_CLOSED):
            self._live.stop()
        with suppress(*_CLOSED):
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _suspend(self) -> None:
        """Ctrl-Z: the shell has its terminal as it was until it lets the program go on."""
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self._resized()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _AT_ONCE)
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._fd)
            self._end(128 + signal.SIGHUP)
            return
        self._pressed(self._keys.read(data))
        if self._keys.begun:
            self._loop.call_later(_ESCAPE_S, self._no_more)

    def _no_more(self) -> None:
        self._pressed(self._keys.rest())

    def _pressed(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._press(key)
