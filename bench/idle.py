"""What an agent that has nothing to do costs: resident memory and processor time."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import program
from bench.containers import containers
from tests.support.docker import docker
from tests.support.images import build
from tests.support.registry import Registry

WATCHED_S = 60
INTERVAL_S = 60
"""One look falls into the time that is watched."""
_HEALTHCHECK = {"Test": ["CMD", "/app", "health"], "Interval": 10_000_000_000, "Timeout": 5_000_000_000, "Retries": 3}
FEW, MANY_CREATED, MANY_RUNNING = 3, 480, 20


def measure() -> dict[str, Any]:
    """Both; see `_measure`."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, Any]:
    """With 3 running containers, and with 500 selected ones of which 20 run; all have a health check every 10 s."""
    registry = Registry(os.environ["GROUND_REGISTRY"])
    images = [build(registry, f"bench-idle/app{n}:latest", healthcheck=_HEALTHCHECK) for n in range(10)]
    for image in images:
        docker("pull", "-q", image.reference)
    references = [image.reference for image in images]
    found: dict[str, Any] = {"interval_s": INTERVAL_S, "watched_s": WATCHED_S}
    async with containers(references, running=FEW):
        found["few"] = {"containers": FEW, **_watch()}
    async with containers(references, created=MANY_CREATED, running=MANY_RUNNING):
        found["many"] = {"containers": MANY_CREATED + MANY_RUNNING, "running": MANY_RUNNING, **_watch()}
    return found


def _watch() -> dict[str, Any]:
    """Watch the program from the end of its first look."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder:
        words = ["--interval", str(INTERVAL_S), "--include-stopped"]
        with program.running(Path(folder) / "state", words, Path(folder) / "log") as agent:
            program.await_quiet(agent.pid)
            first_look_s = program.cpu_s(agent.pid)
            time.sleep(WATCHED_S)
            used = program.cpu_s(agent.pid) - first_look_s
            rows = json.loads(program.run(Path(folder) / "state", "agent", "plan", "--json", "--include-stopped"))
            return {
                "selected": sum(row["selected"] for row in rows),
                "rss_mib": program.memory_mib(agent.pid),
                "rss_peak_mib": program.memory_mib(agent.pid, "VmHWM"),
                "cpu_percent_of_a_core": round(100 * used / WATCHED_S, 2),
                "cpu_s_until_first_look": round(first_look_s, 2),
            }
