"""Progress bars for pulls, on a terminal."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from tidegate.agent.pull_reporter import retry_line
from tidegate.engine.model import PullProgress

_ARRIVING = "Downloading"
_ARRIVED = frozenset({"Verifying Checksum", "Download complete", "Extracting", "Pull complete"})


@dataclass(slots=True)
class PullBytes:
    """How far one pull is, in bytes, added up over its layers."""

    _layers: dict[str, tuple[int, int]] = field(default_factory=dict)

    def saw(self, progress: PullProgress) -> None:
        """Take in one line of the engine's."""
        current, total = self._layers.get(progress.layer, (0, 0))
        if progress.status == _ARRIVING and progress.total:
            self._layers[progress.layer] = (max(current, progress.current), progress.total)
        elif progress.status in _ARRIVED and total:
            self._layers[progress.layer] = (total, total)

    @property
    def done(self) -> int:
        """Bytes that have arrived."""
        return sum(current for current, _ in self._layers.values())

    @property
    def total(self) -> int:
        """Bytes to arrive, of the layers that have begun."""
        return sum(total for _, total in self._layers.values())


class PullBars:
    """A `PullReporter` with one bar for each pull; a context manager that owns the terminal's last lines."""

    def __init__(self, *, no_color: bool = False, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console or Console(stderr=True, no_color=no_color))
        self._bytes: dict[str, PullBytes] = {}
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def started(self, reference: str) -> None:
        """Show a bar."""
        self._bytes[reference] = PullBytes()
        self._tasks[reference] = self._progress.add_task(f"pull {reference}", total=None)

    def progressed(self, reference: str, progress: PullProgress) -> None:
        """Move it."""
        arrived = self._bytes[reference]
        arrived.saw(progress)
        self._progress.update(self._tasks[reference], completed=arrived.done, total=arrived.total or None)

    def retried(self, reference: str, why: str, delay_s: float) -> None:
        """Leave the bar as it is, and say why above the bars."""
        self._progress.console.print(retry_line(reference, why, delay_s), markup=False, highlight=False)

    def ended(self, reference: str, error: str | None) -> None:
        """Fill it, or say why it ended early."""
        task, arrived = self._tasks.pop(reference), self._bytes.pop(reference)
        if error is None:
            self._progress.update(task, description=f"pulled {reference}", completed=arrived.done, total=arrived.done)
        else:
            self._progress.update(task, description=f"failed {reference}: {error}")
        self._progress.stop_task(task)
