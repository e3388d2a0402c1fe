"""What docs/performance.md quotes of the agent, as one JSON object. `make bench` runs it on a ground of its own.

bench/agent.py [detect gap idle startup push ...] [--updates N]: the parts named, or all of them. The exit status is 1
where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

from bench import detection, gap, goals, idle, machine, pushing, startup  # noqa: E402 - the path comes first

PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "startup": lambda _: startup.measure(),
    "detect": lambda _: detection.measure(),
    "idle": lambda _: idle.measure(),
    "push": pushing.measure,
    "gap": gap.measure,
}


def main(argv: list[str]) -> int:
    """Measure, print, and say on the error output what is being measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--updates", type=int, default=10, help="updates of each kind (default: %(default)s)")
    options = parser.parse_args(argv)
    found: dict[str, Any] = {"machine": machine.describe()}
    for name in options.parts or PARTS:
        begun = time.monotonic()
        print(f"{name}...", file=sys.stderr, flush=True)
        found[name] = PARTS[name](options.updates)
        found[name]["took_s"] = round(time.monotonic() - begun, 1)
    found["machine"]["load_after"] = machine.load()
    found["goals"] = goals.judged(found)
    found["met"] = all(goal["met"] for goal in found["goals"])
    print(json.dumps(found, indent=2))
    for goal in found["goals"]:
        if not goal["met"]:
            print(goals.missed(goal), file=sys.stderr)
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
