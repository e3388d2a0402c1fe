"""What docs/zero-downtime.md quotes, as one JSON object. `make bench-downtime` runs it on a ground of its own.

bench/downtime.py [proxy_1 proxy_2 published ...] [--updates N] [--rollbacks N] [--rate N]: requests that fail, and
how long it takes to answer the others, while containers are replaced: behind a proxy with one replica and with two,
and on a published port without a proxy. The exit status is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

from bench import edge, goals, machine  # noqa: E402 - the path comes first
from bench.cluster import LOOPBACK, Cluster, cluster  # noqa: E402 - as above
from bench.course import Course, Window, told  # noqa: E402 - as above
from bench.figures import summary  # noqa: E402 - as above
from bench.goals import Goal  # noqa: E402 - as above
from bench.load import RATE, load  # noqa: E402 - as above
from bench.updaters import ByAgent, ByCompose, ByWatchtower, Place, Updater  # noqa: E402 - as above
from tests.support import watchtower  # noqa: E402 - as above
from tests.support.docker import docker  # noqa: E402 - as above
from tests.support.registry import Registry  # noqa: E402 - as above

from groundwork import watchtower as built  # noqa: E402 - as above
from groundwork.paths import GroundError  # noqa: E402 - as above

QUIET_S = 5.0
"""How long is watched before the first change, and where each has a load of its own, before that."""
BASES = ("compose", "watchtower")
"""What the others are compared with."""
AFTER_S = 1.5
"""How long a change is watched after its end: a client may have to wait on, for its own kernel's sake."""
_QUICK = {"TIDEGATE_BAKE": "200ms", "TIDEGATE_HEALTH_TIMEOUT": "60s"}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    updates: int
    rollbacks: int
    rate: float

    def changes(self) -> Iterator[Change]:
        """Updates, and between them, as evenly as can be, rollbacks."""
        back = 0
        for number in range(1, self.updates + 1):
            yield Change(f"{number}")
            if back < self.rollbacks * number // self.updates:
                back += 1
                yield Change(f"{number - 1}", back=True)


@dataclass(frozen=True)
class Change:
    """An update to a version, or a rollback to it."""

    version: str
    back: bool = False


@dataclass
class Arm:
    """One way to replace a container, on a cluster of its own, and what was seen of it."""

    name: str
    updater: Updater
    labels: Mapping[str, str] = field(default_factory=dict)
    courses: list[Course] = field(default_factory=list)


def main(argv: list[str]) -> int:
    """Measure, print, and say on the error output what is being measured, and what was found so far."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("setups", nargs="*", choices=[[], *SETUPS], help="default: all")
    parser.add_argument("--updates", type=int, default=20, help="of each kind (default: %(default)s)")
    parser.add_argument("--rollbacks", type=int, default=5, help="of each kind (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second (default: %(default)g)")
    options = parser.parse_args(argv)
    setups = options.setups or list(SETUPS)
    if "published" in setups:
        try:
            built.program()
        except GroundError as error:
            print(error, file=sys.stderr)
            return 1
    size = Size(options.updates, options.rollbacks, options.rate)
    found: dict[str, Any] = {"machine": machine.describe(), "size": vars(size)}
    for name in setups:
        begun = time.monotonic()
        print(f"{name}...", file=sys.stderr, flush=True)
        found[name] = SETUPS[name](size)
        found[name]["took_s"] = round(time.monotonic() - begun, 1)
        print(json.dumps({name: found[name]}), file=sys.stderr, flush=True)  # it takes long to have them all
    found["machine"]["load_after"] = machine.load()
    found["goals"] = goals.judged(found, GOALS)
    found["met"] = all(goal["met"] for goal in found["goals"])
    print(json.dumps(found, indent=2))
    for goal in found["goals"]:
        if not goal["met"]:
            print(goals.missed(goal), file=sys.stderr)
    return 0 if found["met"] else 1


def behind_proxy(replicas: int, size: Size) -> dict[str, Any]:
    """One load over all updates and rollbacks, on the proxy of examples/autonomy."""
    with edge.edge(replicas) as place:
        with load(place.address, size.rate) as running:
            time.sleep(QUIET_S)
            windows = [changed(place, edge.AGENT, change) for change in size.changes()]
        course = Course(running.sent, windows)
    return {"replicas": replicas, **told([course]), "took": summary([ended - begun for begun, ended in windows])}


def published(size: Size) -> dict[str, Any]:
    """Arms that take turns, so that a busy moment of the machine hits them alike, and their ratios to others."""
    arms = _arms()
    with ExitStack() as stack:
        places = [stack.enter_context(cluster(labels=arm.labels, host=_own_address())) for arm in arms]
        for change in size.changes():
            for arm, place in zip(arms, places, strict=True):
                arm.courses.append(_one_course(arm, place, change, size.rate))
    found = {arm.name: told(arm.courses) for arm in arms}
    for arm in arms:
        found[arm.name]["ratio_to"] = {base: _ratio(found[arm.name], found[base]) for base in BASES if base != arm.name}
    return found


def _ratio(one: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, float]:
    """Of failed requests, and of the pause that is as long as most."""
    return {
        "failed": round(one["failed"] / base["failed"], 3),
        "pause": round(one["pause_s"]["median"] / base["pause_s"]["median"], 3),
    }


def changed(place: Place, updater: Updater, change: Change) -> Window:
    """Make a change; from when to when it may have been felt. What is to be updated to is on the engine before."""
    if not change.back:
        docker("pull", "-q", place.push(change.version).reference)
    begun = time.monotonic()
    if change.back:
        updater.roll_back(place, change.version)
    else:
        updater.update(place)
    time.sleep(AFTER_S)
    return begun, time.monotonic() - AFTER_S / 2


def _one_course(arm: Arm, place: Cluster, change: Change, rate: float) -> Course:
    with load(place.address, rate) as running:
        time.sleep(QUIET_S / 2)
        window = changed(place, arm.updater, change)
    return Course(running.sent, [window])


def _arms() -> list[Arm]:
    agent = ByAgent(settings=_QUICK)
    peer = ByWatchtower(watchtower.image(Registry(os.environ["GROUND_REGISTRY"])).reference, secrets.token_hex(4))
    return [
        Arm("compose", ByCompose()),
        Arm("watchtower", peer, peer.labels()),
        Arm("stop-first", agent, {"tidegate.strategy": "stop-first"}),
        Arm("swap", agent, {"tidegate.strategy": "swap"}),
        Arm("swap-fast", agent, {"tidegate.strategy": "swap", "tidegate.cut": "fast"}),
    ]


def _own_address() -> str:
    """An address on which the kernel itself hands connections on: on loopback the engine's proxy would answer first."""
    return os.environ.get("GROUND_REGISTRY_LAN", f"{LOOPBACK}:0").rpartition(":")[0]


SETUPS: dict[str, Callable[[Size], dict[str, Any]]] = {
    "proxy_1": lambda size: behind_proxy(1, size),
    "proxy_2": lambda size: behind_proxy(2, size),
    "published": published,
}
GOALS = (
    Goal("proxy_1.failed", 0),
    Goal("proxy_2.failed", 0),
    Goal("published.swap.begun_and_cut", 0),
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
