"""From the start of the program to its first plan."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import Any

from bench import program
from bench.cluster import cluster
from bench.figures import summary

RUNS = 7


def measure() -> dict[str, Any]:
    """Times of `tidegate agent plan --json` as a whole process, one container on the engine, after a warm-up.

    `cpu_s`, the processor's time, is what a machine that is busy with other things does not change much.
    """
    with cluster() as one:
        state = one.folder / "state"
        _plan(state)
        plans = [_plan(state) for _ in range(RUNS)]
    return {"wall_s": summary([wall for wall, _ in plans]), "cpu_s": summary([cpu for _, cpu in plans])}


def _plan(state: Path) -> tuple[float, float]:
    """Wall and processor seconds of one run."""
    begun, cpu_before = time.monotonic(), _children_cpu_s()
    rows = json.loads(program.run(state, "agent", "plan", "--json"))
    taken = time.monotonic() - begun, _children_cpu_s() - cpu_before
    if not any(row["latest_digest"] for row in rows):
        raise RuntimeError(f"the plan found no digest: {rows}")
    return taken


def _children_cpu_s() -> float:
    """What every process that this one has waited for has used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
