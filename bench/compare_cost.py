"""What an updater costs: silence on a published port, requests to the registry, memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench import program
from bench.client import SteadyClient
from bench.compare_cluster import Cluster, Outcome, cluster
from bench.compare_world import Outside, Updater
from bench.figures import longest_silence, summary
from tests.support.images import HEALTHCHECK

SLOW_BOOT_S = 5
OTHERS = 4
"""Services beside the first, of the same image, where requests are counted."""
_BEFORE_S, _AFTER_S = 0.3, 0.5


@dataclass
class _Updates:
    """What a steady client saw in each update of a cluster."""

    gaps: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def outcome(self) -> Outcome:
        facts = {"gap_s": summary(self.gaps), "requests_failed": summary(self.failed)}
        silence = f"{median(self.gaps):.2f} s ({min(self.gaps):.2f} to {max(self.gaps):.2f})"
        return Outcome(f"{silence}, {median(self.failed):g} requests failed", facts)


def gap(around: Outside, updaters: Sequence[Updater], updates: int, boot_s: float = 0) -> dict[str, Outcome]:
    """The longest silence of a published port. The updaters take turns, so that a busy moment hits them alike."""
    image = _booting_for(boot_s) if boot_s else {}
    seen = {updater.name: _Updates() for updater in updaters}
    with ExitStack() as stack:
        clusters = {one.name: stack.enter_context(cluster(around, one, **image)) for one in updaters}
        for number in range(2, updates + 2):
            for name, one in clusters.items():
                _one_update(one, seen[name], number, image)
    return {name: updates_.outcome() for name, updates_ in seen.items()}


def _booting_for(boot_s: float) -> dict[str, Any]:
    """An image whose health check allows for that."""
    health = {**HEALTHCHECK, "StartPeriod": int(4 * boot_s * 1_000_000_000)}
    return {"env": {"BOOT_S": f"{boot_s:g}"}, "healthcheck": health}


def slow_gap(around: Outside, updaters: Sequence[Updater], updates: int) -> dict[str, Outcome]:
    """The same for an image that takes its time to boot."""
    return gap(around, updaters, updates, SLOW_BOOT_S)


def _one_update(one: Cluster, seen: _Updates, number: int, image: Mapping[str, Any]) -> None:
    one.push(f"{number}", **image)
    with SteadyClient(one.port) as client:
        client.await_version(f"{number - 1}")
        time.sleep(_BEFORE_S)
        begun = time.monotonic()
        one.look()
        client.await_version(f"{number}")
        time.sleep(_AFTER_S)
        ended = client.times[-1]
    seen.gaps.append(longest_silence(client.times, begun, ended))
    seen.failed.append(client.failed)
    if one.comes_to_serve(f"{number}", limit_s=60) is None:
        raise RuntimeError(f"the update did not come: {one.state()}")


def requests_of_a_look(around: Outside, updater: Updater) -> Outcome:
    """What a look asks of the registry when nothing is new: by its access log, and by a relay in front of it.

    The first look, after which an updater knows how the registry wants to be asked, is not counted.
    """
    others: dict[str, Any] = {f"other{number}": {} for number in range(OTHERS)}
    with cluster(around, updater, more={"services": others}) as one:
        one.look()
        asked, traffic = around.asked(), around.traffic
        sent, received, connections = traffic.sent, traffic.received, traffic.connections
        one.look()
        requests = around.asked() - asked
        facts = {
            "containers": OTHERS + 1,
            "requests": dict(requests),
            "bytes_to_registry": traffic.sent - sent,
            "bytes_from_registry": traffic.received - received,
            "connections": traffic.connections - connections,
        }
        passed = traffic.sent - sent + traffic.received - received
    return Outcome(f"{_counted(requests.total())}, {passed / 1000:.1f} kB", facts)


def _counted(requests: int) -> str:
    return "1 request" if requests == 1 else f"{requests} requests"


def memory(around: Outside, updater: Updater) -> Outcome:
    """Resident memory of the updater's process, which has looked once and has nothing to do."""
    with cluster(around, updater) as one:
        one.look()
        process = one.process()
        program.await_quiet(process)
        now, most = program.memory_mib(process), program.memory_mib(process, "VmHWM")
    return Outcome(f"{now:.1f} MiB", {"rss_mib": now, "rss_peak_mib": most})
