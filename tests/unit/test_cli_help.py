"""The help of every command, as a terminal of 80 columns shows it."""

import sys
from collections.abc import Iterator

import pytest
from typer.core import TyperCommand
from typer.main import get_command

from tidegate.__main__ import main
from tidegate.cli.app import app

COLUMNS = 80


def _paths(command: TyperCommand, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all below it."""
    yield path
    for name, one in getattr(command, "commands", {}).items():
        yield from _paths(one, (*path, name))


PATHS = list(_paths(get_command(app)))  # type: ignore[arg-type]


def _help(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setattr(sys, "argv", ["tidegate", *path, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_help_of_a_command_fits_80_columns(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = _help(path, monkeypatch, capsys).splitlines()
    assert lines
    assert [line for line in lines if len(line) > COLUMNS] == []


def test_the_commands_that_list_are_among_those_whose_help_is_looked_at() -> None:
    assert {("rollback",), ("targets", "list"), ("rollout", "rollback"), ("manager", "serve")} <= set(PATHS)
