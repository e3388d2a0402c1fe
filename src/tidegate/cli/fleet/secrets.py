"""Tokens that the manager shows once."""

import os
from pathlib import Path
from typing import Any

from tidegate.cli.fleet.errors import FleetError, UsageError
from tidegate.cli.fleet.show import complain, print_json, say, short_time


def shown_once(document: dict[str, Any], out: str | None, *, as_json: bool, what: str) -> None:
    """Print a new token, or write it to a file that only its owner can read and show the rest. Raises `UsageError`."""
    token = str(document.get("token") or "")
    if not token:  # it was sent twice, and the first answer, which had it, was lost
        raise FleetError(
            f"A token {what} was made and its answer lost: revoke number {document.get('id')}, make another."
        )
    rest = {name: value for name, value in document.items() if name != "token"} if out else document
    if out:
        _write(Path(out), token)
    if as_json:
        print_json(rest)
        return
    until = short_time(document.get("expires_at"))
    complain(
        f"A token {what}" + (f", until {until} UTC" if until else "") + ("." if out else "; it is not shown again:")
    )
    say(f"written to {out}" if out else token)


def _write(path: Path, token: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
    except OSError as error:
        complain("The token was made, and could not be kept: revoke it and make another one.")
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
