"""`tidegate login`: keep a manager's address and a token, once the manager has taken it."""

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated, Final

import typer

from tidegate.cli.fleet import session
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.login import (
    CA_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    Login,
    ca_file,
    checked_token,
    environment_token,
    keep_login,
    parse_url,
    read_token,
)
from tidegate.cli.fleet.options import TIMEOUT_S, Timeout
from tidegate.cli.fleet.show import complain, say
from tidegate.registry.endpoint import is_loopback

_FROM_INPUT: Final = "-"


def login(
    url: Annotated[str, typer.Argument(metavar="URL", help="Such as https://tidegate.example.com.")],
    *,
    token_file: Annotated[
        str | None, typer.Option("--token-file", metavar="FILE", help="Holds the token; - is the input.")
    ] = None,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Keep a manager's address and your token. Without --token-file it is asked for, and not shown."""

    async def work() -> int | None:
        one = Login(parse_url(url, "URL"), _token(token_file), ca_file(os.environ))
        if one.url.scheme == "http" and not is_loopback(one.url):
            complain(f"{one.url} is not https: whoever is in between can read the token. {CA_VARIABLE} names a CA.")

        async def kept(manager: Manager) -> None:
            me = (await manager.get("me")).document
            path = keep_login(one, os.environ)
            say(f"You are {me.get('user')} ({me.get('role')}) at {one.url}; kept in {path}.")

        return await session.with_manager(one, kept, timeout_s)

    raise typer.Exit(session.ended(work))


def _token(file: str | None) -> str:
    if file == _FROM_INPUT:
        return checked_token(sys.stdin.readline().strip(), "The input")
    if file is not None:
        return read_token(Path(file), "--token-file")
    given = environment_token(os.environ)
    if given:
        return given
    if not sys.stdin.isatty():
        raise UsageError(f"No token: give --token-file, or set {TOKEN_VARIABLE} or {TOKEN_FILE_VARIABLE}.")
    return checked_token(getpass("Token: ").strip(), "What was typed")
