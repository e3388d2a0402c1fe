"""Tokens that the manager shows once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from tidegate.cli.fleet.errors import FleetError, UsageError
from tidegate.cli.fleet.show import complain, print_json, say, short_time


@contextmanager
def room_for(out: str | None) -> Iterator[IO[str] | None]:
    """A new file that only its owner can read, before there is a token to write to it; None: none is wanted.

    It is gone again where what follows fails. Raises `UsageError` where it cannot be made, or is there already.
    """
    if out is None:
        yield None
        return
    try:
        opened = open(out, "x", opener=partial(os.open, mode=0o600))  # noqa: SIM115 - Path has no opener
    except OSError as error:
        raise UsageError(f"{out} cannot be written, so no token was made: {error.strerror}.") from error
    try:
        with opened as file:
            yield file
    except BaseException:
        Path(out).unlink(missing_ok=True)
        raise


def shown_once(document: dict[str, Any], file: IO[str] | None, *, as_json: bool, what: str, undo: str) -> None:
    """Print a new token, or write it to a file and show the rest. Raises `FleetError`.

    `undo` is the command that lets one that nobody has be good for nothing.
    """
    token = str(document.get("token") or "")
    if not token:  # it was sent twice, and the first answer, which had it, was lost
        raise FleetError(
            f"A token {what} was made and its answer lost: `tidegate {undo} {document.get('id')}`, and make another."
        )
    if file is not None:
        _write(file, token, f"tidegate {undo} {document.get('id')}")
    if as_json:
        print_json({name: value for name, value in document.items() if file is None or name != "token"})
        return
    until = f", until {short_time(document['expires_at'])} UTC" if document.get("expires_at") else ""
    if file is None:
        complain(f"A token {what}{until}; it is not shown again:")
        say(token)
    else:
        complain(f"A token {what}{until}.")
        say(f"written to {file.name}")


def _write(file: IO[str], token: str, undo: str) -> None:
    try:
        file.write(token + "\n")
        file.flush()
    except OSError as error:
        raise FleetError(
            f"The token was made and cannot be kept ({error.strerror}): `{undo}`, and make another."
        ) from error
