"""docs/cli.md: every command in it does what is shown, and every command is in it."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from tests.cli.conftest import Run
from tests.support.fleet_world import ORCHESTRATOR, WEB, World
from tests.support.pages import ROOT, blocks

from tidegate.cli.app import app
from tidegate.cli.fleet.commands import add_fleet_commands

GUIDE = ROOT / "docs/cli.md"
LINES = [line for block in blocks("sh") if block.page == GUIDE.name for line in block.text.splitlines()]
ANYTIME = [line for line in LINES if not re.search(r"login|rollout \w+ 7|rollback", line)]
ON_A_ROLLOUT = [line for line in LINES if re.search(r"rollout \w+ 7", line)]
BACK = [line for line in LINES if line.startswith("tidegate rollback")]


def test_the_guide_has_a_line_for_each_sort_of_command() -> None:
    assert all((ANYTIME, ON_A_ROLLOUT, BACK))
    assert len(LINES) == len(ANYTIME) + len(ON_A_ROLLOUT) + len(BACK) + 1


def test_what_the_guide_shows_can_be_done_from_its_beginning_to_its_end(run: Run, world: World) -> None:
    world.alert()
    for line in ANYTIME:
        ended = run(*shlex.split(line)[1:])
        assert (ended.code, ended.err if ended.code else "") == (0, ""), line


def test_the_login_of_the_guide_asks_for_the_token(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keyboard:
        def isatty(self) -> bool:
            return True

    (line,) = [line for line in LINES if "login" in line]
    token = world.token("viewer", "eve")
    monkeypatch.delenv("TIDEGATE_TOKEN")
    monkeypatch.setattr("tidegate.cli.fleet.login_command.getpass", lambda _: token)
    monkeypatch.setattr(sys, "stdin", Keyboard())
    words = [world.url if word.startswith("https://") else word for word in shlex.split(line)[1:]]
    assert "You are eve (viewer)" in run(*words).out


@pytest.mark.parametrize("line", ON_A_ROLLOUT)
def test_each_verb_of_the_guide_can_be_said_to_a_rollout(
    run: Run, world: World, as_user: Callable[[str, str], None], line: str
) -> None:
    verb = line.split()[2]
    number = _rollout(run, world, verb)
    as_user("admin", "bob")
    ended = run(*[number if word == "7" else word for word in shlex.split(line)[1:]])
    assert ended.code == 0, ended.err


def _rollout(run: Run, world: World, verb: str) -> str:
    """One to which it can be said, asked for by somebody else."""
    waits = verb in {"approve", "reject"}
    world.policy(WEB, soak="0s" if verb == "watch" else "1h", approvals=int(waits))
    out = run("rollout", "start", WEB, "2", "--yes").out
    found = re.match(r"Rollout (\d+)", out)
    assert found is not None, out
    if verb == "resume":
        run("rollout", "pause", found[1])
    return found[1]


@pytest.mark.parametrize("line", BACK)
def test_each_rollback_of_the_guide_puts_something_back(run: Run, world: World, line: str) -> None:
    for channel in (WEB, ORCHESTRATOR):
        assert run("rollout", "start", channel, "2", "--yes").code == 0
    world.settle()
    ended = run(*shlex.split(line)[1:])
    assert ended.code == 0, ended.err
    world.settle()
    assert run("rollout", "list", "--limit", "1").out.count("completed") == 1


def _commands() -> list[str]:
    """All commands for a fleet, as they are written."""
    fleet = typer.Typer()
    add_fleet_commands(fleet)
    found = [one.name or "" for one in fleet.registered_commands]
    for group in fleet.registered_groups:
        assert group.typer_instance is not None
        found += [f"{group.name} {one.name}" for one in group.typer_instance.registered_commands]
    return found


@pytest.mark.parametrize("command", sorted(set(_commands())))
def test_every_command_is_in_the_guide(command: str) -> None:
    assert app.info.name == "tidegate"
    shown = command.removesuffix(" list")
    assert re.search(rf"tidegate {shown}\b", Path(GUIDE).read_text(encoding="utf-8")), command
