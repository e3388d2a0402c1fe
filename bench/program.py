"""The agent as the program that people run, and what the kernel says of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import strangers
from tests.support.waiting import wait_for

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_S = 2.0


def command(*words: str) -> list[str]:
    """`tidegate WORDS...`."""
    return [sys.executable, "-m", "tidegate", *words]


def environment(state: Path, **more: str) -> dict[str, str]:
    """The engine's address, the state, and `more`; of this process's environment only what it takes to run.

    An agent with it leaves alone what a person runs on the engine.
    """
    kept = ("PATH", "PYTHONPATH", "DOCKER_HOST", "DOCKER_CONFIG")
    own = {key: os.environ[key] for key in kept if key in os.environ}
    return {**own, "TIDEGATE_STATE": str(state), **strangers.shielded(more)}


def run(state: Path, *words: str, settings: Mapping[str, str] | None = None) -> str:
    """Run to the end; the standard output. Raises RuntimeError with what it said if it failed."""
    env = environment(state, **(settings or {}))
    done = subprocess.run(command(*words), env=env, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"tidegate {' '.join(words)} failed with {done.returncode}: {done.stderr}")
    return done.stdout


@contextmanager
def running(state: Path, words: Sequence[str], log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tidegate agent run WORDS...` for as long as the block lasts, which begins when it listens to commands."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command("agent", "run", *words), env=environment(state, **more), stdout=output, stderr=output
        )
        try:
            wait_for((state / "agent.sock").exists, "the agent listens to commands", limit_s=60)
            yield process
        finally:
            process.terminate()
            process.wait(30)


def children(pid: int) -> list[int]:
    """The processes that it has started."""
    found = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(one) for text in found for one in text.split()]


def cpu_s(pid: int) -> float:
    """Processor time used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now (VmRSS), or the most it ever was (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise ValueError(f"process {pid} has no {field}")


def await_quiet(pid: int, limit_s: float = 120) -> None:
    """Return when the process, which has begun its first look, has used no processor time for two seconds."""
    deadline, last, since = time.monotonic() + limit_s, -1.0, time.monotonic()
    while time.monotonic() < deadline:
        used = cpu_s(pid)
        if used != last:
            last, since = used, time.monotonic()
        elif time.monotonic() - since > _QUIET_S:
            return
        time.sleep(0.1)
    raise TimeoutError(f"process {pid} is not quiet after {limit_s:g} s")
