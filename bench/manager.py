"""What docs/performance.md quotes of the manager, as one JSON object. `make bench-manager` runs it.

bench/manager.py [sqlite postgres replicas ...] [--agents 1000 10000]: the set-ups named, or all of them, with so many
simulated agents each. The exit status is 1 where a goal is missed; they are the same for any number of agents.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

from bench import goals, machine, manager_course  # noqa: E402 - the path comes first
from bench.goals import Goal  # noqa: E402 - as above

SIZES = (1000, 10000)
LIMIT_S = 900.0
"""For one set-up with so many agents."""


def main(argv: list[str]) -> int:
    """Measure, print, and say on the error output what is being measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("setups", nargs="*", choices=[[], *manager_course.SETUPS], help="default: all")
    parser.add_argument("--agents", type=int, nargs="+", default=SIZES, help="default: 1000 10000")
    parser.add_argument("--idle", type=float, default=manager_course.IDLE_S, help="seconds of nothing; default: 20")
    options = parser.parse_args(argv)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found: dict[str, Any] = {"machine": machine.without_engine()}
    for setup in options.setups or manager_course.SETUPS:
        for size in options.agents:
            begun = time.monotonic()
            found[f"{setup}_{size}"] = asyncio.run(_within(setup, size, options.idle))
            found[f"{setup}_{size}"]["took_s"] = round(time.monotonic() - begun, 1)
    found["machine"]["load_after"] = machine.load()
    found["goals"] = goals.judged(found, _goals(options.agents))
    found["met"] = all(goal["met"] for goal in found["goals"])
    print(json.dumps(found, indent=2))
    for goal in found["goals"]:
        if not goal["met"]:
            print(goals.missed(goal), file=sys.stderr)
    return 0 if found["met"] else 1


async def _within(setup: str, size: int, idle_s: float) -> dict[str, Any]:
    async with asyncio.timeout(LIMIT_S):
        return await manager_course.measure(setup, size, idle_s)


def _goals(sizes: Sequence[int]) -> list[Goal]:
    each = [f"{setup}_{size}" for setup in manager_course.SETUPS for size in sizes]
    found = [Goal(f"{one}.faults", 0) for one in each]
    found += [Goal(f"{one}.enrol.per_s", 50, at_least=True) for one in each]
    found += [Goal(f"{one}.offer.all_s", 30) for one in each]
    return found + [Goal(f"{one}.offer.api.p99_ms", 250) for one in each]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
