"""The libraries that programs of unpacked Debian packages are linked with, for an image that has only a C library."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

_IN_THE_BASE = ("libc.", "libm.", "ld-")


def copy_libraries(programs: Iterable[Path], folder: Path, environment: Mapping[str, str]) -> None:
    """Make `folder`, with what the programs are linked with here and the base of our images does not have."""
    folder.mkdir()
    for program in programs:
        command = ["ldd", str(program)]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for line in told.splitlines():
            name, arrow, place = line.strip().partition(" => ")
            if arrow and not name.startswith(_IN_THE_BASE):
                shutil.copy(place.split()[0], folder / name)
