"""What the program makes of a command line, without doing it."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer
from typer._click.exceptions import ClickException, MissingParameter

from tidegate.cli.app import app

_NUMBER = re.compile(r"\bN\b")


def refusal(line: str) -> str:
    """Why the program's parser refuses what follows `tidegate`; empty where it takes it.

    `N` stands for a number. A line that ends in `...`, or has no arguments, names a command, and need not be whole.
    """
    whole = line.removesuffix(" ...")
    words, command = shlex.split(_NUMBER.sub("1", whole)), typer.main.get_command(app)
    named: list[str] = []
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return f"{' '.join(['tidegate', *named])} has no command {words[0]}"
        named.append(words.pop(0))
        command = command.commands[named[-1]]
    return _refusal(command, named, words, partly=not words or whole != line)


def _refusal(command: Any, named: list[str], words: list[str], *, partly: bool) -> str:
    try:
        command.make_context(" ".join(named), list(words))
    except MissingParameter as error:
        return "" if partly else str(error)
    except ClickException as error:
        return error.format_message()
    except typer.Exit:  # it was asked for help
        return ""
    return ""
