"""How many containers of a service can be sent requests, at every moment, as the engine's events tell it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.support.compose import Compose
from tests.support.recorder import Following
from tests.support.waiting import wait_for

_ENDS = {"kill", "die", "destroy"}
"""A container that is told to stop takes no more requests, though it may still answer some."""


class Serving:
    """Follows which containers serve on a network: healthy ones that are on it, and that nobody has told to stop."""

    def __init__(self, compose: Compose, service: str, network: str) -> None:
        self._compose = compose
        self._service = service
        self._network = network
        self._following = Following("type=container", "type=network")
        self._before = self._now()

    def fewest(self) -> int:
        """How many served at the same time at least, up to now."""
        now = self._now()
        wait_for(lambda: self._states()[-1] == now, "the engine has told all of it")
        return min(len(serving) for serving in self._states())

    def close(self) -> None:
        """Follow no more."""
        self._following.close()

    def _states(self) -> list[frozenset[str]]:
        return list(states(self._following.events, self._before, self._network))

    def _now(self) -> frozenset[str]:
        found = self._compose.containers(self._service)
        return frozenset(
            one["Id"]
            for one in found
            if one["State"].get("Health", {}).get("Status") == "healthy"
            and self._network in one["NetworkSettings"]["Networks"]
        )


@contextlib.contextmanager
def watched(compose: Compose, service: str, network: str) -> Iterator[Serving]:
    """Follow for as long as the block lasts."""
    serving = Serving(compose, service, network)
    try:
        yield serving
    finally:
        serving.close()


def states(events: Iterable[Mapping[str, Any]], before: Iterable[str], network: str) -> Iterator[frozenset[str]]:
    """Who serves at first, and after each event; `before` are the ids of those that did so at first.

    Containers of others are among these only if they are healthy and on the network, too.
    """
    healthy, joined = set(before), set(before)
    yield frozenset(healthy & joined)
    for event in list(events):
        actor, action = event["Actor"], event["Action"]
        if event["Type"] == "network" and actor["Attributes"].get("name") == network:
            (joined.add if action == "connect" else joined.discard)(actor["Attributes"].get("container", ""))
        elif action == "health_status: healthy":
            healthy.add(actor["ID"])
        elif action in _ENDS or action in {"start", "health_status: unhealthy"}:
            healthy.discard(actor["ID"])
        yield frozenset(healthy & joined)
