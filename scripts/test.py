"""Run the tests on the ground: several workers side by side, each with an engine and a registry of its own.

Where an engine answers already there is only that one, and the tests run one after the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from groundwork import existing
from groundwork.paths import GroundError
from groundwork.processes import exit_status, forward_to

HERE = Path(__file__).resolve().parent
GROUND = [sys.executable, str(HERE / "ground.py"), "run"]
WORKERS = 3


def main() -> int:
    """Become pytest with the remaining arguments, so that a signal reaches it; an exit status if it cannot begin."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--engine", default="", help="bookworm or trixie; by default the one that answers")
    parser.add_argument("--workers", type=int, default=WORKERS)
    options, words = parser.parse_known_args()
    pytest = [str(HERE.parent / ".venv" / "bin" / "pytest"), *words]
    try:
        shared = not options.engine and existing.answering_host()
    except GroundError as error:
        print(f"ground: {error}", file=sys.stderr)
        return 125
    if shared:
        _become([*GROUND, "--", *pytest])
    # once, before the workers would all do it at the same time; it also says what is missing
    if (status := _wait_for([*GROUND, *_engine(options.engine), "--", "true"])) != 0:
        return status
    python = f"popen//python={HERE / 'python-on-ground'}"
    workers = ["--dist", "worksteal", "--tx", f"{options.workers}*{python}"]
    return _become([*pytest, *workers], ENGINE=options.engine, PYTHON=sys.executable)


def _become(command: list[str], **more: str) -> NoReturn:
    os.execvpe(command[0], command, os.environ | more)


def _wait_for(command: list[str]) -> int:
    child = subprocess.Popen(command)
    forward_to(child.pid)
    return exit_status(child.wait())


def _engine(release: str) -> list[str]:
    return ["--engine", release] if release else []


if __name__ == "__main__":
    sys.exit(main())
