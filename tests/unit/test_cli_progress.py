import io
import re

import pytest
from rich.console import Console

from tidegate.agent.pull_reporter import LoggedPulls
from tidegate.cli.progress import PullBars, PullBytes
from tidegate.engine.model import PullProgress


def line(layer: str, status: str, current: int = 0, total: int = 0) -> PullProgress:
    return PullProgress(layer=layer, status=status, current=current, total=total)


def test_bytes_are_added_up_over_the_layers_that_arrive() -> None:
    arrived = PullBytes()
    arrived.saw(line("a", "Already exists"))
    arrived.saw(line("b", "Downloading", 30, 100))
    arrived.saw(line("c", "Downloading", 10, 50))
    assert (arrived.done, arrived.total) == (40, 150)
    arrived.saw(line("b", "Download complete"))
    arrived.saw(line("b", "Extracting", 5, 100))
    assert (arrived.done, arrived.total) == (110, 150)


def test_a_retried_layer_does_not_run_backwards() -> None:
    arrived = PullBytes()
    arrived.saw(line("a", "Downloading", 80, 100))
    arrived.saw(line("a", "Downloading", 10, 100))
    assert arrived.done == 80


@pytest.mark.parametrize(("error", "shown"), [(None, "pulled acme/web"), ("no space", "failed acme/web: no space")])
def test_a_terminal_shows_how_a_pull_ended(error: str | None, shown: str) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with PullBars(console=console) as bars:
        bars.started("acme/web")
        bars.progressed("acme/web", line("a", "Downloading", 1, 2))
        bars.ended("acme/web", error)
    assert shown in screen.getvalue()


@pytest.mark.parametrize("wanted", [True, False])
def test_the_bars_have_colours_on_a_terminal_unless_none_are_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, wanted: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "false")
    with PullBars(no_color=not wanted) as bars:
        bars.started("acme/web")
        bars.progressed("acme/web", line("a", "Downloading", 1, 2))
        bars.ended("acme/web", None)
    shown = capsys.readouterr().err
    assert "pulled acme/web" in shown
    assert bool(re.search(r"\x1b\[[0-9;]*3\d", shown)) is wanted


def test_a_terminal_says_once_why_a_pull_begins_again_and_keeps_its_bar() -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=120)
    with PullBars(console=console) as bars:
        bars.started("acme/web")
        bars.retried("acme/web", "unexpected EOF [red]", 3.0)
        bars.progressed("acme/web", line("a", "Downloading", 1, 2))
        bars.ended("acme/web", None)
    assert screen.getvalue().count("pull of acme/web broke off and is tried again in 3 s: unexpected EOF [red]\n") == 1


def test_a_log_has_one_line_at_each_end_of_a_pull_and_one_for_each_time_that_it_broke_off() -> None:
    said: list[str] = []
    pulls = LoggedPulls(said.append)
    pulls.started("acme/web")
    pulls.progressed("acme/web", line("a", "Downloading", 1, 2))
    pulls.retried("acme/web", "unexpected EOF", 3.0)
    pulls.ended("acme/web", "no space")
    assert said == [
        "pulling acme/web",
        "pull of acme/web broke off and is tried again in 3 s: unexpected EOF",
        "pull of acme/web failed: no space",
    ]
