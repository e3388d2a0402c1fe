"""Clears up after a ground whose runner is gone: its processes, its control groups, its folder.

Started by the runner with a pipe: first the pid of the process to end comes through it (the first one of a private
ground's namespaces, or else the registry), then its end, when the runner ended or was killed.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

from groundwork.engine import control_group


def main(watched: int, folder: Path, made: list[Path], *, keep: bool) -> None:
    """Wait for the runner's end, then clear up; `made` are folders outside that were not there before."""
    # Ended only by its own work: a signal to the whole group must not stop the clearing up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(watched, "rb") as pipe:
        announced = pipe.readline().strip()
        first = _open_process(int(announced)) if announced else None
        pipe.read()
    if first is not None:
        _end(first)
    _remove_control_groups(control_group(folder))
    for place in made:
        with contextlib.suppress(OSError):  # never made, or in use
            place.rmdir()
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def _open_process(pid: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.pidfd_open(pid)
    return None


def _end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)
    select.select([process], [], [], 30)  # readable once the process, and with it the namespace, is gone


def _remove_control_groups(name: str) -> None:
    tops = [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]
    for top in tops:
        for _ in range(50):  # the kernel empties them a moment after the last process ended
            for group, _children, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(group).rmdir()
            if not top.exists():
                break
            time.sleep(0.1)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), [*map(Path, sys.argv[4:])], keep=sys.argv[3] == "keep")
