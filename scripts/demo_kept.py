"""The fleet's demo, left running: `make demo KEEP=1` starts it and returns, `make demo-clean` ends it.

A private engine ends with its ground, so the ground goes on in the background, with the manager and the agents in it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".ground"
PID, LOG, READY = HOME / "demo.pid", HOME / "demo.log", HOME / "demo.ready"
_GROUND = str(ROOT / "scripts" / "ground.py")
_END_LIMIT_S = 60.0


def begin(words: list[str]) -> int:
    """Start it, show what it tells, and return once it is left running; the exit code. `words` are for the ground."""
    end()
    fleet = [str(ROOT / ".venv/bin/python"), str(ROOT / "scripts" / "demo_fleet.py"), "--keep"]
    LOG.touch(mode=0o600)  # tokens are told in it
    with LOG.open("wb") as output:
        command = [sys.executable, _GROUND, "run", *words, "--", *fleet]
        process = subprocess.Popen(
            command,
            env=os.environ | {"COLUMNS": str(shutil.get_terminal_size().columns)},  # of whom it is shown to
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    PID.write_text(str(process.pid), encoding="utf-8")
    with LOG.open(encoding="utf-8", errors="replace") as told:
        while process.poll() is None and not READY.exists():
            print(told.read(), end="", flush=True)
            time.sleep(0.1)
        print(told.read(), end="", flush=True)
    return process.poll() or 0


def end() -> None:
    """End one that was left running, if there is one, with everything that it started."""
    pid = _running()
    for left in (PID, LOG, READY):
        left.unlink(missing_ok=True)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _END_LIMIT_S
    while _is_it(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    print(f"The demo that was left running {'is still ending' if _is_it(pid) else 'has ended'}.")


def _running() -> int | None:
    try:
        pid = int(PID.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return pid if _is_it(pid) else None


def _is_it(pid: int) -> bool:
    """Whether a process is the ground that was started here, and not another by the same number."""
    try:
        about = Path(f"/proc/{pid}")
        words = (about / "cmdline").read_bytes().decode(errors="replace").split("\0")
        state = (about / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return _GROUND in words and state != "Z"


if __name__ == "__main__":
    sys.exit(begin(sys.argv[1:]))
