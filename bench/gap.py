"""How long nobody answers while a container is replaced: by Compose, and by the agent's strategies."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from bench import program
from bench.client import PAUSE_S, TIMEOUT_S, SteadyClient
from bench.cluster import Cluster, cluster
from bench.figures import longest_silence, summary
from tests.support.docker import docker

SLOW_BOOT_S = 5.0
_BEFORE_S, _AFTER_S = 0.3, 0.5
_SETTINGS = {"TIDEGATE_BAKE": "200ms", "TIDEGATE_HEALTH_TIMEOUT": "60s"}


@dataclass
class Arm:
    """One way to replace a container, on a cluster of its own."""

    name: str
    update: Callable[[Cluster], None]
    labels: Mapping[str, str] = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)


def by_compose(one: Cluster) -> None:
    """`docker compose up -d`, with the image pulled already."""
    one.compose.up()


def by_agent(one: Cluster) -> None:
    """One look of the agent, as the program."""
    program.run(one.folder / "state", "agent", "run", "--run-once", one.container, settings=_SETTINGS)


def measure(updates: int) -> dict[str, Any]:
    """Medians, and ratios to Compose, for an image that boots at once and for one that takes 5 s."""
    at_once, slow = _compare(updates, 0), _compare(updates, SLOW_BOOT_S)
    client = {"pause_s": PAUSE_S, "timeout_s": TIMEOUT_S, "address": "127.0.0.1"}
    return {"client": client, "at_once": at_once, "slow": {"boot_s": SLOW_BOOT_S, **slow}}


def _arms() -> list[Arm]:
    return [
        Arm("compose", by_compose),
        Arm("stop-first", by_agent, {"tidegate.strategy": "stop-first"}),
        Arm("swap", by_agent, {"tidegate.strategy": "swap"}),
        Arm("swap-fast", by_agent, {"tidegate.strategy": "swap", "tidegate.cut": "fast"}),
    ]


def _compare(updates: int, boot_s: float) -> dict[str, Any]:
    """The arms take turns, so that a busy moment of the machine hits them alike."""
    arms = _arms()
    with ExitStack() as stack:
        clusters = [stack.enter_context(cluster(boot_s, arm.labels)) for arm in arms]
        for number in range(1, updates + 1):
            for arm, one in zip(arms, clusters, strict=True):
                arm.gaps.append(_one_gap(arm, one, number))
    found: dict[str, Any] = {arm.name: summary(arm.gaps) for arm in arms}
    base = found["compose"]["median"]
    return {"gap_s": found, "ratio": {arm.name: round(found[arm.name]["median"] / base, 3) for arm in arms[1:]}}


def _one_gap(arm: Arm, one: Cluster, number: int) -> float:
    docker("pull", "-q", one.push(f"{number}").reference)
    with SteadyClient(one.port) as client:
        client.await_version(f"{number - 1}")
        time.sleep(_BEFORE_S)
        begun = time.monotonic()
        arm.update(one)
        client.await_version(f"{number}")
        time.sleep(_AFTER_S)
        ended = client.times[-1]
    return longest_silence(client.times, begun, ended)
