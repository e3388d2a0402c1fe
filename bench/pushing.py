"""From a push to the first answer of the new release, with an agent that looks every second."""

from __future__ import annotations

import time
from typing import Any

from bench import program
from bench.client import SteadyClient
from bench.cluster import cluster
from bench.figures import summary

INTERVAL_S = 1


def measure(updates: int) -> dict[str, Any]:
    """Seconds from the end of the push; a service with a published port and a probe."""
    taken = []
    with cluster() as one, SteadyClient(one.port) as client:
        words = ["--interval", str(INTERVAL_S), one.container]
        settings = {"TIDEGATE_BAKE": "1s"}
        with program.running(one.folder / "state", words, one.folder / "agent.log", **settings):
            time.sleep(2 * INTERVAL_S)  # its first looks
            for number in range(1, updates + 1):
                one.push(str(number))
                pushed = time.monotonic()
                taken.append(client.await_version(str(number)) - pushed)
                time.sleep(3.37)  # past the bake; not a whole number, so that pushes fall anywhere between two looks
    return {"interval_s": INTERVAL_S, "strategy": "swap", "push_to_serving_s": summary(taken)}
