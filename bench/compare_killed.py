"""An updater that is killed in the middle of an update, and started again by the engine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from bench.client import SteadyClient
from bench.compare_cluster import Cluster, Outcome, cluster
from bench.compare_world import Outside, Updater
from bench.figures import longest_silence
from tests.support import watchtower
from tests.support.waiting import wait_for

SETTLED_S = 30
_RESTART_S = 60


def when_it_stops(around: Outside, updater: Updater) -> Outcome:
    """Killed as the engine tells that the old container has ended."""
    return _killed_at(around, updater, "die")


def when_it_is_removed(around: Outside, updater: Updater) -> Outcome:
    """Killed as the engine tells that the old container was removed."""
    return _killed_at(around, updater, "destroy")


def _killed_at(around: Outside, updater: Updater, event: str) -> Outcome:
    with cluster(around, updater) as one, SteadyClient(one.port) as client:
        client.await_version("1")
        begun = time.monotonic()
        one.push("2")
        doomed = one.process()
        with _killed_on(event, one.web()[0]["Id"], doomed), contextlib.suppress(requests.RequestException):
            one.look()
        wait_for(lambda: one.process() not in (0, doomed), "the engine starts the updater again", limit_s=_RESTART_S)
        watchtower.wait_for(one.url)
        at_first = one.comes_to_serve("1", "2", limit_s=SETTLED_S)
        in_between = f"v{at_first} serves" if at_first else one.state()
        one.look()
        serving = one.comes_to_serve("2", limit_s=SETTLED_S) or one.comes_to_serve("1", limit_s=1)
        return _outcome(one, client, begun, in_between, serving)


def _outcome(one: Cluster, client: SteadyClient, begun: float, in_between: str, serving: str | None) -> Outcome:
    facts = {"started_again": in_between, "after_the_next_look": f"v{serving} serves" if serving else one.state()}
    if serving is None:
        return Outcome(f"{one.state()}, also after the next look", facts)
    client.await_version(serving)
    silence_s = longest_silence(client.times, begun, client.times[-1])
    facts["longest_silence_s"] = f"{silence_s:.2f}"
    return Outcome(f"v{serving} serves; longest silence {silence_s:.1f} s", facts)


@contextmanager
def _killed_on(event: str, container: str, process: int) -> Iterator[None]:
    """Kill the process when the engine tells that event of the container. AssertionError if it never does."""
    command = ["docker", "events", "--since", str(int(time.time()) - 1), "--format", "{{.Action}}"]
    command += ["--filter", f"container={container}", "--filter", f"event={event}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as told:
        done = threading.Event()

        def kill() -> None:
            if told.stdout and told.stdout.readline():
                os.kill(process, signal.SIGKILL)
                done.set()

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        try:
            yield
            assert done.wait(_RESTART_S), f"the engine never told of `{event}`"
        finally:
            told.terminate()
            thread.join()
