"""What is written down of updates, and for how long."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.metrics import Metrics
from tidegate.agent.state import Earlier, State
from tidegate.agent.survey import Survey

NOW = datetime(2026, 11, 25, tzinfo=UTC)
NOTHING = Survey((), {})


class Retention:
    """Writes down which images it was told to let go of."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    async def forget(self, images: Iterable[str]) -> None:
        self.forgotten += images


async def test_the_images_of_targets_that_are_long_gone_are_let_go(tmp_path: Path) -> None:
    state, retention = State.at(tmp_path), Retention()
    books: Any = Bookkeeping(state, retention, Metrics())  # type: ignore[arg-type]
    state.previous.add(Earlier("shop", "web", "1", "web:1", "sha256:a", "sha256:1", NOW.isoformat(), {}, {}), keep=5)
    for days in range(31):
        assert retention.forgotten == []
        await books.forget_gone(NOTHING, NOW + timedelta(days=days))
    assert retention.forgotten == ["sha256:1"]
