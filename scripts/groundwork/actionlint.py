"""The linter of workflows: a Go program, built from its source by the machine's Go or by Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from groundwork.packages import install_go, is_debian
from groundwork.paths import HOME, GroundError

VERSION = "v1.7.7"
FOLDER = HOME / "actionlint"
PROGRAM = FOLDER / VERSION / "actionlint"
_USUAL = "/usr/local/go/bin"
_LIMIT_S = 300


def fetch() -> None:
    """Have it, once. GroundError where it cannot be had: nothing but the tests of workflows needs it."""
    if PROGRAM.exists():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    program = go()
    environ = os.environ | {"GOBIN": str(PROGRAM.parent), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    command = [program, "install", f"github.com/rhysd/actionlint/cmd/actionlint@{VERSION}"]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise GroundError(f"actionlint was not built within {_LIMIT_S} s.") from None
    if done.returncode != 0:
        raise GroundError(f"actionlint cannot be built: {done.stderr.strip()[-300:]}")


def go() -> str:
    """The Go program; Debian's is installed where there is none and that is possible. GroundError where it is not."""
    path = f"{os.environ.get('PATH', '')}:{_USUAL}"
    found = shutil.which("go", path=path)
    if found is None and is_debian() and os.geteuid() == 0:
        install_go()
        found = shutil.which("go", path=path)
    if found is None:
        raise GroundError("No go program: install Go 1.18 or newer, which builds actionlint.")
    return str(Path(found))


def main() -> None:
    """Fetch; where that cannot be, everything but the test of workflows does without."""
    HOME.mkdir(exist_ok=True)
    try:
        fetch()
    except GroundError as error:
        print(f"ground: workflows cannot be linted. {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
