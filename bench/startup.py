"""From the start of the program to its first plan."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from bench import program
from bench.cluster import cluster
from bench.figures import summary

RUNS = 7


def measure() -> dict[str, Any]:
    """Wall time of `tidegate agent plan --json` as a whole process, one container on the engine, after a warm-up."""
    with cluster() as one:
        state = one.folder / "state"
        _plan(state)
        plans = [_plan(state) for _ in range(RUNS)]
    return {"plan_s": summary(plans)}


def _plan(state: Path) -> float:
    begun = time.monotonic()
    rows = json.loads(program.run(state, "agent", "plan", "--json"))
    taken = time.monotonic() - begun
    if not any(row["latest_digest"] for row in rows):
        raise RuntimeError(f"the plan found no digest: {rows}")
    return taken
