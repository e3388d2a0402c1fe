"""`tidegate login` and `logout`: keep a manager's address and a token once it has taken that, and forget them."""

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
    forget_login,
    keep_login,
    login_path,
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


def logout(
    url: Annotated[str | None, typer.Argument(metavar="URL", help="Only if the token is for this address.")] = None,
) -> None:
    """Forget the address and the token that `login` has kept. The token stays good until it is revoked."""

    async def work() -> None:
        path = forget_login(os.environ, parse_url(url, "URL") if url is not None else None)
        if path is None:
            say(f"No login{f' for {url}' if url else ''} is kept in {login_path(os.environ)}.")
        else:
            say(f"The login in {path} is forgotten. `tidegate token revoke` lets a token be good for nothing.")
        given = [name for name in (TOKEN_VARIABLE, TOKEN_FILE_VARIABLE) if os.environ.get(name)]
        if given:
            complain(f"The environment still has a token, by {' and '.join(given)}.")

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
