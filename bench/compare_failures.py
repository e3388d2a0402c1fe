"""What an updater does where a release is bad, where it cannot be created, and where the registry is away."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

from bench.client import SteadyClient
from bench.compare_cluster import Cluster, Outcome, cluster
from bench.compare_world import Outside, Updater

WATCHED_S = 20
"""How long one waits for a release that is bad to be put back, once the updater says that its look is over."""
_STEADY_S = 0.5
_TIMEOUT_S = 2.0
_PATIENCE_S = 60


def refused(around: Outside, updater: Updater) -> Outcome:
    """The release is fine, but the engine refuses to create its container: a folder that it mounts is gone."""
    with cluster(around, updater, web=_with_folder(around)) as one:
        folder = around.folder / "mounted"
        folder.rmdir()
        one.push("2")
        found = _judged(one)
        folder.mkdir()
        one.look()
        later = one.comes_to_serve("1", "2", limit_s=WATCHED_S)
        next_look = f"v{later} serves" if later else one.state()
        facts = {**found.facts, "after_the_next_look": next_look}
        return Outcome(f"{found.cell}; with the folder back, after the next look: {next_look}", facts)


def _with_folder(around: Outside) -> dict[str, Any]:
    folder = around.folder / "mounted"
    folder.mkdir(exist_ok=True)
    mount = {
        "type": "bind",
        "source": str(folder),
        "target": "/mounted",
        "read_only": True,
        "bind": {"create_host_path": False},
    }
    return {"volumes": [mount]}


def sick(around: Outside, updater: Updater) -> Outcome:
    """A release whose health check fails."""
    return _bad(around, updater, {"SICK": "1"})


def exits(around: Outside, updater: Updater) -> Outcome:
    """A release that ends as soon as it is started."""
    return _bad(around, updater, {"EXIT": "1"})


def _bad(around: Outside, updater: Updater, environment: Mapping[str, str]) -> Outcome:
    with cluster(around, updater) as one:
        one.push("2", env=environment)
        return _judged(one)


def _judged(one: Cluster) -> Outcome:
    """One look at what is bad: whether version 1 serves in the end, and what a steady client saw meanwhile."""
    with SteadyClient(one.port, _TIMEOUT_S) as client:
        client.await_version("1")
        time.sleep(_STEADY_S)
        begun = time.monotonic()
        took_s = one.look()
        survived = one.comes_to_serve("1", limit_s=WATCHED_S) is not None
        until_s = time.monotonic() - begun
        time.sleep(_STEADY_S)
    served_bad = any(version == "2" for _, version in client.answers)
    facts = {
        "v1_serves_in_the_end": survived,
        "v2_ever_answered": served_bad,
        "requests_failed": client.failed,
        "requests": client.failed + len(client.answers),
        "look_s": round(took_s, 2),
        "state": one.state(),
    }
    if survived and not served_bad:
        return Outcome(f"v1 serves on, {client.failed} requests failed", facts)
    if survived:
        return Outcome(f"put back after {until_s:.1f} s, {client.failed} requests failed", facts)
    return Outcome(one.state() if one.web() == [] else f"not put back: {one.state()}", facts)


def registry_away(around: Outside, updater: Updater) -> Outcome:
    """The registry is away during one look; once it is back, the updater looks again and again."""
    with cluster(around, updater) as one:
        one.push("2")
        before = [container["Id"] for container in one.web()]
        around.away()
        try:
            one.look()
            untouched = [container["Id"] for container in one.web()] == before and one.serves("1")
        finally:
            around.back()
        looks, seconds = _looks_until_it_serves(one, "2")
    facts = {"untouched": untouched, "looks_until_v2": looks, "v2_after_s": round(seconds, 1)}
    first = "nothing touched" if untouched else "touched it"
    then = "the next look brings v2" if looks == 1 else f"looks bring v2 {seconds:.0f} s after it is back"
    return Outcome(f"{first}; {then}", facts)


def _looks_until_it_serves(one: Cluster, version: str) -> tuple[int, float]:
    """Look once a second; how many looks and seconds it took. RuntimeError if it takes more than a minute."""
    begun = time.monotonic()
    for number in itertools.count(1):
        one.look()
        if one.comes_to_serve(version, limit_s=1) is not None:
            return number, time.monotonic() - begun
        if time.monotonic() - begun > _PATIENCE_S:
            break
    raise RuntimeError(f"v{version} does not come: {one.state()}")
