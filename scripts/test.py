"""Run the tests on the ground: several workers side by side, each with an engine and a registry of its own.

Where an engine answers already there is only that one, and the tests run one after the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from groundwork import existing

HERE = Path(__file__).resolve().parent
WORKERS = 3


def main() -> int:
    """Run pytest with the remaining arguments; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--engine", default="", help="bookworm or trixie; by default the one that answers")
    parser.add_argument("--workers", type=int, default=WORKERS)
    options, words = parser.parse_known_args()
    pytest = [str(HERE.parent / ".venv" / "bin" / "pytest"), *words]
    ground = [sys.executable, str(HERE / "ground.py")]
    if not options.engine and existing.answering_host():
        return subprocess.run([*ground, "run", "--", *pytest], check=False).returncode
    # once, before the workers would all do it at the same time; it also says what is missing
    subprocess.run([*ground, "run", *_engine(options.engine), "--", "true"], check=True)
    python = f"popen//python={HERE / 'python-on-ground'}"
    workers = ["--dist", "worksteal", "--tx", f"{options.workers}*{python}"]
    env = os.environ | {"ENGINE": options.engine, "PYTHON": sys.executable}
    return subprocess.run([*pytest, *workers], env=env, check=False).returncode


def _engine(release: str) -> list[str]:
    return ["--engine", release] if release else []


if __name__ == "__main__":
    sys.exit(main())
