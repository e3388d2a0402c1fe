"""Somebody's shell, for pages that are played line by line."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENDED = "-- ended with "
LIMIT_S = 90


class Shell:
    """Somebody's shell, which keeps what is set in it from line to line; its commands have nothing to read."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        theirs, ours = os.pipe()
        loop = f'while IFS= read -r -u {theirs} line; do eval "$line"; ended=$?; echo; echo "{ENDED}$ended"; done'
        self._bash = subprocess.Popen(
            ["bash", "--norc", "-c", f"shopt -s expand_aliases; {loop}"],
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=[theirs],
            text=True,
        )
        os.close(theirs)
        self._lines = os.fdopen(ours, "w")

    def does(self, line: str) -> str:
        """A line; what it printed. AssertionError if it failed."""
        assert self._bash.stdout
        self._lines.write(f"{line}\n")
        self._lines.flush()
        said = ""
        for told in self._bash.stdout:
            if told.startswith(ENDED):
                assert told.strip() == f"{ENDED}0", f"{line}: {told}{said}"
                return said
            said += told
        raise AssertionError(f"{line}: the shell has ended")

    def close(self) -> None:
        """End it."""
        assert self._bash.stdout
        self._lines.close()
        self._bash.wait(LIMIT_S)
        self._bash.stdout.close()
