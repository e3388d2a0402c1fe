"""Where and when something was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.docker import docker


def describe() -> dict[str, Any]:
    """The machine, the engine, the versions and the time."""
    engine = {
        "engine": docker("version", "--format", "{{.Server.Version}}"),
        "compose": docker("compose", "version", "--short"),
    }
    return without_engine() | engine


def without_engine() -> dict[str, Any]:
    """The machine, its Python, our commit and the time."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "commit": _commit(),
        "load_before": load(),
    }


def load() -> float:
    """The load average of the last minute: above the number of cores, times are too long."""
    return round(os.getloadavg()[0], 1)


def _commit() -> str:
    """The commit, with a mark where files differ from it; empty outside of a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
