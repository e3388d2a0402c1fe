"""How a rollout that is watched is shown: live on a terminal, else a line for each change, or JSON lines."""

import json
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidegate.cli.fleet.model import Rollout, RolloutTarget, Wave, familiar
from tidegate.cli.fleet.show import complain, say
from tidegate.cli.tables import safe, short_time

_ORDER: Final = (
    "healthy",
    "updating",
    "offered",
    "busy",
    "waiting",
    "failed",
    "inconclusive",
    "offline",
    "skipped",
    "left_alone",
    "went_back",
    "not_put_back",
)
_BAR: Final = 24
_MOST_TROUBLED: Final = 10
_COLOURS: Final = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "rolling_back": "red",
    "rolled_back": "red",
    "paused": "yellow",
    "awaiting_approval": "yellow",
}


class View(Protocol):
    """Where a rollout is shown; a context manager."""

    def __enter__(self) -> Self:
        """Take the screen."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave it, with what was shown last."""

    def show(self, document: Any, one: Rollout, troubled: Sequence[RolloutTarget]) -> None:
        """Show it as it is now: as the manager told it, as it was read, and its targets in trouble."""

    def note(self, text: str) -> None:
        """Say something about the watching itself."""


def make_view(*, as_json: bool) -> View:
    """The view that fits where the output goes."""
    if as_json:
        return JsonView()
    console = Console()
    return LiveView(console) if console.is_terminal and not console.is_dumb_terminal else LineView()


class LineView:
    """A line for each change."""

    def __init__(self) -> None:
        self._before = ""
        self._named: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        sys.stdout.flush()

    def show(self, document: Any, one: Rollout, troubled: Sequence[RolloutTarget]) -> None:
        """Print what is new."""
        del document
        line = f"rollout {one.id}: {state_line(one)}; wave {one.wave} of {one.waves}; {counts_text(one.counts)}"
        if line != self._before:
            say(line)
        self._before = line
        for target in troubled:
            if (target.target, target.progress) not in self._named:
                say(f"  {trouble_text(target)}")
        self._named = {(target.target, target.progress) for target in troubled}
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say it on the error output."""
        complain(text)


class JsonView(LineView):
    """The manager's document for each change, one a line."""

    def show(self, document: Any, one: Rollout, troubled: Sequence[RolloutTarget]) -> None:
        """Print it if it is another one."""
        del one, troubled
        line = json.dumps(document)
        if line != self._before:
            print(line, flush=True)
        self._before = line


class LiveView:
    """A bar for each wave, drawn over itself; a context manager that owns the terminal's last lines."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, document: Any, one: Rollout, troubled: Sequence[RolloutTarget]) -> None:
        """Draw it anew."""
        del document
        self._live.update(picture(one, troubled), refresh=True)

    def note(self, text: str) -> None:
        """Say it above the bars."""
        self._live.console.print(Text(safe(text)))


def picture(one: Rollout, troubled: Sequence[RolloutTarget]) -> RenderableType:
    """A rollout as a drawing: what it is, a row for each wave, and who is in trouble."""
    title = Text.assemble(
        (f"Rollout {one.id}  ", "bold"),
        safe(f"{familiar(one.channel)} to {one.what}  "),
        (safe(state_line(one)), _COLOURS.get(one.state, "")),
    )
    rows: list[RenderableType] = [title, _waves(one)]
    rows += [Text(f"  {safe(trouble_text(target))}", style="red") for target in troubled[:_MOST_TROUBLED]]
    if len(troubled) > _MOST_TROUBLED:
        rows.append(Text(f"  and {len(troubled) - _MOST_TROUBLED} more: `tidegate rollout show {one.id}`", style="red"))
    hint = _hint(one)
    return Group(*rows, Text(hint, style="dim")) if hint else Group(*rows)


def _waves(one: Rollout) -> Table:
    table = Table.grid(padding=(0, 2))
    for wave in one.detail:
        healthy = wave.counts.get("healthy", 0)
        bar = ProgressBar(total=max(wave.total, 1), completed=healthy, width=_BAR)
        where = wave_state(one, wave)
        table.add_row(f"wave {wave.number}", bar, f"{healthy}/{wave.total}", where, Text(counts_text(wave.counts)))
    return table


def wave_state(one: Rollout, wave: Wave) -> str:
    """Where a wave is, in a word or two."""
    if wave.number < one.wave or one.state == "completed":
        return "passed"
    if wave.number > one.wave:
        return "to come"
    return "soaking" if one.passed_at and not one.ended else "ended" if one.ended else "open"


def state_line(one: Rollout) -> str:
    """Where a rollout is, why, and until when nothing is expected."""
    words = one.state.replace("_", " ")
    if one.state == "awaiting_approval":
        words += f", {len(one.approvals)} of {one.approvals_needed} have agreed"
    if one.state == "running" and one.passed_at:
        words += ", soaking" + (f" until {short_time(one.wake_at)} UTC" if one.wake_at else "")
    why = one.waits_for or one.reason
    return f"{words}: {why}" if why else words


def counts_text(counts: Mapping[str, int]) -> str:
    """How many are where, those that got through first."""
    known = [name for name in _ORDER if counts.get(name)]
    return ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in known) or "no targets"


def trouble_text(target: RolloutTarget) -> str:
    """One target that is in trouble."""
    words = f"{target.target}: {target.progress.replace('_', ' ')}"
    return f"{words}: {target.reason}" if target.reason else words


def _hint(one: Rollout) -> str:
    match one.state:
        case "awaiting_approval":
            return f"`tidegate rollout show {one.id} --changes`, then `tidegate rollout approve {one.id}`"
        case "paused" if not one.begun_at:
            return f"`tidegate rollout resume {one.id}` or `abort`"
        case "paused":
            return f"`tidegate rollout resume {one.id}`, `retry`, `abort` or `rollback`"
        case "running" | "rolling_back" | "scheduled":
            return "Ctrl-C ends the watching; the rollout goes on"
        case _:
            return ""
