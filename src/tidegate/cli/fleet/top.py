"""`tidegate top`: the fleet and its rollouts, live on a terminal."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.ear import USUAL, Ear, Pace
from tidegate.cli.fleet.errors import OK, FleetError, NotAllowedError
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Timeout
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_json
from tidegate.cli.fleet.top_model import MOST_CLUSTERS, Asked, Facts, Look, ask, read_facts
from tidegate.cli.fleet.top_terminal import Terminal
from tidegate.cli.fleet.top_view import draw, whole
from tidegate.cli.tables import width_of

_KINDS: Final = "rollout.,agent.,target.,release.,quarantine.,alert.,cluster.,channel."
_LEAST_BETWEEN_S: Final = 1.0
_MOST_BETWEEN_S: Final = 10.0
_TIMES: Final = 10
"""However much happens, it is not looked more often, and less where that takes long: others ask the manager, too."""
_SILENT_S: Final = 3.0
"""A manager that has not answered for so long is waited for."""
_LONGEST_WORDS: Final = 200


def top(*, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S) -> None:
    """Watch the fleet and its rollouts live. Without a terminal, and with --json, it is shown once."""

    async def work(manager: Manager) -> int:
        console = Console()
        if as_json:
            print_json(await ask(manager, Asked()))
        elif sys.stdin.isatty() and console.is_terminal and not console.is_dumb_terminal:
            return await Top(manager, console).run()
        else:
            await _print_once(manager, console)
        return OK

    finish(work, timeout_s)


async def _print_once(manager: Manager, console: Console) -> None:
    look = Look(str(manager.url), read_facts(await ask(manager, Asked())))
    console.width = width_of(console)
    for line in whole(look, console.width):
        line.rstrip()
        console.print(line, soft_wrap=True)


class Top:
    """Looks when something was told, when a key asks for it and from time to time, until a key or a signal ends it."""

    def __init__(
        self,
        manager: Manager,
        console: Console,
        pace: Pace | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._manager, self._console, self._clock = manager, console, clock
        self._ear = Ear(manager, _KINDS, pace or USUAL)
        self._rows = console.height
        self._hurry = asyncio.Event()
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._terminal: Terminal

    async def run(self) -> int:
        """The exit code. Raises `FleetError` where the manager does not answer at first, or the token is none."""
        asked = self._asked("", 0)
        self._look = Look(str(self._manager.url), read_facts(await ask(self._manager, asked)))
        with Terminal(self._console, self._press, self._resized, self._end) as self._terminal:
            self._draw()
            working = [asyncio.create_task(one) for one in (self._ear.listen(), self._looking())]
            try:
                every: list[asyncio.Future[Any]] = [*working, self._ended]
                await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
                return self._ended.result() if self._ended.done() else await _first(working)
            finally:
                await _stopped(working)

    # looking

    async def _looking(self) -> int:
        while True:
            await self._ear.heard()
            began = asyncio.get_running_loop().time()
            await self._look_again()
            took_s = asyncio.get_running_loop().time() - began
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_MOST_BETWEEN_S, max(_LEAST_BETWEEN_S, _TIMES * took_s))):
                    await self._hurry.wait()
            self._hurry.clear()

    async def _look_again(self) -> None:
        asked = self._asked(self._look.words, self._look.offset)
        asking = asyncio.create_task(ask(self._manager, asked))
        try:
            await asyncio.wait([asking], timeout=_SILENT_S)
            if not asking.done():
                self._lost("")
            document = await asking
        except NotAllowedError:
            raise
        except FleetError as error:
            self._lost(str(error).partition("\n")[0])
        else:
            self._found(read_facts(document, asked.skip), asked)
        finally:
            asking.cancel()

    def _asked(self, words: str, offset: int) -> Asked:
        """What fits, and as much above and below, so that it can be scrolled at once."""
        return Asked(words, max(0, offset - self._rows), min(MOST_CLUSTERS, 3 * max(1, self._rows)))

    def _lost(self, note: str) -> None:
        since = self._look.lost_since or f"{self._clock():%H:%M:%S} UTC"
        self._look = replace(self._look, lost_since=since, note=note or self._look.note)
        self._draw()

    def _found(self, facts: Facts, asked: Asked) -> None:
        if asked.words != self._look.words:  # another filter was written meanwhile
            self._ear.wake()
        self._look = replace(self._look, facts=facts, lost_since="", note="").scrolled(0, self._rows)
        self._draw()

    # drawing, keys and signals

    def _draw(self) -> None:
        width, height = self._terminal.size
        drawing = draw(self._look, width, height, plain=self._terminal.plain)
        self._rows = drawing.rows
        self._terminal.show(drawing.lines)

    def _resized(self) -> None:
        self._draw()
        self._ear.wake()

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _press(self, key: str) -> None:
        before = self._look
        self._look = _written(before, key) if before.typing else self._moved(before, key)
        if key == "q" and not before.typing:
            self._end(OK)
        if self._look.words != before.words or (key == "r" and not before.typing) or self._runs_out():
            self._hurry.set()
            self._ear.wake()
        self._draw()

    def _moved(self, look: Look, key: str) -> Look:
        page, everything = max(1, self._rows - 1), look.facts.matching
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -page, "page down": page, " ": page}
        steps |= {"home": -everything, "end": everything}
        if key in steps:
            return look.scrolled(steps[key], self._rows)
        if key == "/":
            return replace(look, typing=True)
        return replace(look, words="", offset=0) if key == "escape" else look

    def _runs_out(self) -> bool:
        """Whether what is to be seen was not asked for yet."""
        facts, last = self._look.facts, min(self._look.offset + self._rows, self._look.facts.matching) - 1
        return last >= 0 and (facts.cluster(self._look.offset) is None or facts.cluster(last) is None)


def _written(look: Look, key: str) -> Look:
    """The filter, while it is written."""
    match key:
        case "enter":
            return replace(look, typing=False)
        case "escape":
            return replace(look, typing=False, words="", offset=0)
        case "clear":
            return replace(look, words="", offset=0)
        case "backspace":
            return replace(look, words=look.words[:-1], offset=0)
        case _ if len(key) == 1 and len(look.words) < _LONGEST_WORDS:
            return replace(look, words=look.words + key, offset=0)
        case _:
            return look


async def _first(tasks: list["asyncio.Task[Any]"]) -> int:
    """What the first of them that is over has raised."""
    for task in tasks:
        if task.done():
            await task
    return OK


async def _stopped(tasks: list["asyncio.Task[Any]"]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, FleetError):
            await task
