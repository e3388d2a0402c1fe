"""What the engine tells of a service's containers, followed as it happens: it remembers only the last few."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.support.compose import PROJECT, SERVICE, Compose
from tests.support.daemon import Daemon
from tests.support.waiting import wait_for


class Following:
    """The engine's events that pass all filters, of those to come; `events` holds them as they are told."""

    def __init__(self, *filters: str) -> None:
        self.events: list[Mapping[str, Any]] = []
        self._filters = filters
        self.follow()

    def follow(self) -> None:
        """Follow from now on."""
        filters = [word for one in self._filters for word in ("--filter", one)]
        command = ["docker", "events", "--since", f"{time.time():.9f}", *filters, "--format", "{{json .}}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._thread = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the engine has ended and told all of it."""
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def close(self) -> None:
        """Follow no more."""
        self._process.terminate()
        self.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.events.append(json.loads(line))


class Recorder:
    """Follows a service's start and die events, from when it is made."""

    def __init__(self, compose: Compose, service: str) -> None:
        self._compose = compose
        self._service = service
        self._before = _running(compose, service)
        labels = [f"label={PROJECT}={compose.project}", f"label={SERVICE}={service}"]
        self._following = Following("type=container", *labels)

    @property
    def _events(self) -> list[Mapping[str, Any]]:
        return self._following.events

    def most_at_once(self) -> int:
        """How many containers ran at the same time at most, up to now."""
        now = _running(self._compose, self._service)
        wait_for(lambda: running_after(self._events, self._before) == now, "the engine has told all of it")
        return most_at_once(self._events, self._before)

    def restart(self, daemon: Daemon) -> None:
        """Kill the engine and start it; what ran is over: the engine ends it before it starts anything."""
        daemon.kill()
        self._following.join()
        self._events.extend({"Action": "die", "id": one} for one in running_after(self._events, self._before))
        daemon.start()
        self._following.follow()

    def close(self) -> None:
        """Follow no more."""
        self._following.close()


@contextlib.contextmanager
def recorded(compose: Compose, service: str) -> Iterator[Recorder]:
    """Record for as long as the block lasts."""
    recorder = Recorder(compose, service)
    try:
        yield recorder
    finally:
        recorder.close()


def most_at_once(events: Iterable[Mapping[str, Any]], before: set[str]) -> int:
    """Follow start and die events from what ran at first."""
    return max(len(running) for running in _states(events, before))


def running_after(events: Iterable[Mapping[str, Any]], before: set[str]) -> set[str]:
    """What runs after the events."""
    *_, last = _states(events, before)
    return last


def _states(events: Iterable[Mapping[str, Any]], before: set[str]) -> Iterator[set[str]]:
    running = set(before)
    yield set(running)
    for event in list(events):
        if event["Action"] == "start":
            running.add(event["id"])
        elif event["Action"] == "die":
            running.discard(event["id"])
        yield set(running)


def _running(compose: Compose, service: str) -> set[str]:
    return {one["Id"] for one in compose.containers(service) if one["State"]["Running"]}
